"""Report messages as their senders make them."""

import os
import time

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from collector.proto import envoy_pb2 as pb

MS = 1_000_000  # nanoseconds
LogMessage = pb.StreamAccessLogsMessage


def span(**changes: object) -> Span:
    now_ns = time.time_ns()
    good: dict[str, object] = {
        "trace_id": os.urandom(16),
        "span_id": os.urandom(8),
        "name": "GET /cart",
        "kind": Span.SPAN_KIND_SERVER,
        "start_time_unix_nano": now_ns - 5 * MS,
        "end_time_unix_nano": now_ns,
    }
    return Span(**{**good, **changes})  # type: ignore[arg-type]


def traces(*spans: Span, service: str = "cart") -> bytes:
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    resource_spans.resource.attributes.add(key="service.name").value.string_value = service
    resource_spans.scope_spans.add().spans.extend(spans)
    return request.SerializeToString()


def rejected(answer: bytes) -> tuple[int, str]:
    partial = ExportTraceServiceResponse.FromString(answer).partial_success
    return partial.rejected_spans, partial.error_message


def identifier(node: str = "b-1.default", log_name: str = "inbound") -> LogMessage.Identifier:
    found = LogMessage.Identifier(log_name=log_name)
    found.node.id = node
    found.node.cluster = "b.default"
    found.node.metadata["WORKLOAD_NAME"] = "b"
    return found


def http_entry(path: str = "/") -> pb.HTTPAccessLogEntry:
    entry = pb.HTTPAccessLogEntry()
    entry.common_properties.start_time.GetCurrentTime()
    entry.common_properties.duration.FromMilliseconds(3)
    entry.request.path = path
    entry.response.response_code.value = 200
    return entry


def http_logs(*paths: str, sender: LogMessage.Identifier | None = None) -> bytes:
    entries = LogMessage.HTTPAccessLogEntries(log_entry=[http_entry(path) for path in paths])
    return LogMessage(identifier=sender, http_logs=entries).SerializeToString()


def tcp_logs(received_bytes: int, sender: LogMessage.Identifier | None = None) -> bytes:
    entry = pb.TCPAccessLogEntry()
    entry.common_properties.start_time.GetCurrentTime()
    entry.connection_properties.received_bytes = received_bytes
    entries = LogMessage.TCPAccessLogEntries(log_entry=[entry])
    return LogMessage(identifier=sender, tcp_logs=entries).SerializeToString()
