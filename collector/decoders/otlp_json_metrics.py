"""Metrics in OTLP/JSON: objects with the fields of the messages Metric and its data points.

A metric's points stay raw: a bad one costs only itself.
Source: opentelemetry/proto/metrics/v1/metrics.proto
"""

from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct, field
from msgspec.json import Decoder
from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb

from collector.decoders.inspection import Inspection, inspect
from collector.decoders.lenient import Unreadable
from collector.decoders.limits import Reason, refused_time
from collector.decoders.otlp_json import JsonShape, number, read, signed, uint64
from collector.decoders.otlp_json_values import KeyValue
from collector.decoders.otlp_outline import Outline

TEMPORALITIES = dict(pb.AggregationTemporality.items())

Kind = Literal["gauge", "sum", "histogram", "exponential_histogram", "summary"]
KINDS: tuple[Kind, ...] = ("gauge", "sum", "histogram", "exponential_histogram", "summary")


class Points(Struct, rename="camel", omit_defaults=True, gc=False):
    data_points: list[Raw] = []
    told_temporality: int | str = field(default=0, name="aggregationTemporality")
    is_monotonic: bool = False

    @property
    def aggregation_temporality(self) -> int:
        return number(self.told_temporality, TEMPORALITIES)


class JsonMetric(Struct, rename="camel", omit_defaults=True, gc=False):
    name: str = ""
    description: str = ""
    unit: str = ""
    gauge: Points | None = None
    sum: Points | None = None
    histogram: Points | None = None
    exponential_histogram: Points | None = None
    summary: Points | None = None

    def WhichOneof(self, _name: str) -> Kind | None:  # noqa: N802 (protobuf's name)
        return next((kind for kind in KINDS if getattr(self, kind) is not None), None)


class PointHead(Struct, rename="camel", gc=False):
    """What of a point decides whether it can be stored."""

    time_unix_nano: int = 0


class Point(PointHead, rename="camel", gc=False):
    start_time_unix_nano: int = 0
    attributes: list[KeyValue] = []
    flags: int = 0

    def HasField(self, name: str) -> bool:  # noqa: N802
        return getattr(self, name) is not None


class NumberPoint(Point, rename="camel", gc=False):
    as_double: float | None = None
    as_int: int | None = None

    def WhichOneof(self, _name: str) -> Literal["as_double", "as_int"] | None:  # noqa: N802
        if self.as_int is not None:
            return "as_int"
        return None if self.as_double is None else "as_double"


class SummedPoint(Point, rename="camel", gc=False):
    count: int = 0
    sum: float | None = None


class HistogramPoint(SummedPoint, rename="camel", gc=False):
    bucket_counts: list[int] = []
    explicit_bounds: list[float] = []
    min: float | None = None
    max: float | None = None


class Buckets(Struct, rename="camel", gc=False):
    offset: int = 0
    bucket_counts: list[int] = []


class ExponentialPoint(SummedPoint, rename="camel", gc=False):
    scale: int = 0
    zero_count: int = 0
    zero_threshold: float = 0.0
    positive: Buckets = field(default_factory=Buckets)
    negative: Buckets = field(default_factory=Buckets)
    min: float | None = None
    max: float | None = None


class Quantile(Struct, gc=False):
    quantile: float = 0.0
    value: float = 0.0


class SummaryPoint(SummedPoint, rename="camel", gc=False):
    quantile_values: list[Quantile] = []


DECODERS: dict[Kind, Decoder[Any]] = {
    "gauge": Decoder(NumberPoint, strict=False),
    "sum": Decoder(NumberPoint, strict=False),
    "histogram": Decoder(HistogramPoint, strict=False),
    "exponential_histogram": Decoder(ExponentialPoint, strict=False),
    "summary": Decoder(SummaryPoint, strict=False),
}


def read_point(kind: Kind, body: bytes | Raw) -> Any:
    """Raises Unreadable."""
    point = read(DECODERS[kind], body)
    check(point)
    return point


def check(point: Point) -> None:
    """Raises Unreadable for a number that the message has no room for."""
    uint64("timeUnixNano", point.time_unix_nano)
    uint64("startTimeUnixNano", point.start_time_unix_nano)
    match point:
        case NumberPoint():
            signed("asInt", point.as_int or 0, 64)
        case HistogramPoint():
            uint64("count", point.count)
            check_counts(point.bucket_counts)
        case ExponentialPoint():
            uint64("count", point.count)
            uint64("zeroCount", point.zero_count)
            signed("scale", point.scale, 32)
            for buckets in (point.positive, point.negative):
                signed("offset", buckets.offset, 32)
                check_counts(buckets.bucket_counts)
        case SummaryPoint():
            uint64("count", point.count)


def check_counts(counts: list[int]) -> None:
    if counts:
        uint64("bucketCounts", min(counts))
        uint64("bucketCounts", max(counts))


def alone(metric: JsonMetric, kind: Kind, point: bytes | Raw) -> bytes:
    """The metric with this point and no other."""
    points = msgspec.structs.replace(getattr(metric, kind), data_points=[Raw(bytes(point))])
    return msgspec.json.encode(msgspec.structs.replace(metric, **{kind: points}))


def nothing_to_check(_metric: JsonMetric) -> None:
    """Its points are looked at one by one."""


OUTLINE = Outline("ExportMetricsServiceRequest", "resourceMetrics", "scopeMetrics", "metrics")
METRIC = Decoder(JsonMetric, strict=False)
JSON_SHAPE = JsonShape(OUTLINE, METRIC, nothing_to_check)
HEAD = Decoder(PointHead, strict=False)


def inspect_metrics_json(body: bytes, received_ns: int) -> Inspection:
    """As `skeleton.inspect_metrics`: items are data points. Raises Malformed, TooLarge."""
    return inspect(OUTLINE.read_first(body), received_ns, look_at_metric)


def look_at_metric(body: bytes | Raw, received_ns: int, found: Inspection) -> None:
    try:
        metric = read(METRIC, body)
    except Unreadable:
        found.note((Reason.UNREADABLE, "a metric cannot be read"))
        return
    kind = metric.WhichOneof("data")
    if kind is None:
        return
    points: Points = getattr(metric, kind)
    found.expect(len(points.data_points))
    for point in points.data_points:
        try:
            head = read(HEAD, point)
            uint64("timeUnixNano", head.time_unix_nano)
        except Unreadable:
            found.note((Reason.UNREADABLE, "a data point cannot be read"))
        else:
            found.note(refused_time(head.time_unix_nano, received_ns, "time"))
