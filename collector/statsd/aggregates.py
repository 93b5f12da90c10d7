"""What was said in a while, added up by sender and series; then one OTLP request a sender.

A gauge keeps its level from one while to the next, for it may be moved by a difference. All that
is remembered is bounded: beyond it, what is new is refused.
"""

from collections import OrderedDict
from collections.abc import Container
from dataclasses import dataclass, field
from typing import NamedTuple

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AggregationTemporality,
    ExponentialHistogramDataPoint,
    Metric,
    NumberDataPoint,
    ScopeMetrics,
)

from collector.statsd.distribution import Distribution
from collector.statsd.lines import BadLine, Kind, Sample, Series

MAX_ENTRIES = 200_000  # series, their buckets, the members of sets: some 150 bytes each
ENTRY_BYTES = 100  # of a series' name and tags: longer ones count for more
MAX_LEVELS = 20_000  # gauges whose level is remembered
SERVICE_TAG = "service"
SCOPE = "statsd"
UNITS = {Kind.TIMER: "ms"}
DELTA = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA


class Flushed(NamedTuple):
    """`body`: an ExportMetricsServiceRequest of so many `points`."""

    sender: str
    body: bytes
    points: int


@dataclass
class Sender:
    numbers: dict[Series, float] = field(default_factory=dict)  # counters and gauges
    distributions: dict[Series, Distribution] = field(default_factory=dict)
    sets: dict[Series, set[str]] = field(default_factory=dict)


class Aggregates:
    def __init__(self, max_entries: int = MAX_ENTRIES) -> None:
        self._max_entries = max_entries
        self._entries = 0
        self._senders: dict[str, Sender] = {}
        self._levels: OrderedDict[tuple[str, Series], float] = OrderedDict()

    def add(self, sender: str, sample: Sample) -> None:
        """Raises BadLine when it is new and there is no room."""
        found = self._senders.get(sender)
        if found is None:
            self._take(1)
            found = self._senders[sender] = Sender()
        series = sample.series
        match series.kind:
            case Kind.COUNTER:
                self._meet(series, found.numbers)
                before = found.numbers.get(series, 0.0)
                found.numbers[series] = before + sample.value * sample.weight
            case Kind.GAUGE:
                self._meet(series, found.numbers)
                found.numbers[series] = self._level(sender, sample)
            case Kind.SET:
                self._meet(series, found.sets)
                members = found.sets.setdefault(series, set())
                if sample.member not in members:
                    self._take(1 + len(sample.member) // ENTRY_BYTES)
                    members.add(sample.member)
            case _:
                self._meet(series, found.distributions)
                self._observe(found.distributions.setdefault(series, Distribution()), sample)

    def _meet(self, series: Series, known: Container[Series]) -> None:
        if series not in known:
            text = len(series.name) + sum(len(key) + len(value) for key, value in series.tags)
            self._take(1 + text // ENTRY_BYTES)

    def _take(self, entries: int) -> None:
        if self._entries + entries > self._max_entries:
            raise BadLine("too_many")
        self._entries += entries

    def _observe(self, distribution: Distribution, sample: Sample) -> None:
        before = distribution.size
        room = self._entries < self._max_entries
        if not distribution.add(sample.value, sample.weight, grow=room):
            raise BadLine("too_many")
        self._entries += distribution.size - before

    def _level(self, sender: str, sample: Sample) -> float:
        """The gauge's new one. The longest untouched is forgotten first, and counts from 0."""
        key = sender, sample.series
        before = self._levels.pop(key, 0.0)
        level = self._levels[key] = before + sample.value if sample.change else sample.value
        if len(self._levels) > MAX_LEVELS:
            self._levels.popitem(last=False)
        return level

    def flush(self, start_ns: int, end_ns: int) -> list[Flushed]:
        """What was added since the last time, which was at `start_ns`."""
        senders, self._senders, self._entries = self._senders, {}, 0
        return [flushed(name, told, start_ns, end_ns) for name, told in senders.items()]


def flushed(name: str, told: Sender, start_ns: int, end_ns: int) -> Flushed:
    request = Request(start_ns, end_ns)
    for series, value in told.numbers.items():
        if series.kind is Kind.COUNTER:
            metric = request.metric(series)
            metric.sum.aggregation_temporality = DELTA
            metric.sum.is_monotonic = True
            request.number(metric.sum.data_points.add(), series, value)
        else:
            request.number(request.metric(series).gauge.data_points.add(), series, value)
    for series, members in told.sets.items():
        request.number(request.metric(series).gauge.data_points.add(), series, len(members))
    for series, distribution in told.distributions.items():
        metric = request.metric(series)
        metric.unit = UNITS.get(series.kind, "")
        metric.exponential_histogram.aggregation_temporality = DELTA
        point = metric.exponential_histogram.data_points.add()
        distribution.fill(point)
        request.locate(point, series)
    return Flushed(name, request.message.SerializeToString(), request.points)


class Request:
    """An OTLP request in the making: a metric for each name and kind, under its service."""

    def __init__(self, start_ns: int, end_ns: int) -> None:
        self.message = ExportMetricsServiceRequest()
        self.points = 0
        self._start_ns = start_ns
        self._end_ns = end_ns
        self._scopes: dict[str, ScopeMetrics] = {}
        self._metrics: dict[tuple[str, str, Kind], Metric] = {}

    def metric(self, series: Series) -> Metric:
        service = dict(series.tags).get(SERVICE_TAG, "")
        key = service, series.name, series.kind
        found = self._metrics.get(key)
        if found is None:
            found = self._metrics[key] = self._scope(service).metrics.add(name=series.name)
        return found

    def _scope(self, service: str) -> ScopeMetrics:
        found = self._scopes.get(service)
        if found is None:
            resource_metrics = self.message.resource_metrics.add()
            if service:
                resource_metrics.resource.attributes.append(text("service.name", service))
            found = self._scopes[service] = resource_metrics.scope_metrics.add()
            found.scope.name = SCOPE
        return found

    def number(self, point: NumberDataPoint, series: Series, value: float) -> None:
        point.as_double = value
        self.locate(point, series)

    def locate(
        self, point: NumberDataPoint | ExponentialHistogramDataPoint, series: Series
    ) -> None:
        point.start_time_unix_nano, point.time_unix_nano = self._start_ns, self._end_ns
        point.attributes.extend(text(key, value) for key, value in series.tags)
        self.points += 1


def text(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))
