"""The decision tree of a request."""

import asyncio
import uuid
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.attributes import AttributeBag
from policy.engine import Engine
from policy.errors import CountersDown
from policy.explain import Explanation, explain, with_rules
from policy.explain.tree import QuotaStep, Said, Step
from policy.lists import HeldLists
from policy.quota import Grant, Take
from policy.quota.counters import RedisCounters
from policy.quota.memory import MemoryCounters
from policy.results import DecidedBy, Decision
from policy.rules import rule_from_json
from policy.snapshot import Snapshot, compile_snapshot
from tests.policy.deciding import NOON_US, ask
from tests.policy.expressions import BAGS
from tests.policy.made_rules import RULES

MINUTE = {"window": 60, "algorithm": "fixed-window"}
A_TO_B = {"source.service": "a", "destination.service": "b", "request.method": "GET"}


class Unreachable(MemoryCounters):
    async def charge(self, takes: tuple[Take, ...], deadline_s: float, **_how: Any) -> list[Grant]:
        raise CountersDown("no answer in time")

    async def peek(self, takes: tuple[Take, ...], deadline_s: float) -> list[Grant]:
        raise CountersDown("no answer in time")


class Explained:
    """An engine and the explanation of what it would answer, over the same counters."""

    def __init__(self, *documents: dict[str, Any], reachable: bool = True) -> None:
        kind = MemoryCounters if reachable else Unreachable
        self.counters = kind(lambda: NOON_US)
        self.local = MemoryCounters(lambda: NOON_US)
        rules = [rule_from_json(document) for document in documents]
        self.engine = Engine(self.counters, compile_snapshot(rules, 7), self.local)

    @property
    def snapshot(self) -> Snapshot:
        assert self.engine.snapshot
        return self.engine.snapshot

    def check(self, values: dict[str, Any] = A_TO_B, hits: int = 1) -> Decision:
        return ask(self.engine, values, hits)

    def explain(self, values: dict[str, Any] = A_TO_B, hits: int = 1, **how: Any) -> Explanation:
        bag = AttributeBag(values)
        made = explain(self.snapshot, self.counters, self.local, bag, hits, **how)
        return asyncio.run(made)


def steps(explained: Explanation) -> list[Step]:
    return [
        *explained.derivations, *explained.gates, *explained.quotas, *explained.headers,
        *explained.shadow,
    ]  # fmt: skip


def said(found: list[Any] | tuple[Any, ...]) -> dict[str, Said]:
    return {step.rule: step.said for step in found}


def deny(name: str, **fields: Any) -> dict[str, Any]:
    return {"kind": "deny", "name": name, **fields}


def quota(name: str = "q", **fields: Any) -> dict[str, Any]:
    return {"kind": "quota", "name": name, "limit": 2, **MINUTE, **fields}


ACTED = {Said.DERIVES, Said.PASSES, Said.REFUSES, Said.NO_ANSWER, Said.CHANGES}


@settings(max_examples=150, deadline=None)
@given(RULES, st.lists(st.tuples(BAGS, st.integers(0, 3)), min_size=1, max_size=4), st.booleans())
def test_the_explanation_is_of_the_decision_that_the_engine_makes(
    documents: list[dict[str, Any]], asked: list[tuple[dict[str, Any], int]], reachable: bool
) -> None:
    both = Explained(*documents, reachable=reachable)
    for values, hits in asked:
        explained = both.explain(values, hits, list_elsewhere=True)
        both.engine.take_counts()
        decision = both.check(values, hits)
        matched = {rule_id.partition("@")[0] for rule_id in both.engine.counts.matched}
        found = steps(explained)
        assert explained.decision == decision._replace(id="", lease="")
        assert {step.rule for step in found if step.said in ACTED} == matched
        assert all((step.why_not is None) is (step.said is not Said.NOT_MATCHED) for step in found)
        assert {step.rule for step in found} | {*explained.elsewhere.rules} == {
            *both.snapshot.rules
        }
        assert left(explained, "after") == left(both.explain(values, hits), "before")


def left(explained: Explanation, moment: str) -> list[int]:
    """What the counters that were asked had left then."""
    return [
        getattr(counter, moment)
        for step in (*explained.quotas, *explained.shadow)
        if isinstance(step, QuotaStep) and explained.decision.decided_by is not DecidedBy.DENY
        for counter in (*step.limits, *step.draft)
    ]


def test_explaining_changes_nothing() -> None:
    both = Explained(quota(draft={"limit": 1, **MINUTE}), deny("no", match="false"))
    assert [both.explain() for _ in range(5)] == [both.explain()] * 5
    assert both.engine.counts.matched == {}
    assert both.check().remaining == 1


