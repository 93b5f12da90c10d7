"""Explaining from a terminal, against a live collector."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from tests import plain_http
from tests.bad_input.live import LiveCollector

HOUR = {"window": 3600, "algorithm": "fixed-window"}
RULES: list[dict[str, Any]] = [
    {"kind": "derive", "name": "tenant", "attributes": {
        "derived[tenant]": 'request.headers["x-tenant"] | "none"',
        "source.user": "source.name",
    }},
    {"kind": "deny", "name": "guests",
     "match": 'request.headers["x-user"] == "guest" && destination.service == "shop"'},
    {"kind": "quota", "name": "calm", "limit": 5, **HOUR, "dimensions": ["source.service"],
     "draft": {"limit": 1, **HOUR}},
    {"kind": "headers", "name": "mark",
     "request": [{"operation": "replace", "name": "x-tier", "value": "one"}]},
    {"kind": "deny", "name": "far", "match": 'destination.service == "elsewhere"'},
]  # fmt: skip
REQUEST = {
    "source.service": "web",
    "destination.service": "shop",
    "request.headers": {"x-usr": "ann"},
}


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[LiveCollector]:
    live = LiveCollector(tmp_path_factory.mktemp("collector"), redis_url)
    for rule in RULES:
        plain_http.post(f"{live.url}/api/v1/rules", json=rule).raise_for_status()
    yield live
    live.kill()


def run(collector: LiveCollector, *words: str) -> Result:
    return CliRunner(env=collector.settings.to_environ()).invoke(app, words)


def test_the_tree_is_readable(collector: LiveCollector) -> None:
    answer = run(collector, "rules", "explain", "--attributes", json.dumps(REQUEST), "--elsewhere")
    assert answer.exit_code == 0, answer.output
    version = plain_http.get(f"{collector.url}/api/v1/snapshot").json()["version"]
    assert (
        answer.output
        == f"""\
allowed by calm@1 (quota); rules of version {version}
the request
  derived = tenant=none
  destination.service = shop
  request.headers = x-usr=ann
  source.service = web
derived first
  tenant@1 (derive): derives
    adds derived[tenant] = none
    cannot add source.user: attribute source.name is absent
gates, in order
  guests@1 (deny): not matched
    request.headers["x-user"] == "guest" (line 1, column 1): request.headers has no x-user
      absent: request.headers[x-user]
      is it request.headers[x-usr]?
quotas, charged together
  calm@1 (quota): passes
    key web
    5 in 3600 s, fixed-window: 5 left, takes 1, then 4 left
    draft: 1 in 3600 s, fixed-window: 1 left, takes 1, then 0 left
headers
  mark@1 (headers): changes
    request: replace x-tier = one
not asked, for other destinations: 1
  far: elsewhere
"""
    )


def test_a_check_can_be_explained_without_being_made(collector: LiveCollector) -> None:
    request = json.dumps(REQUEST | {"request.headers": {"x-user": "guest"}})
    made = run(collector, "check", "--explain", "--attributes", request)
    assert made.exit_code == 1
    assert made.output.startswith("denied with 403 by guests@1 (deny): ")
    tree = json.loads(
        run(collector, "check", "--explain", "--json", "--attributes", request).output
    )
    assert tree["gates"][0]["said"] == "refuses"
    charged = run(collector, "check", "--explain", "--best-effort", "--attributes", request)
    assert (charged.exit_code, "nothing is charged" in charged.output) == (2, True)


def test_drafts_are_tried_from_a_file(collector: LiveCollector, tmp_path: Path) -> None:
    request, draft = tmp_path / "request.json", tmp_path / "draft.json"
    request.write_text(json.dumps(REQUEST))
    draft.write_text(json.dumps({"kind": "deny", "name": "all", "message": "closed"}))
    words = ("rules", "explain", "--attributes", str(request), "--rules", str(draft))
    answer = run(collector, *words, "--alone")
    assert answer.output.startswith("denied with 403 by all@0 (deny): closed; rules of version ")
    tree = json.loads(run(collector, *words, "--json").output)
    assert [gate["rule"] for gate in tree["gates"]] == ["all", "guests"]


def test_a_fault_is_told_with_its_place(collector: LiveCollector) -> None:
    answer = run(collector, "rules", "explain", "--attributes", '{"no.such": 1}')
    assert answer.exit_code == 1
    assert "there is no such attribute" in str(answer.output) + str(answer.exception)
    assert run(collector, "rules", "explain", "--attributes", "{nonsense").exit_code == 1


def test_a_decision_is_shown_as_soon_as_it_is_made(collector: LiveCollector) -> None:
    body = {"attributes": REQUEST | {"request.headers": {"x-user": "guest"}}}
    made = plain_http.post(f"{collector.url}/api/v1/check", json=body).json()
    answer = run(collector, "decision", made["id"])
    shown = json.loads(answer.output)
    assert (shown["id"], shown["rule"], shown["from"]) == (made["id"], "guests", "memory")
    assert shown["attributes"]["request.headers[x-user]"] == "guest"


def test_a_draft_is_promoted(collector: LiveCollector) -> None:
    body = {"kind": "quota", "name": "tried", "match": "false", "limit": 9, **HOUR,
            "draft": {"limits": [{"limit": 3, "window": 1}, {"limit": 50, **HOUR}]}}  # fmt: skip
    plain_http.post(f"{collector.url}/api/v1/rules", json=body).raise_for_status()
    promoted = json.loads(run(collector, "quotas", "promote", "tried").output)
    assert (promoted["limit"], promoted["draft"], promoted["version"]) == (None, None, 2)
    assert [limit["limit"] for limit in promoted["limits"]] == [3, 50]
    again = run(collector, "quotas", "promote", "tried")
    assert "quota 'tried' has no draft" in str(again.output) + str(again.exception)


def test_a_store_that_is_away_is_said_to_be(collector: LiveCollector) -> None:
    answer = run(collector, "rules", "agreement", "calm")
    assert answer.exit_code == 1
    assert "no answer from ClickHouse" in str(answer.output) + str(answer.exception)
