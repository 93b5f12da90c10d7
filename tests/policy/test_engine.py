import asyncio
from collections.abc import Awaitable, Mapping
from types import MappingProxyType
from typing import Any

import pytest

from policy.attributes import AttributeBag
from policy.engine import Engine
from policy.errors import CountersDown, NoSnapshot
from policy.quota import Grant, Take
from policy.quota.memory import MemoryCounters
from policy.results import DecidedBy, Decision
from policy.rules import AnyRule
from policy.snapshot import compile_snapshot
from tests.policy.objects import A_TO_B, deny, quota

NOON_US = 1_700_006_400_000_000
NOTHING: Mapping[str, str] = MappingProxyType({})


class Unreachable:
    """Counters whose server does not answer."""

    async def charge(self, takes: tuple[Take, ...], deadline_s: float, **_how: Any) -> list[Grant]:
        raise CountersDown(f"no answer within {deadline_s} s")


def engine(*rules: AnyRule, counters: Any = None) -> Engine:
    still = MemoryCounters(lambda: NOON_US)
    local = MemoryCounters(lambda: NOON_US)
    return Engine(counters or still, compile_snapshot(rules, 7), local)


def check(
    engine: Engine, more: Mapping[str, str] = MappingProxyType({}), hits: int = 1
) -> Decision:
    answer = engine.check(AttributeBag({**A_TO_B, **more}), hits)
    if isinstance(answer, Decision):
        return answer

    async def wait(answer: Awaitable[Decision]) -> Decision:
        return await answer

    return asyncio.run(wait(answer))


def test_without_a_matching_rule_it_passes_at_once() -> None:
    bag = AttributeBag({"destination.service": "c"})
    decision = engine(deny(), quota()).check(bag)
    assert isinstance(decision, Decision)
    assert (decision.allowed, decision.decided_by) == (True, DecidedBy.DEFAULT)
    assert (decision.rule_id, decision.snapshot_version) == ("", 7)


def test_a_denial_names_its_rule_version_and_what_it_read() -> None:
    decision = check(engine(deny(version=3, http_status=451, message="not you")))
    assert (decision.allowed, decision.decided_by) == (False, DecidedBy.DENY)
    assert (decision.rule_id, decision.http_status, decision.reason) == ("no@3", 451, "not you")
    assert decision.attributes == {"source.service": "a", "destination.service": "b"}


def test_the_first_denial_wins_and_charges_nothing() -> None:
    both = engine(quota(limit=1), deny("second"), deny("first", priority=-1))
    assert check(both).rule == "first"
    both.swap(compile_snapshot([quota(limit=1)], 8))
    assert check(both).allowed


def test_a_quota_lets_its_limit_pass_and_says_what_is_left() -> None:
    two = engine(quota(version=4))
    first, second, third = check(two), check(two), check(two)
    assert (first.allowed, first.limit, first.remaining, first.window_us) == (True, 2, 1, 1_000_000)
    assert (second.remaining, second.reset_us, second.retry_after_us) == (0, 1_000_000, 0)
    assert (third.allowed, third.http_status, third.rule_id) == (False, 429, "calm@4")
    assert (third.decided_by, third.retry_after_us) == (DecidedBy.QUOTA, 500_000)
    assert third.reason == "quota calm is exhausted"


def test_hits_are_charged_and_zero_only_asks() -> None:
    ten = engine(quota(limit=10))
    assert check(ten, hits=7).remaining == 3
    assert check(ten, hits=0).remaining == 3
    assert not check(ten, hits=4).allowed
    assert check(ten, hits=3).allowed
    assert "more than quota calm ever grants" in check(ten, hits=2**80).reason


def test_dimensions_separate_callers() -> None:
    one = engine(quota(limit=1, match="", dimensions=["source.service", 'source.user | "nobody"']))
    first = check(one)
    assert (first.allowed, first.quota_key) == (True, "a, nobody")
    assert not check(one).allowed
    assert check(one, {"source.user": "ann"}).allowed
    assert check(one, {"source.service": "c"}).allowed


def test_an_absent_dimension_does_not_escape_the_quota() -> None:
    one = engine(quota(limit=1, dimensions=["source.user"]))
    assert check(one).allowed
    assert not check(one).allowed


def test_all_matching_quotas_must_grant_and_a_refusal_charges_none() -> None:
    both = engine(quota("wide", limit=10), quota("narrow", limit=2))
    assert check(both, hits=2).rule == "narrow"  # the one with the least left
    assert check(both).rule == "narrow"
    both.swap(compile_snapshot([quota("wide", limit=10)], 8))
    assert check(both, hits=8).allowed


def test_of_several_refusals_the_first_by_priority_is_told() -> None:
    both = engine(quota("late", limit=1, priority=2), quota("soon", limit=1, priority=1))
    check(both)
    assert check(both).rule == "soon"


def test_without_counters_an_open_rule_allows() -> None:
    decision = check(engine(quota(on_backend_error="open"), counters=Unreachable()))
    assert (decision.allowed, decision.decided_by) == (True, DecidedBy.FALLBACK)
    assert (decision.rule, decision.remaining) == ("calm", -1)


def test_without_counters_a_closed_rule_denies() -> None:
    closed = engine(quota("local"), quota(on_backend_error="closed"), counters=Unreachable())
    decision = check(closed)
    assert (decision.allowed, decision.decided_by) == (False, DecidedBy.FALLBACK)
    assert (decision.http_status, decision.reason) == (429, "quota counters unavailable")
    assert decision.rule == "calm"


def test_without_counters_a_local_rule_counts_here() -> None:
    local = engine(quota("free", on_backend_error="open"), quota(), counters=Unreachable())
    decisions = [check(local) for _ in range(3)]
    assert [decision.allowed for decision in decisions] == [True, True, False]
    assert {decision.decided_by for decision in decisions} == {DecidedBy.FALLBACK}
    assert decisions[2].rule == "calm"


def test_ids_differ_also_between_engines() -> None:
    first, second = engine(), engine()
    ids = {check(first).id, check(first).id, check(second).id}
    assert len(ids) == 3


def test_before_rules_were_loaded_nothing_is_decided() -> None:
    with pytest.raises(NoSnapshot):
        Engine(MemoryCounters()).check(AttributeBag({}))