def test_gates_are_told_in_order_up_to_the_one_that_refuses_and_beyond() -> None:
    both = Explained(
        deny("last", priority=3),
        {"kind": "authorization", "name": "first", "priority": 1, "allow": [{"services": ["a"]}]},
        deny("other", priority=1, match='request.method == "PUT"'),
        deny("wins", priority=2, message="go away", match='source.service == "a"'),
        quota(),
        {"kind": "headers", "name": "h", "request": [{"operation": "remove", "name": "x"}]},
    )
    explained = both.explain()
    assert said(explained.gates) == {
        "first": Said.PASSES, "other": Said.NOT_MATCHED, "wins": Said.REFUSES,
        "last": Said.NOT_ASKED,
    }  # fmt: skip
    assert [step.rule for step in explained.gates] == ["first", "other", "wins", "last"]
    assert (explained.gates[2].reason, explained.decision.rule) == ("go away", "wins")
    assert explained.gates[2].read == {"source.service": "a"}
    assert said(explained.quotas) | said(explained.headers) == {
        "q": Said.NOT_ASKED, "h": Said.NOT_ASKED
    }  # fmt: skip
    why = explained.gates[1].why_not
    assert why
    assert (why.term, why.reason, why.line, why.column) == (
        'request.method == "PUT"', 'request.method is "GET"', 1, 1
    )  # fmt: skip


def test_what_derives_is_asked_by_the_destination_that_the_request_came_with() -> None:
    to_b = {"kind": "derive", "name": "to-b", "attributes": {"destination.service": '"b"'}}
    of_b = {"kind": "derive", "name": "of-b", "match": 'destination.service == "b"',
            "attributes": {"source.user": '"ann"'}}  # fmt: skip
    here = deny("here", match='destination.service == "b"')
    both = Explained(to_b, of_b, here)
    explained = both.explain({}, list_elsewhere=True)
    assert [step.rule for step in explained.derivations] == ["to-b"]
    assert explained.elsewhere.rules == {"of-b": "b"}
    assert explained.decision.rule == "here"


def test_a_quota_tells_its_counters_before_and_after() -> None:
    both = Explained(
        quota(
            limit=None, window=None, algorithm="token-bucket", dimensions=["source.service"],
            limits=[{"limit": 5, **MINUTE}, {"limit": 3, "window": 10}], cost="request.size",
            draft={"limit": 1, **MINUTE},
        )
    )  # fmt: skip
    both.check(A_TO_B)
    (step,) = both.explain(A_TO_B | {"request.size": 2}).quotas
    assert (step.said, step.key) == (Said.PASSES, "a")
    assert [(each.limit, each.amount, each.before, each.after) for each in step.limits] == [
        (5, 2, 4, 2), (3, 2, 2, 0),
    ]  # fmt: skip
    assert [(each.before, each.after, each.granted) for each in step.draft] == [(0, 0, False)]
    (step,) = both.explain(A_TO_B | {"request.size": 3}).quotas
    assert (step.said, step.reason) == (Said.REFUSES, "quota q is exhausted")
    assert [(each.before, each.after, each.granted) for each in step.limits] == [
        (4, 4, True), (2, 2, False),
    ]  # fmt: skip
    assert step.limits[1].retry_after_us == 3_333_334


def test_a_quota_that_grants_keeps_what_it_has_when_another_refuses() -> None:
    both = Explained(quota("full", limit=1), quota("roomy", limit=9))
    both.check()
    explained = both.explain()
    assert said(explained.quotas) == {"full": Said.REFUSES, "roomy": Said.PASSES}
    assert [(each.before, each.after) for step in explained.quotas for each in step.limits] == [
        (0, 0), (8, 8),
    ]  # fmt: skip


def test_the_override_that_counts_is_named() -> None:
    some = {"name": "ann", "when": {"source.user": "ann"}, "unlimited": True}
    both = Explained(quota(dimensions=["source.user"], overrides=[some]))
    (step,) = both.explain(A_TO_B | {"source.user": "ann"}).quotas
    assert (step.override, step.limits, step.said) == ("ann", (), Said.PASSES)
    assert both.explain(A_TO_B | {"source.user": "bob"}).quotas[0].override == ""


@pytest.mark.parametrize(
    ("policy", "allowed", "before"), [("open", True, -1), ("closed", False, -1), ("local", True, 2)]
)
def test_counters_that_do_not_answer_are_told_with_the_rules_policy(
    policy: str, allowed: bool, before: int
) -> None:
    explained = Explained(quota(on_backend_error=policy), reachable=False).explain()
    (step,) = explained.quotas
    assert (explained.decision.decided_by, explained.decision.allowed) == (
        DecidedBy.FALLBACK, allowed
    )  # fmt: skip
    assert step.limits[0].before == before
    assert (step.said is Said.NO_ANSWER) is (before < 0)


