"""Zipkin's span, and the row of `spans` it becomes, whichever encoding it came in.

Times are microseconds, 0 when they were not told. Two rows of one id are the halves of a shared
span: the client's and, marked so, the server's.
Source: https://zipkin.io/zipkin-api/, zipkin2-api.yaml.
"""

from msgspec import Struct

from collector.decoders.limits import (
    MAX_ATTRIBUTES,
    MAX_EVENTS,
    NO_ID,
    Reason,
    Refusal,
    refused_time,
)
from collector.decoders.span_rules import (
    CLIENT,
    CLOCK_SKEW,
    CONSUMER,
    DROPPED_EVENTS,
    INTERNAL,
    MAX_TIME_NS,
    NO_TIME,
    PRODUCER,
    SELF_PARENT,
    SERVER,
    STATUS_ERROR,
    STATUS_OK,
    STATUS_UNSET,
    UNKNOWN,
    http_status,
    is_failure,
    span_weight,
)
from collector.decoders.text import SHORT, SHORT_KEY, cut, limited
from collector.look_alikes import composed
from collector.store.tables import Event, SpanRow

US = 1_000  # nanoseconds

KINDS = {"": INTERNAL, "CLIENT": CLIENT, "SERVER": SERVER, "PRODUCER": PRODUCER}
KINDS["CONSUMER"] = CONSUMER
STATUSES = {"OK": STATUS_OK, "ERROR": STATUS_ERROR}  # as OpenTelemetry's exporters tell it
LINKERD_ROUTER, LINKERD_SERVICE = "router.label", "service"


class Unstorable(Exception):
    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal[1])
        self.refusal = refusal


class Endpoint(Struct, gc=False):
    serviceName: str | None = None  # noqa: N815 (Zipkin's name, as are those below)
    ipv4: str | None = None
    ipv6: str | None = None
    port: int | None = None


class Annotation(Struct, gc=False):
    timestamp: int
    value: str
    endpoint: Endpoint | None = None  # of version 1


class BinaryAnnotation(Struct, gc=False):
    """Of version 1: a tag, or an address when its value is true."""

    key: str
    value: str | int | float | bool | None = None
    endpoint: Endpoint | None = None


class Span(Struct, gc=False):
    """Version 2, and what version 1 has more."""

    traceId: str  # noqa: N815
    id: str
    parentId: str | None = None  # noqa: N815
    name: str | None = None
    kind: str | None = None
    timestamp: int | None = None
    duration: int | None = None
    localEndpoint: Endpoint | None = None  # noqa: N815
    remoteEndpoint: Endpoint | None = None  # noqa: N815
    annotations: list[Annotation] | None = None
    tags: dict[str, str] | None = None
    shared: bool | None = None
    debug: bool | None = None
    binaryAnnotations: list[BinaryAnnotation] | None = None  # noqa: N815


NOWHERE = Endpoint()


