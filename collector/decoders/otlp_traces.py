"""OTLP traces: an ExportTraceServiceRequest's spans as rows of `spans`.

Source: opentelemetry/proto/trace/v1/trace.proto.
"""

from collections.abc import Iterable, Iterator

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from collector.decoders.decoded import Collected, DeadLetter
from collector.decoders.lenient import Unreadable, parse
from collector.decoders.limits import MAX_EVENTS, Reason, refused_span
from collector.decoders.skeleton import read_skeleton
from collector.decoders.span_rules import http_status, is_failure, service_name, span_weight
from collector.decoders.text import cut, texts
from collector.model import Report
from collector.store.tables import Event, SpanRow

CLOCK_SKEW = "meshmeter.clock_skew"  # ended before it started, or was never said to end
SELF_PARENT = "meshmeter.self_parent"
DROPPED_EVENTS = "meshmeter.dropped_events"
STATUS_MESSAGE = "otel.status_description"  # where exporters without such a field put it

MAX_TIME_NS = 2**63 - 1  # what DateTime64(9) holds


def decode(report: Report, out: Collected) -> None:
    """Raises Unreadable."""
    received_ns = report.received_ns
    for resource, spans in resources(report, out):
        attributes = texts(resource.attributes)
        service = service_name(attributes)
        for span in spans:
            refusal = refused_span(
                span.trace_id, span.span_id, span.start_time_unix_nano, received_ns
            )
            if refusal:
                out.dead.append(DeadLetter.of(report, refusal, span.SerializeToString()))
            else:
                out.rows.append(row(span, service, attributes))


def row(span: Span, service: str, resource: dict[str, str]) -> SpanRow:
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
    status = 0
    if span.HasField("status"):
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
        weight=span_weight(kind, name, attributes),
    )


def events(span: Span, attributes: dict[str, str]) -> list[Event]:
    """The first MAX_EVENTS, times beyond what the column holds brought to its end."""
    if len(span.events) > MAX_EVENTS:
        attributes[DROPPED_EVENTS] = str(len(span.events) - MAX_EVENTS)
    return [
        (min(event.time_unix_nano, MAX_TIME_NS), cut(event.name), texts(event.attributes))
        for event in span.events[:MAX_EVENTS]
    ]


def resources(report: Report, out: Collected) -> Iterator[tuple[Resource, Iterable[Span]]]:
    """Each resource with the spans of each of its scopes. Raises Unreadable."""
    try:
        request = ExportTraceServiceRequest.FromString(report.body)
    except DecodeError:
        yield from salvage(report, out)
        return
    for resource_spans in request.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            yield resource_spans.resource, scope_spans.spans


def salvage(report: Report, out: Collected) -> Iterator[tuple[Resource, Iterable[Span]]]:
    """The same, span by span: one that cannot be read is a dead letter, the others are kept."""
    for resource_spans in read_skeleton(report.body).resource_spans:
        try:
            resource = parse(Resource, resource_spans.resource)
        except Unreadable:
            resource = Resource()
        for scope_spans in resource_spans.scope_spans:
            spans = []
            for body in scope_spans.spans:
                try:
                    spans.append(parse(Span, body))
                except Unreadable as error:
                    refusal = (Reason.UNREADABLE, str(error))
                    out.dead.append(DeadLetter.of(report, refusal, body))
            yield resource, spans