def test_derivations_tell_what_each_added() -> None:
    both = Explained(
        {"kind": "derive", "name": "d1", "attributes": {
            "derived[tenant]": 'request.headers["x-tenant"] | "none"',
            "source.service": '"other"',
            "source.user": "source.name",
        }},
        {"kind": "derive", "name": "d2", "match": 'derived["tenant"] == "none"', "attributes": {
            "destination.namespace": '"shop"',
        }},
        {"kind": "derive", "name": "d3", "match": 'derived["tenant"] == "x"', "attributes": {
            "source.name": '"n"',
        }},
        deny("no", match='destination.namespace == "shop"'),
    )  # fmt: skip
    explained = both.explain()
    first, second, third = explained.derivations
    assert (first.added, first.kept) == ({"derived[tenant]": "none"}, ("source.service",))
    assert first.failed == {"source.user": "attribute source.name is absent"}
    assert second.added == {"destination.namespace": "shop"}
    assert third.why_not
    assert third.why_not.read == {"derived[tenant]": "none"}
    assert (explained.decision.rule, explained.attributes["derived"]) == ("no", "tenant=none")


def test_shadow_rules_are_told_beside() -> None:
    both = Explained(
        deny("strict", mode="shadow"),
        quota("small", limit=1, mode="shadow"),
        {"kind": "headers", "name": "h", "mode": "shadow",
         "request": [{"operation": "remove", "name": "x"}]},
    )  # fmt: skip
    both.check()
    explained = both.explain()
    assert explained.decision.allowed
    assert said(explained.shadow) == {
        "strict": Said.REFUSES, "small": Said.REFUSES, "h": Said.NOT_ASKED
    }  # fmt: skip


def test_rules_of_another_destination_are_counted_and_can_be_listed() -> None:
    both = Explained(*(deny(f"r{at}", match=f'destination.service == "{at}"') for at in "bcd"))
    explained = both.explain()
    assert (explained.elsewhere.count, explained.elsewhere.rules) == (2, {})
    assert both.explain(list_elsewhere=True).elsewhere.rules == {"rc": "c", "rd": "d"}


def test_of_many_rules_that_do_not_match_some_are_left_out_and_counted() -> None:
    both = Explained(
        *(deny(f"r{at:03}", match=f"request.size == {at}") for at in range(300)), deny("z")
    )
    explained = both.explain()
    assert (len(explained.gates), explained.left_out) == (201, 100)
    assert explained.gates[-1].said is Said.REFUSES


def test_rules_are_tried_in_place_of_those_in_force_and_beside_them() -> None:
    both = Explained(deny("no"), quota())
    tried = [rule_from_json(deny("no", match="false")), rule_from_json(deny("new", priority=-1))]
    beside = with_rules(both.snapshot, tried, HeldLists())
    assert {*beside.rules} == {"no", "new", "q"}
    assert {*with_rules(both.snapshot, tried, HeldLists(), alone=True).rules} == {"no", "new"}
    off = with_rules(both.snapshot, [rule_from_json(deny("no", mode="disabled"))], HeldLists())
    assert {*off.rules} == {"q"}
    assert {*both.snapshot.rules} == {"no", "q"}


def test_counters_in_redis_are_looked_at_and_left_as_they_are(redis_url: str) -> None:
    name = f"q-{uuid.uuid4().hex}"
    document = quota(
        name, limit=None, window=None, algorithm="token-bucket",
        limits=[{"limit": 2, "window": 86_400}, {"limit": 5, "window": 86_400}],
        draft={"limit": 1, "window": 86_400},
    )  # fmt: skip
    snapshot = compile_snapshot([rule_from_json(document)], 1)

    async def run() -> None:
        counters, local = RedisCounters(redis_url), MemoryCounters()
        engine = Engine(counters, snapshot, local)
        bag = AttributeBag(A_TO_B)

        async def left() -> list[tuple[int, int]]:
            (step,) = (await explain(snapshot, counters, local, bag)).quotas
            return [(each.before, each.after) for each in (*step.limits, *step.draft)]

        assert [await left() for _ in range(2)] == [[(2, 1), (5, 4), (1, 0)]] * 2
        for _ in range(2):
            decision = engine.check(bag)
            assert not isinstance(decision, Decision)
            await decision
        assert await left() == [(0, 0), (3, 3), (0, 0)]
        await counters.close()

    asyncio.run(run())
