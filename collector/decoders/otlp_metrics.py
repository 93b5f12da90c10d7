"""OTLP metrics: an ExportMetricsServiceRequest's data points, in either encoding, as rows.

Points are kept as they were sent, cumulative ones too; `store/queries/metric_rates.py` differences
them. What a series is, is decided here.
Source: opentelemetry/proto/metrics/v1/metrics.proto, the OpenTelemetry metrics data model.
"""

from collections.abc import Callable, Iterable
from functools import partial
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb

from collector.decoders import otlp_json_metrics
from collector.decoders.decoded import Collected
from collector.decoders.lenient import Unreadable, parse
from collector.decoders.limits import MAX_KEY_BYTES, Reason, Refusal, refused_time
from collector.decoders.metric_values import NO_RECORDED_VALUE, VALUES, BadPoint
from collector.decoders.otlp_json import json_parts
from collector.decoders.otlp_json_metrics import JSON_SHAPE, JsonMetric, Kind
from collector.decoders.otlp_parts import Part, Shape, salvage
from collector.decoders.span_rules import service_name
from collector.decoders.text import cut, texts
from collector.model import Report
from collector.proto.skeleton_pb2 import Metric
from collector.store.tables import MetricPointRow

TEMPORALITIES = {1: "delta", 2: "cumulative"}
# One of these in a resource tells two instances of a service apart, whoever sends for them.
INSTANCE_KEYS = ("service.instance.id", "k8s.pod.uid", "k8s.pod.name", "container.id")
MAX_TIME_NS = 2**63 - 1  # what DateTime64(9) holds
SMALLEST_NS = 10**17  # the year 1973 in nanoseconds, and the year 5138 in microseconds

SHAPE = Shape(ExportMetricsServiceRequest, "resource_metrics", "scope_metrics", "metrics", Metric)
POINTS: dict[Kind, type[Any]] = {
    "gauge": pb.NumberDataPoint,
    "sum": pb.NumberDataPoint,
    "histogram": pb.HistogramDataPoint,
    "exponential_histogram": pb.ExponentialHistogramDataPoint,
    "summary": pb.SummaryDataPoint,
}


class Encoding(NamedTuple):
    """How a point is read of its bytes (raises Unreadable), and put into a metric by itself."""

    read_point: Callable[[Kind, bytes | Raw], Any]
    alone: Callable[[Any, Kind, bytes | Raw], bytes]


def decode(report: Report, out: Collected) -> None:
    """Raises Unreadable."""
    add(report, out, salvage(report, out, SHAPE), Encoding(read_point, alone))


def decode_json(report: Report, out: Collected) -> None:
    """Raises Unreadable."""
    found = json_parts(report, out, JSON_SHAPE)
    add(report, out, found, Encoding(otlp_json_metrics.read_point, otlp_json_metrics.alone))


def read_point(kind: Kind, body: bytes | Raw) -> Any:
    return parse(POINTS[kind], bytes(body))


def alone(metric: Metric, kind: Kind, point: bytes | Raw) -> bytes:
    found = Metric()
    found.CopyFrom(metric)
    getattr(found, kind).data_points[:] = [bytes(point)]
    return found.SerializeToString()


class Origin(NamedTuple):
    """Whose points they are."""

    service: str
    node: str
    sender: int
    scope: str
    resource: dict[str, str]

    @classmethod
    def of(cls, report: Report, part: Part[Any]) -> "Origin":
        resource = texts(part.resource.attributes)
        named = any(resource.get(key) for key in INSTANCE_KEYS)
        sender = hashed([sorted(resource.items()), "" if named else report.identity])
        scope = cut(part.scope.name)
        return cls(service_name(resource), report.identity, sender, scope, resource)


class Series(NamedTuple):
    """What the points of a metric have in common: these columns, in this order."""

    metric: str
    kind: Kind
    temporality: str
    monotonic: int
    unit: str

    @classmethod
    def of(cls, metric: Metric | JsonMetric, kind: Kind) -> "Series":
        """A summary counts from its start; the protocol has no field to say so."""
        told: Any = getattr(metric, kind)
        temporality = TEMPORALITIES.get(told.aggregation_temporality, "none")
        if kind == "gauge":
            temporality = "none"
        if kind == "summary":
            temporality = "cumulative"
        monotonic = told.is_monotonic if kind == "sum" else kind != "gauge"
        name, unit = cut(metric.name, MAX_KEY_BYTES), cut(metric.unit)
        return cls(name, kind, temporality, int(monotonic), unit)


def add(
    report: Report,
    out: Collected,
    found: Iterable[Part[Metric] | Part[JsonMetric]],
    encoding: Encoding,
) -> None:
    for part in found:
        origin = Origin.of(report, part)
        for metric, _ in part.items:
            kind = metric.WhichOneof("data")
            if kind is None:
                continue
            series = Series.of(metric, kind)
            for body in getattr(metric, kind).data_points:
                read = partial(encoding.read_point, kind, body)
                made = row(read, series, origin, report.received_ns)
                if isinstance(made, MetricPointRow):
                    out.rows.append(made)
                elif made is None:
                    out.skipped += 1
                else:
                    item = encoding.alone(metric, kind, body)
                    out.refuse(report, made, item)


def row(
    read: Callable[[], Any], series: Series, origin: Origin, received_ns: int
) -> MetricPointRow | Refusal | None:
    """None for a point that says it has no value."""
    try:
        point = read()
    except Unreadable as error:
        return Reason.UNREADABLE, str(error)
    refusal = refused_time(point.time_unix_nano, received_ns, "time")
    if refusal:
        return refusal
    if point.flags & NO_RECORDED_VALUE:
        return None
    if not series.metric:
        return Reason.BAD_POINT, "the metric has no name"
    try:
        values = VALUES[series.kind](point)
    except BadPoint as error:
        return Reason.BAD_POINT, str(error)
    attributes = texts(point.attributes)
    return MetricPointRow(
        point.time_unix_nano,
        start_ns(point.start_time_unix_nano),
        *series,
        origin.service,
        origin.node,
        origin.sender,
        hashed([origin.sender, origin.scope, series, sorted(attributes.items())]),
        origin.scope,
        attributes,
        origin.resource,
        **values,
    )


def start_ns(told: int) -> int:
    """It may be in microseconds, as Envoy's stats sink sends it; 0: it was not told."""
    while 0 < told < SMALLEST_NS:
        told *= 1000
    return min(told, MAX_TIME_NS)


def hashed(facts: Any) -> int:
    """The same wherever and whenever it is computed."""
    digest = blake2b(msgspec.json.encode(facts), digest_size=8).digest()
    return int.from_bytes(digest, "big")
