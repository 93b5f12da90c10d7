"""Rules that are wrong, sent to a collector at work: told what is wrong and where, and nothing of
them is in force."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests import plain_http
from tests.bad_input.bad_rules import HOLD, IMPORTS, QUOTA, REFUSED, Refusal, matching
from tests.bad_input.live import LiveCollector

EDITORS = 20
ROUNDS = 3
YAML = {"content-type": "application/yaml"}
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def api(collector: LiveCollector) -> Iterator[httpx.Client]:
    with plain_http.Client(base_url=f"{collector.url}/api/v1", timeout=60) as client:
        client.post("/rules", json=HOLD).raise_for_status()
        yield client


@pytest.fixture
def untouched(api: httpx.Client) -> Iterator[None]:
    """The rules in force stay, and answer."""
    before = api.get("/snapshot").json()
    yield
    assert api.get("/snapshot").json() == before
    answer = checked(api, {"destination.service": "held"})
    assert (answer["allowed"], answer["rule"], answer["http_status"]) == (False, "hold", 451)


def checked(api: httpx.Client, attributes: dict[str, Any]) -> dict[str, Any]:
    answer = api.post("/check", json={"attributes": attributes})
    assert answer.is_success, answer.text
    decision: dict[str, Any] = answer.json()
    return decision


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.id)
def test_a_rule_that_is_wrong_is_told_where(api: httpx.Client, case: Refusal) -> None:
    body = case.sent if isinstance(case.sent, bytes) else json.dumps(case.sent).encode()
    answer = api.post("/rules", content=body, headers=JSON)
    problem = answer.json()
    assert (answer.status_code, answer.headers["content-type"], problem.get("place")) == (
        case.status,
        "application/problem+json",
        case.place,
    ), answer.text[:500]
    assert case.words in problem["reason"]
    assert problem["type"] == "about:blank"
    if case.at:
        assert (problem["line"], problem["column"]) == case.at, answer.text[:500]


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(("text", "words"), [pytest.param(*c[1:], id=c[0]) for c in IMPORTS])
def test_an_import_that_is_wrong_is_told_where(api: httpx.Client, text: str, words: str) -> None:
    answer = api.post("/import", content=text.encode(), headers=YAML)
    assert answer.status_code == 422, answer.text[:500]
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    told = [problem["reason"], *(note["reason"] for note in problem.get("notes", ()))]
    assert any(words in reason for reason in told), told[:5]


@pytest.fixture
def made(api: httpx.Client) -> Iterator[list[str]]:
    """The names of rules to be removed at the end."""
    names: list[str] = []
    yield names
    for name in names:
        api.delete(f"/rules/{name}").raise_for_status()


@pytest.mark.parametrize("pattern", ["(a+)+$", "^(a|aa)+$", "(.*a){12}$", "(x+x+)+y"])
def test_a_pattern_that_would_take_ages_elsewhere_is_answered(
    api: httpx.Client, made: list[str], pattern: str
) -> None:
    match = f'destination.service == "slow" && request.path.matches("{pattern}")'
    api.post("/rules", json=matching(match)).raise_for_status()
    made.append("new")
    for path in ("a" * 60_000 + "!", "x" * 60_000):
        answer = checked(api, {"destination.service": "slow", "request.path": path})
        assert answer["decided_by"] == "default"


def test_derivations_that_need_one_another_are_made_once_in_their_order(
    api: httpx.Client, made: list[str]
) -> None:
    """There is no circle to go round: what is absent then stays absent."""
    for name, of in (("one", "two"), ("two", "one")):
        entry = {f"derived[{name}]": f'derived["{of}"] | "{name}"'}
        rule = {"kind": "derive", "name": name, "attributes": entry}
        assert api.post("/rules", json=rule).status_code == 201
        made.append(name)
    told = 'derived["one"] == "one" && derived["two"] == "one" && destination.service == "round"'
    api.post("/rules", json=matching(told)).raise_for_status()
    made.append("new")
    assert checked(api, {"destination.service": "round"})["rule"] == "new"


def test_of_twenty_who_edit_at_once_one_is_taken_each_time(
    api: httpx.Client, made: list[str]
) -> None:
    """Every other is told so, and the log has every edit that was taken and no other."""
    etag = api.post("/rules", json=QUOTA | {"name": "edited", "limit": 1}).headers["etag"]
    made.append("edited")

    def edit(limit: int) -> httpx.Response:
        return api.patch("/rules/edited", json={"limit": limit}, headers={"if-match": etag})

    taken = [1]
    with ThreadPoolExecutor(EDITORS) as threads:
        for number in range(ROUNDS):
            answers = [*threads.map(edit, range(100 * (number + 1), 100 * (number + 1) + EDITORS))]
            (won,) = (answer for answer in answers if answer.is_success)
            refusals = [answer for answer in answers if answer is not won]
            assert {answer.status_code for answer in refusals} == {412}
            assert {answer.headers["content-type"] for answer in refusals} == {
                "application/problem+json"
            }
            taken.append(won.json()["limit"])
            etag = won.headers["etag"]
    entries = api.get("/audit", params={"name": "edited", "limit": 1000}).json()
    assert [entry["after"]["limit"] for entry in reversed(entries)] == taken
    before = [entry["before"]["limit"] for entry in reversed(entries) if entry["before"]]
    assert before == taken[:-1]
    assert api.get("/rules/edited").json()["limit"] == taken[-1]
