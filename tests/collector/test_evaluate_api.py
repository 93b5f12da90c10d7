"""What would be decided and why, over HTTP."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from collector.api.evaluate import evaluate_router
from collector.decisions.explainer import Explainer
from collector.own import Own
from policy.engine import Engine
from policy.lists import HeldLists
from policy.quota.memory import MemoryCounters
from policy.rules import rule_from_json
from policy.snapshot import compile_snapshot

A_TO_B = {"source.service": "a", "destination.service": "b"}
HOUR = {"window": 3600, "algorithm": "fixed-window"}
QUOTA = {
    "kind": "quota", "name": "calm", "match": 'destination.service == "b"', "limit": 2, **HOUR,
    "dimensions": ["source.service"],
}  # fmt: skip
DENY = {"kind": "deny", "name": "no", "match": 'source.service == "guest"', "priority": 2}
FAR = {"kind": "deny", "name": "far", "match": 'destination.service == "elsewhere"'}

Body = Callable[[httpx.AsyncClient], Awaitable[None]]


def evaluating(body: Body, *documents: dict[str, Any], loaded: bool = True) -> Engine:
    rules = [rule_from_json(document) for document in documents]
    counters, local, lists = MemoryCounters(), MemoryCounters(), HeldLists()
    engine = Engine(counters, compile_snapshot(rules, 7) if loaded else None, local)
    own = Own((), ("meshmeter",))

    async def run() -> None:
        app = FastAPI()
        app.include_router(evaluate_router(Explainer(engine, counters, local, lists, own)))
        transport = httpx.ASGITransport(app=app)
        url = "http://collector/api/v1"
        async with httpx.AsyncClient(transport=transport, base_url=url) as client:
            await body(client)

    asyncio.run(run())
    return engine


def evaluate(*documents: dict[str, Any], loaded: bool = True, **question: Any) -> httpx.Response:
    found: list[httpx.Response] = []

    async def body(client: httpx.AsyncClient) -> None:
        found.append(await client.post("/evaluate", json={"attributes": A_TO_B} | question))

    evaluating(body, *documents, loaded=loaded)
    return found[0]


def test_the_tree_tells_every_rule_and_the_decision() -> None:
    tree = evaluate(QUOTA, DENY, FAR, list_elsewhere=True).json()
    decision = tree.pop("decision")
    assert (decision["id"], decision["allowed"], decision["rule"]) == ("", True, "calm")
    (gate,), (quota,) = tree.pop("gates"), tree.pop("quotas")
    assert gate == {
        "rule": "no", "version": 0, "kind": "deny", "mode": "enabled", "priority": 2,
        "said": "not matched", "reason": "", "read": {"source.service": "a"},
        "why_not": {
            "term": 'source.service == "guest"', "line": 1, "column": 1, "fault": "false",
            "reason": 'source.service is "a"', "read": {"source.service": "a"}, "absent": [],
            "near": [], "alternatives": [],
        },
    }  # fmt: skip
    assert (quota["said"], quota["key"], quota["why_not"]) == ("passes", "a", None)
    (limit,) = quota["limits"]
    assert (limit["limit"], limit["before"], limit["after"], limit["granted"]) == (2, 2, 1, True)
    assert tree == {
        "snapshot_version": 7,
        "attributes": A_TO_B,
        "derivations": [],
        "headers": [],
        "shadow": [],
        "elsewhere": {"count": 1, "rules": {"far": "elsewhere"}},
        "left_out": 0,
    }


def test_drafts_are_tried_in_place_of_rules_in_force_and_alone() -> None:
    strict = QUOTA | {"limit": 1}
    assert evaluate(QUOTA, hits=2).json()["decision"]["allowed"]
    refused = evaluate(QUOTA, hits=2, rules=[strict]).json()
    assert not refused["decision"]["allowed"]
    assert refused["quotas"][0]["reason"] == "2 is more than quota calm ever grants"
    beside = evaluate(QUOTA, rules=[DENY | {"match": ""}]).json()
    assert (beside["decision"]["rule"], len(beside["quotas"])) == ("no", 1)
    alone = evaluate(QUOTA, rules=[DENY], alone=True).json()
    assert (alone["decision"]["decided_by"], alone["quotas"]) == ("default", [])
    off = evaluate(QUOTA, rules=[QUOTA | {"mode": "disabled"}]).json()
    assert (off["decision"]["rule"], off["quotas"]) == ("", [])


def test_shadow_quotas_keep_their_counters_in_the_answer() -> None:
    (shadow,) = evaluate(QUOTA | {"mode": "shadow"}).json()["shadow"]
    assert shadow["limits"][0]["before"] == 2


def test_evaluating_charges_and_counts_nothing() -> None:
    async def body(client: httpx.AsyncClient) -> None:
        for _ in range(3):
            tree = (await client.post("/evaluate", json={"attributes": A_TO_B})).json()
            assert tree["quotas"][0]["limits"][0]["before"] == 2

    assert evaluating(body, QUOTA).counts.matched == {}


def test_no_rule_is_asked_about_meshmeter_itself() -> None:
    everything = {"kind": "deny", "name": "all"}
    tree = evaluate(everything, attributes={"destination.service": "meshmeter"}).json()
    assert (tree["decision"]["decided_by"], tree["gates"]) == ("own", [])


@pytest.mark.parametrize(
    ("question", "place", "line"),
    [
        ({"attributes": {"no.such": 1}}, "/attributes/no.such", None),
        ({"attributes": {"request.size": "x"}}, "/attributes/request.size", None),
        ({"rules": [QUOTA, DENY | {"match": "nonsense =="}]}, "/rules/1/match", 1),
        ({"rules": [DENY, QUOTA | {"limit": -1}]}, "/rules/1/limit", None),
        ({"rules": [{"kind": "nothing", "name": "x"}]}, "/rules/0/kind", None),
        ({"rules": [DENY | {"headers": {"deny": "\x00"}}]}, "/rules/0/headers/deny", None),
        ({"rules": [DENY, DENY]}, "/rules/1/name", None),
        ({"hits": -1}, "/hits", None),
        ({"more": 1}, "/more", None),
    ],
)
def test_what_cannot_be_evaluated_is_refused_with_its_place(
    question: dict[str, Any], place: str, line: int | None
) -> None:
    answer = evaluate(QUOTA, **question)
    assert (answer.status_code, answer.json()["place"]) == (422, place), answer.text
    assert answer.json().get("line") == line


def test_before_rules_were_loaded_nothing_is_evaluated() -> None:
    answer = evaluate(loaded=False)
    assert (answer.status_code, answer.json()["detail"]) == (503, "no rules were loaded yet")
