"""Check front-ends over the real checker, with rules of the test's own and counters in memory."""

import time

from collector.checker import EngineChecker
from collector.decision_log import DecisionLog
from collector.model import Report
from collector.services import Services
from policy.engine import Engine
from policy.quota.memory import MemoryCounters
from policy.rules import AnyRule
from policy.snapshot import compile_snapshot

US = 1_000_000


class Kept:
    """A reporter whose outbox is a list."""

    def __init__(self) -> None:
        self.reports: list[Report] = []

    async def report(self, report: Report) -> None:
        self.reports.append(report)


class EngineOnly(EngineChecker):
    """A checker without a rule database; its decision log ends in a list."""

    def __init__(self, *rules: AnyRule, loaded: bool = True) -> None:
        noon_us = time.time_ns() // 1000  # a clock that stands still: windows do not turn
        snapshot = compile_snapshot(rules, version=7) if loaded else None
        engine = Engine(MemoryCounters(lambda: noon_us), snapshot)
        super().__init__(engine, DecisionLog(Kept()), allow_sample=0.0)


def services(*rules: AnyRule, loaded: bool = True) -> Services:
    return Services(EngineOnly(*rules, loaded=loaded), Kept())
