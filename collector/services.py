"""What a front-end may call."""

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Protocol

from collector.model import Report
from policy.attributes import AttributeBag
from policy.quota import Dedup as Dedup  # part of what a front-end says
from policy.results import Decision


class Checker(Protocol):
    """May it pass? Decides and records the decision."""

    def check(
        self,
        bag: AttributeBag,
        *,
        protocol: str,
        hits: int = 1,
        deadline_s: float | None = None,
        best_effort: bool = False,
        dedup: Dedup | None = None,
    ) -> Decision | Awaitable[Decision]:
        """A plain Decision when no counter is asked. Never raises for a dependency that is down."""

    async def release(self, lease: str) -> int:
        """A request is over: gives back what its decision's lease holds, and says how much.

        Raises Unready while the counters do not answer; the lease then ends by itself.
        """


class Reporter(Protocol):
    """What happened: on disk before it returns."""

    async def report(self, report: Report) -> None:
        """Raises Overloaded when the outbox cannot take it."""


@dataclass(frozen=True)
class Services:
    checker: Checker
    reporter: Reporter
