"""Check front-ends over the real engine, with rules of the test's own and counters in memory."""

import time
from collections.abc import Awaitable

from collector.model import Report
from collector.services import Services
from policy.attributes import AttributeBag
from policy.engine import Engine
from policy.quota.memory import MemoryCounters
from policy.results import Decision
from policy.rules import AnyRule
from policy.snapshot import compile_snapshot

US = 1_000_000


class EngineOnly:
    """A checker that keeps no decision log, and a reporter that nothing is reported to."""

    def __init__(self, *rules: AnyRule) -> None:
        noon_us = time.time_ns() // 1000  # a clock that stands still: windows do not turn
        counters = MemoryCounters(lambda: noon_us)
        self.engine = Engine(counters, compile_snapshot(rules, version=7))
        self.protocols: list[str] = []

    def check(
        self, bag: AttributeBag, *, protocol: str, hits: int = 1, deadline_s: float | None = None
    ) -> Decision | Awaitable[Decision]:
        self.protocols.append(protocol)
        return self.engine.check(bag, hits, deadline_s)

    async def report(self, report: Report) -> None:
        raise AssertionError(f"a check reported {report.signal}")


def services(*rules: AnyRule) -> Services:
    both = EngineOnly(*rules)
    return Services(checker=both, reporter=both)
