"""Report: counted, and on disk before it returns."""

from prometheus_client import Counter

from collector.model import Report, Signal
from collector.outbox import Outbox, Refusal

REPORTS = Counter("meshmeter_reports", "reports accepted, on disk", ["signal"])
BYTES = Counter("meshmeter_report_bytes", "bytes of the reports accepted", ["signal"])
DUPLICATES = Counter(
    "meshmeter_ingest_duplicate_requests",
    "accepted reports that were here already, stored once",
    ["signal"],
)
REFUSED = Counter(
    "meshmeter_reports_refused", "reports the outbox could not take", ["signal", "reason"]
)


class OutboxReporter:
    """`services.Reporter`. Accepted reports less duplicates are what must be stored."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._counters = {
            signal: (REPORTS.labels(signal), BYTES.labels(signal), DUPLICATES.labels(signal))
            for signal in Signal
        }

    async def report(self, report: Report) -> None:
        """Raises Overloaded."""
        try:
            added = await self._outbox.append([report])
        except Refusal as error:
            REFUSED.labels(report.signal, error.reason).inc()
            raise
        accepted, size, duplicates = self._counters[report.signal]
        accepted.inc()
        size.inc(len(report.body))
        if not added:
            duplicates.inc()
