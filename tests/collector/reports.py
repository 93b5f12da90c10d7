"""Reports as sidecars send them, for the decoders' tests."""

import time

from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from collector.model import Report, Signal
from collector.proto import envoy_pb2 as pb

SECOND = 10**9
# Rows older than a table's retention are dropped at the next merge, so tests live in the present.
NOW_NS = time.time_ns()
TRACE_ID, SPAN_ID = bytes(range(1, 17)), bytes(range(1, 9))


def text(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))


def span(**fields: object) -> Span:
    """A server's span of 5 ms, but for what is told."""
    usual: dict[str, object] = {
        "trace_id": TRACE_ID,
        "span_id": SPAN_ID,
        "name": "GET /",
        "kind": Span.SPAN_KIND_SERVER,
        "start_time_unix_nano": NOW_NS - SECOND,
        "end_time_unix_nano": NOW_NS - SECOND + 5_000_000,
    }
    return Span(**(usual | fields))  # type: ignore[arg-type]


def traces(*spans: Span, service: str = "b.default") -> ExportTraceServiceRequest:
    resource = Resource(attributes=[text("service.name", service)])
    resource_spans = ResourceSpans(resource=resource, scope_spans=[ScopeSpans(spans=spans)])
    return ExportTraceServiceRequest(resource_spans=[resource_spans])


def log_record(**fields: object) -> LogRecord:
    """A second ago, at INFO, but for what is told."""
    usual: dict[str, object] = {
        "time_unix_nano": NOW_NS - SECOND,
        "severity_number": 9,
        "severity_text": "INFO",
        "body": AnyValue(string_value="it happened"),
    }
    return LogRecord(**(usual | fields))  # type: ignore[arg-type]


def logs(*records: LogRecord, scope: str = "", **resource: str) -> ExportLogsServiceRequest:
    """Of b.default, or of what `resource` says; "__" in its names stands for a dot."""
    resource_logs = ResourceLogs(
        resource=resource_of(resource),
        scope_logs=[ScopeLogs(scope=InstrumentationScope(name=scope), log_records=records)],
    )
    return ExportLogsServiceRequest(resource_logs=[resource_logs])


def number_point(**fields: object) -> NumberDataPoint:
    """7, a second ago, since a minute ago, but for what is told."""
    usual: dict[str, object] = {
        "time_unix_nano": NOW_NS - SECOND,
        "start_time_unix_nano": NOW_NS - 60 * SECOND,
        "attributes": [text("code", "200")],
    }
    if "as_double" not in fields:
        usual["as_int"] = 7
    return NumberDataPoint(**(usual | fields))  # type: ignore[arg-type]


def counter(*points: NumberDataPoint, **fields: object) -> Metric:
    """A cumulative sum that only rises."""
    usual: dict[str, object] = {
        "data_points": points,
        "aggregation_temporality": AGGREGATION_TEMPORALITY_CUMULATIVE,
        "is_monotonic": True,
    }
    return Metric(name="requests", unit="1", sum=Sum(**(usual | fields)))  # type: ignore[arg-type]


def metrics(*told: Metric, scope: str = "", **resource: str) -> ExportMetricsServiceRequest:
    """Of b.default, or of what `resource` says; "__" in its names stands for a dot."""
    resource_metrics = ResourceMetrics(
        resource=resource_of(resource),
        scope_metrics=[ScopeMetrics(scope=InstrumentationScope(name=scope), metrics=told)],
    )
    return ExportMetricsServiceRequest(resource_metrics=[resource_metrics])


def resource_of(told: dict[str, str]) -> Resource:
    found = {name.replace("__", "."): value for name, value in told.items()}
    found = found or {"service.name": "b.default"}
    return Resource(attributes=[text(*pair) for pair in found.items()])


def report(
    body: Message | bytes,
    signal: Signal = Signal.OTLP_TRACES,
    identity: str = "b-1.default",
    received_ns: int = NOW_NS,
) -> Report:
    """Accepted when the session began. A test that tells times of its own, later ones, tells when
    it was accepted too: ten minutes later they would be in the future, and refused."""
    raw = body if isinstance(body, bytes) else body.SerializeToString()
    return Report(signal, raw, received_ns, identity)


def http_entry() -> pb.HTTPAccessLogEntry:
    """A GET of / that took 5 ms and was answered 200."""
    entry = pb.HTTPAccessLogEntry()
    common = entry.common_properties
    common.start_time.FromNanoseconds(NOW_NS - SECOND)
    common.duration.FromMilliseconds(5)
    common.stream_id = "stream-1"
    entry.request.request_method = 1
    entry.request.authority = "b.default"
    entry.request.path = "/"
    entry.response.response_code.value = 200
    return entry


def tcp_entry() -> pb.TCPAccessLogEntry:
    """A connection that ended after 2 s."""
    entry = pb.TCPAccessLogEntry()
    common = entry.common_properties
    common.start_time.FromNanoseconds(NOW_NS - 3 * SECOND)
    common.duration.FromSeconds(2)
    common.access_log_type = 3
    entry.connection_properties.received_bytes = 100
    entry.connection_properties.sent_bytes = 2000
    return entry


def access_log(
    *entries: pb.HTTPAccessLogEntry | pb.TCPAccessLogEntry,
    log_name: str = "inbound",
    cluster: str = "b.default",
) -> pb.StreamAccessLogsMessage:
    message = pb.StreamAccessLogsMessage()
    message.identifier.node.id = "b-1.default"
    message.identifier.node.cluster = cluster
    message.identifier.log_name = log_name
    for entry in entries:
        if isinstance(entry, pb.HTTPAccessLogEntry):
            message.http_logs.log_entry.append(entry)
        else:
            message.tcp_logs.log_entry.append(entry)
    return message
