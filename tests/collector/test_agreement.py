"""The agreement matrix is the truth: of the real engine, log, decoder and store."""

import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import pytest

from collector.api.agreement import agreement_router
from collector.decisions.decided import Cell
from collector.decisions.history import DecisionHistory
from collector.store.client import Store
from policy.errors import UnknownRule
from policy.kinds import AnyRule
from policy.results import Decision
from policy.rules import rule_from_json
from tests.collector.recorded import Recorded, asked
from tests.collector.stored_rows import SECOND, decision, insert

HOUR = {"window": 3600, "algorithm": "fixed-window"}
DRAFT: dict[str, Any] = {
    "kind": "quota", "name": "per-user", "limit": 12, **HOUR, "version": 5,
    "dimensions": ['request.headers["x-user"] | "nobody"'], "draft": {"limit": 5, **HOUR},
}  # fmt: skip
SHADOW: dict[str, Any] = {
    "kind": "authorization", "name": "no-puts", "allow": [{"methods": ["GET"]}],
    "mode": "shadow", "version": 2,
}  # fmt: skip
GATE: dict[str, Any] = {"kind": "deny", "name": "closed", "match": 'source.service == "guest"'}

TRIED = {"per-user": DRAFT, "no-puts": SHADOW}
Matrix = dict[tuple[bool, bool], int]


def traffic(requests: int, dice: random.Random) -> list[dict[str, Any]]:
    """Of forty users, the first of whom ask most; a tenth put, a tenth are guests."""
    return [
        {
            "source.service": "guest" if dice.random() < 0.1 else "web",
            "destination.service": "shop",
            "request.method": "PUT" if dice.random() < 0.1 else "GET",
            "request.headers": {"x-user": f"user-{min(int(dice.expovariate(0.1)), 39)}"},
        }
        for _ in range(requests)
    ]


def truth(made: Sequence[Decision], rule: str) -> Matrix:
    """As the engine itself said."""
    found: Counter[tuple[bool, bool]] = Counter()
    for each in made:
        for verdict in each.beside:
            if verdict.rule == rule:
                live = each.allowed if verdict.live is None else verdict.live
                found[live, verdict.allowed] += 1
    return dict(found)


def cells(store: Store, rule: str, version: int) -> dict[tuple[bool, bool], Cell]:
    now_ns = time.time_ns()
    found = DecisionHistory(store, Recorded(store).log.recent).agreement(
        rule, version, now_ns - 3600 * SECOND, now_ns
    )
    return {(cell.live, cell.beside): cell for cell in found}


@pytest.mark.parametrize("rule", TRIED)
def test_with_all_recorded_the_matrix_is_the_truth(store: Store, rule: str) -> None:
    side = Recorded(store, DRAFT, SHADOW, GATE, sample=1.0)
    made = side.check(traffic(800, random.Random(1)))
    found = cells(store, rule, TRIED[rule]["version"])
    assert {place: cell.requests for place, cell in found.items()} == truth(made, rule)
    assert len(found) > 2
    assert {cell.error for cell in found.values()} == {0.0}


@pytest.mark.parametrize("rule", TRIED)
def test_with_a_tenth_recorded_differences_are_exact_and_the_rest_within_the_error(
    store: Store, rule: str
) -> None:
    random.seed(7)  # the sample's dice
    side = Recorded(store, TRIED[rule], GATE, sample=0.1)
    made = side.check(traffic(3000, random.Random(2)))
    expected = truth(made, rule)
    found = cells(store, rule, TRIED[rule]["version"])
    for place, requests in expected.items():
        if place[0] is not place[1]:
            assert (found[place].requests, found[place].error) == (requests, 0)
        else:
            assert abs(found[place].requests - requests) <= found[place].error
    agreeing = found[True, True]
    assert 0 < agreeing.error < agreeing.requests / 2
    assert agreeing.recorded < expected[True, True] / 2


