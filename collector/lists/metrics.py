"""Lists as metrics, made when they are scraped."""

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import REGISTRY, Collector, CollectorRegistry

from collector.lists.keeper import ListKeeper

LABELS = ["list"]


class ListMetrics(Collector):
    def __init__(self, keeper: ListKeeper, registry: CollectorRegistry = REGISTRY) -> None:
        self._keeper = keeper
        self._registry = registry
        registry.register(self)

    def collect(self) -> Iterable[Metric]:
        entries = GaugeMetricFamily("meshmeter_list_entries", "entries in force", labels=LABELS)
        age = GaugeMetricFamily(
            "meshmeter_list_age_seconds",
            "since the list's source last said that these are its entries",
            labels=LABELS,
        )
        stale = GaugeMetricFamily(
            "meshmeter_list_stale", "1: older than its ttl, or never fetched", labels=LABELS
        )
        fetches = CounterMetricFamily(
            "meshmeter_list_fetches", "times the list's source was asked", labels=LABELS
        )
        failures = CounterMetricFamily(
            "meshmeter_list_failures", "of these, times it was of no use", labels=LABELS
        )
        unanswered = CounterMetricFamily(
            "meshmeter_list_unanswered",
            "times a rule asked the list while it was never fetched",
            labels=LABELS,
        )
        for name, status in self._keeper.statuses().items():
            entries.add_metric([name], status.entries)
            unanswered.add_metric([name], status.unanswered)
            if not status.source:
                continue
            stale.add_metric([name], status.stale)
            fetches.add_metric([name], status.fetches)
            failures.add_metric([name], status.failures)
            if status.age is not None:
                age.add_metric([name], status.age)
        return entries, age, stale, fetches, failures, unanswered

    def describe(self) -> Iterable[Metric]:
        return []

    def close(self) -> None:
        self._registry.unregister(self)
