"""What this collector took of quotas in advance, as a metric, read when it is scraped."""

from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import REGISTRY, Collector, CollectorRegistry

from policy.quota.leased import LeasedCounters


class LeaseMetrics(Collector):
    """Over all collectors their sum is by how much more than its limit a token bucket can admit."""

    def __init__(self, counters: LeasedCounters, registry: CollectorRegistry = REGISTRY) -> None:
        self._counters = counters
        self._registry = registry
        registry.register(self)

    def collect(self) -> Iterable[Metric]:
        leased = GaugeMetricFamily(
            "meshmeter_quota_leased", "taken in advance and not used yet", labels=["rule"]
        )
        for rule, amount in self._counters.outstanding.items():
            leased.add_metric([rule], amount)
        return [leased]

    def describe(self) -> Iterable[Metric]:
        return []

    def close(self) -> None:
        self._registry.unregister(self)
