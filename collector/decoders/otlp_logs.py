"""OTLP logs: an ExportLogsServiceRequest's records, in either encoding, as rows of `logs`.

One that is an entry of an access log is a row of `requests` instead.
Source: opentelemetry/proto/logs/v1/logs.proto, the OpenTelemetry log data model.
"""

from collections.abc import Iterable

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from collector.decoders.decoded import Collected
from collector.decoders.limits import MAX_LOG_BODY_BYTES, refused_log
from collector.decoders.otlp_access_log import Sidecar, request_row
from collector.decoders.otlp_json import json_parts
from collector.decoders.otlp_json_logs import JSON_SHAPE, JsonLogRecord
from collector.decoders.otlp_parts import Part, Shape, parts
from collector.decoders.span_rules import UNKNOWN, service_name
from collector.decoders.text import cut, plain, texts
from collector.model import Report
from collector.store.tables import NO_TRACE, LogRow, RequestRow

CUT_BODY = "meshmeter.cut_body"

SHAPE = Shape(ExportLogsServiceRequest, "resource_logs", "scope_logs", "log_records", LogRecord)


def decode(report: Report, out: Collected) -> None:
    """Raises Unreadable."""
    add(report, out, parts(report, out, SHAPE))


def decode_json(report: Report, out: Collected) -> None:
    """Raises Unreadable."""
    add(report, out, json_parts(report, out, JSON_SHAPE))


def add(
    report: Report, out: Collected, found: Iterable[Part[LogRecord] | Part[JsonLogRecord]]
) -> None:
    for part in found:
        resource = texts(part.resource.attributes)
        sidecar = Sidecar(sender(resource), resource.get("node_name") or report.identity)
        scope = cut(part.scope.name)
        for record, as_received in part.items:
            time_ns = record.time_unix_nano or record.observed_time_unix_nano
            refusal = refused_log(time_ns, report.received_ns)
            if refusal:
                out.refuse(report, refusal, as_received())
            else:
                time_ns = time_ns or report.received_ns
                out.rows.append(row(record, time_ns, sidecar, scope, resource))


def row(
    record: LogRecord | JsonLogRecord,
    time_ns: int,
    sidecar: Sidecar,
    scope: str,
    resource: dict[str, str],
) -> LogRow | RequestRow:
    attributes = texts(record.attributes)
    # Ids of another size are none, as the data model says.
    trace_id = record.trace_id if len(record.trace_id) == 16 else NO_TRACE
    span_id = int.from_bytes(record.span_id, "big") if len(record.span_id) == 8 else 0
    request = request_row(attributes, sidecar, time_ns, trace_id, span_id)
    if request:
        return request
    told = plain(record.body)
    body = cut(told, MAX_LOG_BODY_BYTES)
    if body != told:
        attributes[CUT_BODY] = "1"
    severity = record.severity_number
    return LogRow(
        time=time_ns,
        observed=min(record.observed_time_unix_nano, 2**63 - 1),
        service=sidecar.service,
        severity=severity if 0 <= severity < 256 else 0,
        severity_text=cut(record.severity_text),
        body=body,
        event=cut(record.event_name),
        trace_id=trace_id,
        span_id=span_id,
        scope=scope,
        attributes=attributes,
        resource=resource,
    )


def sender(resource: dict[str, str]) -> str:
    """The service; Envoy's own resource calls it `cluster_name`."""
    service = service_name(resource)
    return resource.get("cluster_name") or service if service == UNKNOWN else service
