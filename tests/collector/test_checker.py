import asyncio
from typing import Any

import pytest

from collector.checker import EngineChecker
from collector.decisions.log import DecisionLog
from collector.errors import Unready
from policy.attributes import AttributeBag
from policy.engine import Engine
from policy.errors import CountersDown
from policy.quota import Grant, Take
from policy.quota.memory import MemoryCounters
from policy.results import Decision
from policy.rules import AnyRule
from policy.snapshot import compile_snapshot
from tests.collector.policy_parts import Reports
from tests.counters import Counters
from tests.policy.objects import A_TO_B, deny, quota

BAG = AttributeBag(A_TO_B)


class Unreachable:
    async def charge(self, takes: tuple[Take, ...], deadline_s: float, **_how: Any) -> list[Grant]:
        raise CountersDown("no answer in time")


def checked(
    *rules: AnyRule, times: int = 1, sample: float = 0, reachable: bool = True
) -> list[dict[str, object]]:
    """Checks from a to b, and answers what was recorded of them."""

    async def run() -> Reports:
        reports = Reports()
        log = DecisionLog(reports)
        counters = MemoryCounters() if reachable else Unreachable()
        checker = EngineChecker(Engine(counters, compile_snapshot(rules, 1)), log, sample)
        for _ in range(times):
            decision = checker.check(BAG, protocol="test")
            if not isinstance(decision, Decision):
                await decision
        await log.close()
        return reports

    return asyncio.run(run()).records


def test_every_denial_is_recorded_with_weight_one() -> None:
    records = checked(deny(), times=300)
    assert len(records) == 300
    assert {record["weight"] for record in records} == {1.0}


def test_a_quotas_denials_are_recorded_its_allows_are_not() -> None:
    records = checked(quota(limit=2, window=86_400, algorithm="fixed-window"), times=5)
    assert [record["allowed"] for record in records] == [0, 0, 0]


def test_a_sample_of_allows_is_recorded_with_its_weight() -> None:
    records = checked(times=2_000, sample=0.5)
    assert 700 < len(records) < 1_300
    assert {record["weight"] for record in records} == {2.0}


def test_all_allows_are_recorded_when_asked() -> None:
    assert len(checked(times=50, sample=1)) == 50


def test_checks_are_counted_by_protocol_and_answer() -> None:
    counters = Counters()
    checked(times=3)
    checked(deny(), times=2)
    checked(quota(on_backend_error="open"), times=4, reachable=False)
    checked(quota(on_backend_error="closed"), times=5, reachable=False)
    expected = {"allowed": 3, "denied": 2, "fallback_allowed": 4, "fallback_denied": 5}
    assert {
        answer: counters.moved("checks", protocol="test", answer=answer) for answer in expected
    } == expected


def test_before_rules_were_loaded_a_check_is_not_answered() -> None:
    checker = EngineChecker(Engine(MemoryCounters()), DecisionLog(Reports()), 0)
    with pytest.raises(Unready):
        checker.check(BAG, protocol="test")
