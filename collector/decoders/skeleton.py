"""The outline of an OTLP request in protobuf, its items still bytes."""

from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1 import metrics_pb2
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from collector.decoders.bounds import refuse_crowd, refuse_full_item
from collector.decoders.inspection import Inspection, inspect
from collector.decoders.lenient import Unreadable, parse
from collector.decoders.limits import Reason, refused_log, refused_span, refused_time
from collector.proto.skeleton_pb2 import LogHead, Metric, PointHead, Points, Request, SpanHead

RESOURCES, SCOPES, ITEMS, POINTS = (1,), (2,), (2,), (1,)  # fields of these levels
KINDS: dict[str, tuple[int, type[Message]]] = {
    "gauge": (5, metrics_pb2.NumberDataPoint),
    "sum": (7, metrics_pb2.NumberDataPoint),
    "histogram": (9, metrics_pb2.HistogramDataPoint),
    "exponential_histogram": (10, metrics_pb2.ExponentialHistogramDataPoint),
    "summary": (11, metrics_pb2.SummaryDataPoint),
}
KIND_FIELDS = tuple(number for number, _ in KINDS.values())


def read_skeleton(body: bytes, name: str) -> Request:
    """`name` is the request's own. Raises Unreadable, which is Malformed, and TooLarge."""
    try:
        refuse_crowd(body, RESOURCES, SCOPES, ITEMS)
        return Request.FromString(body)
    except (DecodeError, Unreadable) as error:
        raise Unreadable(f"not an {name}: {error}") from error


def inspect_traces(body: bytes, received_ns: int) -> Inspection:
    """Of an ExportTraceServiceRequest. Raises Malformed, and TooLarge over MAX_ITEMS spans.

    Finds bad ids, bad times and spans whose fields cannot be told apart. What is wrong deeper
    inside one, the worker finds.
    """
    return inspect(read_skeleton(body, "ExportTraceServiceRequest"), received_ns, look_at_span)


def look_at_span(span: bytes, received_ns: int, found: Inspection) -> None:
    try:
        refuse_full_item(span, Span.DESCRIPTOR)
        head = SpanHead.FromString(span)
    except (DecodeError, Unreadable):
        found.note((Reason.UNREADABLE, "a span cannot be read"))
        return
    found.note(refused_span(head.trace_id, head.span_id, head.start_time_unix_nano, received_ns))


def inspect_logs(body: bytes, received_ns: int) -> Inspection:
    """Of an ExportLogsServiceRequest: finds bad times. Raises Malformed, TooLarge."""
    return inspect(read_skeleton(body, "ExportLogsServiceRequest"), received_ns, look_at_record)


def look_at_record(record: bytes, received_ns: int, found: Inspection) -> None:
    try:
        refuse_full_item(record, LogRecord.DESCRIPTOR)
        head = LogHead.FromString(record)
    except (DecodeError, Unreadable):
        found.note((Reason.UNREADABLE, "a log record cannot be read"))
        return
    found.note(refused_log(head.time_unix_nano or head.observed_time_unix_nano, received_ns))


def inspect_metrics(body: bytes, received_ns: int) -> Inspection:
    """Of an ExportMetricsServiceRequest: items are data points. Raises Malformed, TooLarge."""
    request = read_skeleton(body, "ExportMetricsServiceRequest")
    return inspect(request, received_ns, look_at_metric)


def look_at_metric(body: bytes, received_ns: int, found: Inspection) -> None:
    try:
        refuse_crowd(body, KIND_FIELDS, POINTS)
        metric = parse(Metric, body)
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
            refuse_full_item(point, KINDS[kind][1].DESCRIPTOR)
            head = PointHead.FromString(point)
        except (DecodeError, Unreadable):
            found.note((Reason.UNREADABLE, "a data point cannot be read"))
        else:
            found.note(refused_time(head.time_unix_nano, received_ns, "time"))
