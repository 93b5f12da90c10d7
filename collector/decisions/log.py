"""The decision log: every denial and a sample of the allows, as JSON lines to the reporter.

The keys are the columns of table `decisions`. Nothing here delays or fails a check: lines wait in
a bounded buffer, and what does not fit is counted as dropped.
"""

import asyncio
import json
import logging
import re
import time
from collections.abc import Mapping
from typing import Any

from prometheus_client import Counter

from collector.decisions.recent import RecentDecisions
from collector.errors import CollectorError
from collector.model import Report, Signal
from collector.services import Reporter
from policy.attributes import AttributeBag
from policy.results import Decision

log = logging.getLogger(__name__)

RECORDED = Counter("meshmeter_decisions_recorded", "decision records handed to the reporter")
DROPPED = Counter("meshmeter_decisions_dropped", "decision records lost for want of room")

BATCH_LINES = 256
EVERY_S = 0.1
MAX_LINES = 20_000
RETRY_S = 0.5
MAX_TEXT = 2048  # characters of one field
TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
B3 = re.compile(r"(?:[0-9a-f]{16}){1,2}")


class DecisionLog:
    """Used on one event loop, that of the checks."""

    def __init__(
        self,
        reporter: Reporter,
        *,
        identity: str = "collector",
        max_lines: int = MAX_LINES,
    ) -> None:
        self.recent = RecentDecisions()
        self._reporter = reporter
        self._identity = identity
        self._max_lines = max_lines
        self._lines: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        self._sending: asyncio.Task[None] | None = None

    def add(self, decision: Decision, bag: AttributeBag, protocol: str, weight: float) -> None:
        if len(self._lines) >= self._max_lines:
            DROPPED.inc()
            return
        written = line(decision, bag, protocol, weight)
        self._lines.append(written)
        self.recent.keep(decision.id, written)
        if self._sending:
            return
        if len(self._lines) >= BATCH_LINES:
            self._send_now()
        elif not self._timer:
            self._timer = asyncio.get_running_loop().call_later(EVERY_S, self._send_now)

    async def close(self) -> None:
        """Hands over what is left, trying once; what is not taken is dropped and counted."""
        if self._timer:
            self._timer.cancel()
        if self._sending:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)
        while self._lines:
            batch = self._next_batch()
            if not await self._hand_over(batch):
                DROPPED.inc(len(batch) + len(self._lines))
                self._lines.clear()

    def _send_now(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = None
        self._sending = asyncio.get_running_loop().create_task(self._send())
        self._sending.add_done_callback(self._sent)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sending = None
        if not task.cancelled() and (error := task.exception()):
            log.error("decision records are lost", exc_info=error)

    async def _send(self) -> None:
        """Until the buffer is empty; a batch that is refused stays and is tried again."""
        while self._lines:
            batch = self._next_batch()
            try:
                taken = await self._hand_over(batch)
            except asyncio.CancelledError:
                self._lines[:0] = batch
                raise
            if not taken:
                self._lines[:0] = batch
                await asyncio.sleep(RETRY_S)

    def _next_batch(self) -> list[bytes]:
        batch, self._lines = self._lines[:BATCH_LINES], self._lines[BATCH_LINES:]
        return batch

    async def _hand_over(self, batch: list[bytes]) -> bool:
        report = Report(
            Signal.DECISIONS,
            b"".join(batch),
            time.time_ns(),
            self._identity,
            len(batch),
            headroom=True,
        )
        try:
            await self._reporter.report(report)
        except CollectorError as error:
            log.warning("decision records are not taken", extra={"why": str(error)})
            return False
        RECORDED.inc(len(batch))
        return True


def line(decision: Decision, bag: AttributeBag, protocol: str, weight: float) -> bytes:
    text = bag.text
    record: dict[str, Any] = {
        "time": time.time_ns(),
        "id": decision.id,
        "allowed": int(decision.allowed),
        "rule": decision.rule,
        "rule_version": decision.rule_version,
        "snapshot_version": decision.snapshot_version,
        "decided_by": str(decision.decided_by),
        "reason": decision.reason,
        "http_status": 0 if decision.allowed else decision.http_status,
        "protocol": protocol,
        "source": text("source.service"),
        "destination": text("destination.service"),
        "source_principal": text("source.principal"),
        "method": text("request.method"),
        "path": text("request.path")[:MAX_TEXT],
        "request_id": text("request.id")[:MAX_TEXT],
        "trace_id": trace_id(bag),
        "quota_limit": decision.limit,
        "quota_remaining": decision.remaining,
        "quota_granted": decision.granted,
        "quota_key": decision.quota_key,
        "quota_override": decision.override,
        "attributes": {
            name: value[:MAX_TEXT] for name, value in decision.attributes.items()
        },
        "weight": weight,
    }  # fmt: skip
    if decision.beside:
        record |= {
            "beside_rule": [verdict.rule for verdict in decision.beside],
            "beside_version": [verdict.rule_version for verdict in decision.beside],
            "beside_allowed": [int(verdict.allowed) for verdict in decision.beside],
            "beside_live": [
                -1 if verdict.live is None else int(verdict.live) for verdict in decision.beside
            ],
            "beside_key": [verdict.quota_key for verdict in decision.beside],
        }
    return json.dumps(record, separators=(",", ":")).encode() + b"\n"


def trace_id(bag: AttributeBag) -> str:
    """Of W3C's traceparent or Zipkin's b3 headers; "" when there is none."""
    headers = bag.get("request.headers")
    if not isinstance(headers, Mapping):
        return ""
    found = TRACEPARENT.fullmatch(headers.get("traceparent", ""))
    if found:
        return found.group(1)
    b3 = headers.get("x-b3-traceid", "") or headers.get("b3", "").partition("-")[0]
    return b3.zfill(32) if B3.fullmatch(b3) else ""
