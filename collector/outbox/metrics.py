"""The outbox as gauges, read when they are scraped: zero means drained, now."""

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
}


class OutboxMetrics(Collector):
    def __init__(self, outbox: Outbox, registry: CollectorRegistry = REGISTRY) -> None:
        self._outbox = outbox
        self._registry = registry
        self._last = outbox.stats()
        registry.register(self)

    def collect(self) -> Iterable[GaugeMetricFamily]:
        with contextlib.suppress(Refusal):  # a broken outbox: other metrics matter all the more
            self._last = self._outbox.stats()
        for name, (field, help_) in GAUGES.items():
            yield GaugeMetricFamily(
                f"meshmeter_outbox_{name}", help_, value=float(getattr(self._last, field))
            )

    def describe(self) -> Iterable[GaugeMetricFamily]:
        return []

    def close(self) -> None:
        """No longer scraped: before the outbox is closed."""
        self._registry.unregister(self)
