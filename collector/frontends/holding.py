"""Reports whose sender would not send them again: held for a while when the outbox is full."""

import asyncio
import time

from collector.errors import Overloaded
from collector.frontends.counted import WAITS
from collector.model import Report
from collector.services import Reporter

LONGEST_S = 3.0  # Envoy's tracers give up after 5
FIRST_WAIT_S = 0.05
ROOM_BYTES = 32 * 1024 * 1024  # of all that is held


class Holding:
    """In front of a reporter, for one protocol."""

    def __init__(self, reporter: Reporter, protocol: str, *, longest_s: float = LONGEST_S) -> None:
        self._reporter = reporter
        self._waits = WAITS.labels(protocol)
        self._longest_s = longest_s
        self._held_bytes = 0

    async def report(self, report: Report) -> None:
        """Raises Overloaded, at once when too much is held already."""
        try:
            return await self._reporter.report(report)
        except Overloaded:
            if self._held_bytes + len(report.body) > ROOM_BYTES:
                raise
        self._held_bytes += len(report.body)
        try:
            await self._try_on(report)
        finally:
            self._held_bytes -= len(report.body)

    async def _try_on(self, report: Report) -> None:
        deadline_s = time.monotonic() + self._longest_s
        wait_s = FIRST_WAIT_S
        while True:
            self._waits.inc()
            await asyncio.sleep(wait_s)
            try:
                return await self._reporter.report(report)
            except Overloaded:
                left_s = deadline_s - time.monotonic()
                if left_s <= 0:
                    raise
                wait_s = min(2 * wait_s, left_s)
