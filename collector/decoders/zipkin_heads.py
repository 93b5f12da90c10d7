"""What a front-end must know of Zipkin's spans before it accepts them, and no more.

The spans of a good JSON list are told apart without making objects of their tags; only a list
with a fault in it is read span by span, and never more than MAX_ITEMS of them.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec
from google.protobuf.message import DecodeError

from collector.decoders.inspection import Inspection
from collector.decoders.limits import MAX_ITEMS, MAX_JSON_VALUES, Reason, Refusal
from collector.decoders.thrift import Reader
from collector.decoders.zipkin_json import READ_ERRORS, read_span
from collector.decoders.zipkin_json import raw_spans as json_spans
from collector.decoders.zipkin_proto import raw_spans as proto_spans
from collector.decoders.zipkin_span import US, Span, Unstorable, id_of, refused
from collector.decoders.zipkin_thrift import TIMESTAMP, of, span_id_of, trace_id_of
from collector.errors import TooLarge
from collector.model import Signal
from collector.proto import zipkin_pb2 as pb


class JsonHead(msgspec.Struct, gc=False):
    traceId: str  # noqa: N815 (Zipkin's name)
    id: str
    timestamp: int | None = None


class Head(NamedTuple):
    """`timestamp`: microseconds, 0 when it was not told."""

    trace_id: str
    id: str
    timestamp: int


HEADS = msgspec.json.Decoder(list[JsonHead])
HEAD = msgspec.json.Decoder(JsonHead)
UNREADABLE: Refusal = (Reason.UNREADABLE, "a span cannot be read")


def inspect(signal: Signal, body: bytes, received_ns: int) -> Inspection:
    """Raises Malformed, and TooLarge over MAX_ITEMS spans."""
    found = Inspection()
    for head in HEADS_OF[signal](body):
        found.note(refusal_of(head, received_ns))
        if found.items > MAX_ITEMS:
            raise TooLarge(f"a request may hold {MAX_ITEMS} spans")
    return found


def refusal_of(head: Head | None, received_ns: int) -> Refusal | None:
    if head is None:
        return UNREADABLE
    start_ns = head.timestamp * US or received_ns
    return refused(id_of(head.trace_id, 16), id_of(head.id, 8), start_ns, received_ns)


def json_heads(body: bytes) -> Iterator[Head | None]:
    if body.count(b'"traceId"') <= MAX_ITEMS:  # else it is refused while it is read
        try:
            heads = HEADS.decode(body)
        except READ_ERRORS:
            pass
        else:
            for head in heads:
                yield Head(head.traceId, head.id, head.timestamp or 0)
            return
    if body.count(b",") > MAX_JSON_VALUES:
        raise TooLarge(f"a list with a fault in it may hold {MAX_JSON_VALUES} values")
    for sent in json_spans(body):
        yield json_head(sent)


def json_head(sent: bytes) -> Head | None:
    found: JsonHead | Span
    try:
        found = HEAD.decode(sent)
    except READ_ERRORS:
        try:
            found = read_span(sent)
        except Unstorable:
            return None
    return Head(found.traceId, found.id, found.timestamp or 0)


def proto_heads(body: bytes) -> Iterator[Head | None]:
    for raw in proto_spans(body):
        try:
            head = pb.SpanHead.FromString(raw)
        except DecodeError:
            yield None
        else:
            yield Head(head.trace_id.hex(), head.id.hex(), head.timestamp)


def thrift_heads(body: bytes) -> Iterator[Head | None]:
    for fields, _raw in Reader(body).structs():
        try:
            yield Head(trace_id_of(fields), span_id_of(fields), of(fields, TIMESTAMP, 0))
        except Unstorable:
            yield None


HEADS_OF: dict[Signal, Callable[[bytes], Iterator[Head | None]]] = {
    Signal.ZIPKIN_JSON: json_heads,
    Signal.ZIPKIN_JSON_V1: json_heads,
    Signal.ZIPKIN_PROTO: proto_heads,
    Signal.ZIPKIN_THRIFT: thrift_heads,
}