def row(span: Span, received_ns: int) -> SpanRow:
    """Raises Unstorable. The span's own tags become the attributes."""
    trace_id, id_bytes = id_of(span.traceId, 16), id_of(span.id, 8)
    start_ns = start_of(span) * US
    attributes = span.tags or {}
    if not start_ns:
        start_ns = received_ns
        attributes[NO_TIME] = "1"
    refusal = refused(trace_id, id_bytes, start_ns, received_ns)
    if refusal:
        raise Unstorable(refusal)
    local = span.localEndpoint or NOWHERE
    service = cut(composed(local.serviceName or UNKNOWN))
    kind = KINDS.get((span.kind or "").upper(), 0)
    if kind == SERVER and LINKERD_ROUTER in attributes:
        service = attributes.get(LINKERD_SERVICE) or service
    name = cut(span.name or "")
    span_id = int.from_bytes(id_bytes, "big")
    parent_id = int.from_bytes(id_of(span.parentId, 8), "big") if span.parentId else 0
    status = status_of(attributes)
    answered = http_status(attributes)
    weight = span_weight(kind, name, attributes)
    duration_ns = (span.duration or 0) * US
    if duration_ns <= 0:
        duration_ns = 0
        attributes[CLOCK_SKEW] = "1"
    if parent_id == span_id:
        attributes[SELF_PARENT] = "1"
    if span.debug:
        attributes.setdefault("zipkin.debug", "true")
    place(attributes, local, "network.local")
    if span.remoteEndpoint:
        place(attributes, span.remoteEndpoint, "network.peer")
        if span.remoteEndpoint.serviceName:
            attributes.setdefault("peer.service", span.remoteEndpoint.serviceName)
    events = events_of(span.annotations, attributes) if span.annotations else []
    return SpanRow(
        time=start_ns,
        trace_id=trace_id,
        span_id=span_id,
        parent_id=parent_id,
        service=service,
        name=name,
        kind=kind,
        status=status,
        error=int(status == STATUS_ERROR or is_failure(answered, kind)),
        http_status=answered,
        duration_ns=min(duration_ns, MAX_TIME_NS),
        attributes=bounded(attributes),
        resource={"service.name": service},
        events=events,
        weight=weight,
        shared=int(bool(span.shared)),
    )


def id_of(text: str, size: int) -> bytes:
    """From 1 to 2 * `size` hexadecimal digits, filled with zeros; else not `size` bytes long."""
    try:
        return bytes.fromhex(text.rjust(2 * size, "0"))
    except ValueError:
        return b""


def refused(trace_id: bytes, span_id: bytes, start_ns: int, received_ns: int) -> Refusal | None:
    """The one test of the front-end, which may refuse a request by it, and of the worker."""
    if len(trace_id) != 16 or trace_id == NO_ID[16]:
        return Reason.BAD_TRACE_ID, "a trace id is 1 to 32 hexadecimal digits, not all of them 0"
    if len(span_id) != 8 or span_id == NO_ID[8]:
        return Reason.BAD_SPAN_ID, "a span id is 1 to 16 hexadecimal digits, not all of them 0"
    return refused_time(start_ns, received_ns)


def start_of(span: Span) -> int:
    """Of a span without a timestamp, the first of its annotations'."""
    if span.timestamp or not span.annotations:
        return span.timestamp or 0
    return min(annotation.timestamp for annotation in span.annotations)


def status_of(tags: dict[str, str]) -> int:
    """The tag `error` means one whatever it says, but for what OpenTracing called false."""
    error = tags.get("error")
    if error is not None and error.lower() != "false":
        return STATUS_ERROR
    return STATUSES.get(tags.get("otel.status_code", ""), STATUS_UNSET)


def place(attributes: dict[str, str], endpoint: Endpoint, prefix: str) -> None:
    address = endpoint.ipv4 or endpoint.ipv6
    if address:
        attributes.setdefault(f"{prefix}.address", address)
    if endpoint.port:
        attributes.setdefault(f"{prefix}.port", str(endpoint.port))


def events_of(annotations: list[Annotation], attributes: dict[str, str]) -> list[Event]:
    """The first MAX_EVENTS, times beyond what the column holds brought to its ends."""
    if len(annotations) > MAX_EVENTS:
        attributes[DROPPED_EVENTS] = str(len(annotations) - MAX_EVENTS)
    return [
        (max(0, min(annotation.timestamp * US, MAX_TIME_NS)), cut(annotation.value), {})
        for annotation in annotations[:MAX_EVENTS]
    ]


def bounded(attributes: dict[str, str]) -> dict[str, str]:
    if (
        len(attributes) <= MAX_ATTRIBUTES
        and "" not in attributes
        and max(map(len, attributes.values()), default=0) <= SHORT
        and max(map(len, attributes), default=0) <= SHORT_KEY
    ):
        return attributes
    return limited(attributes)
