"""OTLP traces: an ExportTraceServiceRequest's spans, in either encoding, as rows of `spans`.

Source: opentelemetry/proto/trace/v1/trace.proto.
"""

from collections.abc import Iterable

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from collector.decoders.decoded import Collected
from collector.decoders.limits import MAX_EVENTS, refused_span
from collector.decoders.otlp_json import json_parts
from collector.decoders.otlp_json_traces import JSON_SHAPE, JsonSpan
from collector.decoders.otlp_parts import Part, Shape, parts
from collector.decoders.span_rules import (
    CLOCK_SKEW,
    DROPPED_EVENTS,
    MAX_TIME_NS,
    SELF_PARENT,
    http_status,
    is_failure,
    sampling_weight,
    service_name,
    span_weight,
)
from collector.decoders.text import cut, texts
from collector.model import Report
from collector.store.tables import Event, SpanRow

STATUS_MESSAGE = "otel.status_description"  # where exporters without such a field put it

SHAPE = Shape(ExportTraceServiceRequest, "resource_spans", "scope_spans", "spans", Span)


def decode(report: Report, out: Collected) -> None:
    """Raises Unreadable."""
    add(report, out, parts(report, out, SHAPE))


def decode_json(report: Report, out: Collected) -> None:
    """Raises Unreadable."""
    add(report, out, json_parts(report, out, JSON_SHAPE))


def add(report: Report, out: Collected, found: Iterable[Part[Span] | Part[JsonSpan]]) -> None:
    received_ns = report.received_ns
    for part in found:
        attributes = texts(part.resource.attributes)
        service = service_name(attributes)
        for span, as_received in part.items:
            refusal = refused_span(
                span.trace_id, span.span_id, span.start_time_unix_nano, received_ns
            )
            if refusal:
                out.refuse(report, refusal, as_received())
            else:
                out.rows.append(row(span, service, attributes))


def row(span: Span | JsonSpan, service: str, resource: dict[str, str]) -> SpanRow:
    attributes = texts(span.attributes)
    start_ns = span.start_time_unix_nano
    duration_ns = span.end_time_unix_nano - start_ns
    if duration_ns < 0:
        duration_ns = 0
        attributes[CLOCK_SKEW] = "1"
    span_id = int.from_bytes(span.span_id, "big")
    parent = span.parent_span_id
    parent_id = int.from_bytes(parent, "big") if len(parent) == 8 else 0
    if parent_id == span_id:
        attributes[SELF_PARENT] = "1"
    status = span.status.code
    if span.status.message:
        attributes[STATUS_MESSAGE] = cut(span.status.message)
    kind = span.kind
    name = cut(span.name)
    answered = http_status(attributes)
    failed = is_failure(answered, kind)
    return SpanRow(
        time=start_ns,
        trace_id=span.trace_id,
        span_id=span_id,
        parent_id=parent_id,
        service=service,
        name=name,
        kind=kind if -128 <= kind < 128 else 0,
        status=status if -128 <= status < 128 else 0,
        error=int(failed or status == Status.STATUS_CODE_ERROR),
        http_status=answered,
        duration_ns=duration_ns,
        attributes=attributes,
        resource=resource,
        events=events(span, attributes) if span.events else [],
        weight=span_weight(kind, name, attributes)
        * (sampling_weight(span.trace_state) if span.trace_state else 1),
    )


def events(span: Span | JsonSpan, attributes: dict[str, str]) -> list[Event]:
    """The first MAX_EVENTS, times beyond what the column holds brought to its end."""
    if len(span.events) > MAX_EVENTS:
        attributes[DROPPED_EVENTS] = str(len(span.events) - MAX_EVENTS)
    return [
        (min(event.time_unix_nano, MAX_TIME_NS), cut(event.name), texts(event.attributes))
        for event in span.events[:MAX_EVENTS]
    ]
