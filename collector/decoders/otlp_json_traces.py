"""Spans in OTLP/JSON: an object with the fields of the message Span.

Source: opentelemetry/proto/trace/v1/trace.proto
"""

from msgspec import Raw, Struct, field
from msgspec.json import Decoder
from opentelemetry.proto.trace.v1 import trace_pb2 as pb

from collector.decoders.inspection import Inspection, inspect
from collector.decoders.lenient import Unreadable
from collector.decoders.limits import Reason, refused_span
from collector.decoders.otlp_json import JsonShape, number, read, uint64, unhex
from collector.decoders.otlp_json_values import KeyValue
from collector.decoders.otlp_outline import Outline

KINDS = dict(pb.Span.SpanKind.items())
CODES = dict(pb.Status.StatusCode.items())


class SpanHead(Struct, rename="camel", gc=False):
    """What of a span decides whether it can be stored."""

    trace_hex: str = field(default="", name="traceId")
    span_hex: str = field(default="", name="spanId")
    start_time_unix_nano: int = 0

    @property
    def trace_id(self) -> bytes:
        return unhex(self.trace_hex)

    @property
    def span_id(self) -> bytes:
        return unhex(self.span_hex)


class Event(Struct, rename="camel", gc=False):
    time_unix_nano: int = 0
    name: str = ""
    attributes: list[KeyValue] = []


class Status(Struct, gc=False):
    told_code: int | str = field(default=0, name="code")
    message: str = ""

    @property
    def code(self) -> int:
        return number(self.told_code, CODES)


class JsonSpan(SpanHead, rename="camel", gc=False):
    parent_hex: str = field(default="", name="parentSpanId")
    name: str = ""
    told_kind: int | str = field(default=0, name="kind")
    end_time_unix_nano: int = 0
    trace_state: str = ""
    attributes: list[KeyValue] = []
    events: list[Event] = []
    status: Status = field(default_factory=Status)

    @property
    def parent_span_id(self) -> bytes:
        return unhex(self.parent_hex)

    @property
    def kind(self) -> int:
        return number(self.told_kind, KINDS)


def check_head(span: SpanHead) -> None:
    """Raises Unreadable."""
    uint64("startTimeUnixNano", span.start_time_unix_nano)


def check(span: JsonSpan) -> None:
    """Raises Unreadable."""
    check_head(span)
    uint64("endTimeUnixNano", span.end_time_unix_nano)
    for event in span.events:
        uint64("timeUnixNano", event.time_unix_nano)


OUTLINE = Outline("ExportTraceServiceRequest", "resourceSpans", "scopeSpans", "spans")
JSON_SHAPE = JsonShape(OUTLINE, Decoder(JsonSpan, strict=False), check)
HEAD = Decoder(SpanHead, strict=False)


def inspect_traces_json(body: bytes, received_ns: int) -> Inspection:
    """As `skeleton.inspect_traces`. Raises Malformed, TooLarge."""
    return inspect(OUTLINE.read_first(body), received_ns, look_at_span)


def look_at_span(span: bytes | Raw, received_ns: int, found: Inspection) -> None:
    try:
        head = read(HEAD, span)
        check_head(head)
    except Unreadable:
        found.note((Reason.UNREADABLE, "a span cannot be read"))
        return
    found.note(refused_span(head.trace_id, head.span_id, head.start_time_unix_nano, received_ns))
