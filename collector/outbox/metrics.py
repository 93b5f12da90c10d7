"""The outbox and its books as gauges, read when they are scraped: zero means drained, now."""

import contextlib
from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import REGISTRY, Collector, CollectorRegistry

from collector.outbox.outbox import Outbox
from collector.outbox.refusals import Refusal

GAUGES: dict[str, tuple[str, str]] = {
    "pending_requests": ("pending_requests", "reports accepted and not yet stored"),
    "pending_groups": ("pending_groups", "groups frozen and not yet stored"),
    "pending_bytes": ("pending_bytes", "bytes accepted and not yet stored"),
    "oldest_seconds": ("oldest_s", "age of the oldest report not yet stored"),
    "quarantined_groups": ("quarantined_groups", "groups given up after too many attempts"),
    "used_bytes": ("used_bytes", "bytes of the outbox file in use"),
    "max_bytes": ("max_bytes", "bytes it may have"),
    "time_to_full_seconds": (
        "time_to_full_s",
        "until nobody can add to it, at the rate of the last minute",
    ),
}

STATES = (
    "accepted", "stored", "skipped", "discarded", "pending", "quarantined", "difference"
)  # fmt: skip


class OutboxMetrics(Collector):
    def __init__(self, outbox: Outbox, registry: CollectorRegistry = REGISTRY) -> None:
        self._outbox = outbox
        self._registry = registry
        self._last = outbox.stats()
        self._books = outbox.books()
        registry.register(self)

    def collect(self) -> Iterable[GaugeMetricFamily]:
        with contextlib.suppress(Refusal):  # a broken outbox: other metrics matter all the more
            self._last = self._outbox.stats()
            self._books = self._outbox.books()
        for name, (field, help_) in GAUGES.items():
            yield GaugeMetricFamily(
                f"meshmeter_outbox_{name}", help_, value=float(getattr(self._last, field))
            )

        yield GaugeMetricFamily(
            "meshmeter_outbox_broken_files",
            "files that could not be written and wait for a restart",
            value=self._outbox.broken_files,
        )
        items = GaugeMetricFamily(
            "meshmeter_items",
            "items accepted since the outbox was made, and what became of them",
            labels=["signal", "client", "state", "reason"],
        )
        for entry in self._books:
            for state in STATES:
                items.add_metric([entry.signal, entry.client, state, ""], getattr(entry, state))
            for reason, refused in entry.refused.items():
                items.add_metric([entry.signal, entry.client, "refused", reason], refused)
        yield items

    def describe(self) -> Iterable[GaugeMetricFamily]:
        return []

    def close(self) -> None:
        """No longer scraped: before the outbox is closed."""
        self._registry.unregister(self)
