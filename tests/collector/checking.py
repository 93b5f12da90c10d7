"""Check front-ends over the real checker, with rules of the test's own and counters in memory."""

import time

from collector.checker import EngineChecker
from collector.decisions.log import DecisionLog
from collector.model import Report
from collector.services import Services
from collector.shares import QuotaSharing, UsageRecorder
from collector.shares.sharer import MAX_BUCKETS
from policy.engine import Engine
from policy.quota.memory import MemoryCounters
from policy.quota.shares import MemoryShares
from policy.rules import AnyRule
from policy.snapshot import compile_snapshot

US = 1_000_000


class Kept:
    """A reporter whose outbox is a list."""

    def __init__(self) -> None:
        self.reports: list[Report] = []

    async def report(self, report: Report) -> None:
        self.reports.append(report)


def engine_only(*rules: AnyRule, loaded: bool = True) -> Engine:
    noon_us = time.time_ns() // 1000  # a clock that stands still: windows do not turn
    snapshot = compile_snapshot(rules, version=7) if loaded else None
    return Engine(MemoryCounters(lambda: noon_us), snapshot)


def services(
    *rules: AnyRule, loaded: bool = True, max_shared_buckets: int = MAX_BUCKETS
) -> Services:
    """Without a rule database; the decision log ends in a list."""
    engine, decisions = engine_only(*rules, loaded=loaded), DecisionLog(Kept())
    usage = UsageRecorder(decisions, allow_sample=0.0)
    sharing = QuotaSharing(engine, MemoryShares(), usage, max_buckets=max_shared_buckets)
    return Services(EngineChecker(engine, decisions, allow_sample=0.0), Kept(), sharing)