def test_whom_a_draft_would_deny_is_told_with_decisions(store: Store) -> None:
    side = Recorded(store, DRAFT, GATE, sample=0.0)
    made = side.check(traffic(800, random.Random(3)))
    newly = [
        (each.id, verdict.quota_key)
        for each in made
        for verdict in each.beside
        if verdict.live and not verdict.allowed
    ]
    cell = cells(store, "per-user", 5)[True, False]
    by_key = Counter(key for _, key in newly)
    assert dict(cell.keys).items() <= by_key.items()
    counts = [requests for _, requests in cell.keys]
    assert counts == sorted(by_key.values(), reverse=True)[: len(counts)]
    assert len(counts) == min(20, len(by_key))
    assert [(each.id, each.key) for each in cell.examples] == newly[:-11:-1]


def test_a_rule_without_dimensions_tells_who_asked(store: Store) -> None:
    Recorded(store, SHADOW, sample=0.0).check(
        [{"source.service": name, "request.method": "PUT"} for name in ("web", "web", "app")]
    )
    assert cells(store, "no-puts", 2)[True, False].keys == [("web", 2.0), ("app", 1.0)]


def test_another_version_and_another_time_are_not_counted(store: Store) -> None:
    now_ns = time.time_ns()
    said = {"beside_rule": ["x", "r"], "beside_allowed": [1, 0], "beside_live": [-1, -1],
            "allowed": 1}  # fmt: skip
    rows = [
        decision(now_ns - 10 * SECOND, "a", "b", beside_version=[1, 3], **said),
        decision(now_ns - 10 * SECOND, "a", "b", beside_version=[1, 2], **said),
        decision(now_ns - 7200 * SECOND, "a", "b", beside_version=[1, 3], **said),
    ]
    insert(store, "decisions", rows)
    found = cells(store, "r", 3)
    assert [(place, cell.requests) for place, cell in found.items()] == [((True, False), 1.0)]


class OneRule:
    def __init__(self, document: Mapping[str, Any]) -> None:
        self.rule = rule_from_json(document)

    def get(self, name: str) -> AnyRule:
        if name != self.rule.name:
            raise UnknownRule(name)
        return self.rule


def answers(store: Store, document: Mapping[str, Any], *paths: str) -> list[httpx.Response]:
    found: list[httpx.Response] = []

    async def body(client: httpx.AsyncClient) -> None:
        found.extend([await client.get(f"/rules/{path}") for path in paths])

    history = DecisionHistory(store, Recorded(store).log.recent)
    asked(agreement_router(history, OneRule(document), 0.25), body)
    return found


def test_the_api_tells_the_whole_matrix(store: Store) -> None:
    side = Recorded(store, DRAFT, sample=1.0)
    bags = [{"request.headers": {"x-user": "ann"}, "source.service": "web"}] * 14
    made = side.check(bags)
    (answer,) = answers(store, DRAFT, "per-user/agreement?minutes=5")
    found = answer.json()
    examples = found["newly_denied"].pop("examples")
    assert found == {
        "rule": "per-user",
        "version": 5,
        "tried": "draft",
        "minutes": 5,
        "matrix": [
            {"live": True, "beside": True, "requests": 5.0, "error": 0.0, "recorded": 5},
            {"live": True, "beside": False, "requests": 7.0, "error": 0.0, "recorded": 7},
            {"live": False, "beside": True, "requests": 0.0, "error": 0.0, "recorded": 0},
            {"live": False, "beside": False, "requests": 2.0, "error": 0.0, "recorded": 2},
        ],
        "agreed": 0.5,
        "newly_denied": {"requests": 7.0, "keys": [{"key": "ann", "requests": 7.0}]},
        "newly_allowed": {"requests": 0.0, "keys": [], "examples": []},
        "allow_sample": 0.25,
    }
    assert examples[0] == {
        "id": made[11].id, "source": "web", "destination": "", "key": "ann"
    }  # fmt: skip
    assert len(examples) == 7


def test_what_was_never_seen_has_no_share(store: Store) -> None:
    nothing, unknown, wrong = answers(
        store, SHADOW, "no-puts/agreement", "other/agreement", "no-puts/agreement?minutes=0"
    )
    assert (nothing.json()["agreed"], nothing.json()["tried"]) == (None, "shadow")
    assert sum(cell["requests"] for cell in nothing.json()["matrix"]) == 0
    assert (unknown.status_code, wrong.status_code) == (404, 422)
