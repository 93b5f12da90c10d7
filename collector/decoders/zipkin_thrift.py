"""Zipkin's Thrift spans, of version 1: a list of them, or a Scribe `Log` call that carries them.

Finagle's tracers send these, and so does Linkerd 1.
Source: openzipkin/zipkin-api, zipkinCore.thrift and scribe.thrift.
"""

import socket
import struct
from base64 import b64decode
from binascii import Error as Base64Error
from typing import Any, TypeVar

from collector.decoders.decoded import Collected
from collector.decoders.envelopes import scribe_call, thrift_list
from collector.decoders.lenient import Unreadable
from collector.decoders.limits import Reason
from collector.decoders.thrift import Fields, Reader
from collector.decoders.zipkin_span import (
    Annotation,
    BinaryAnnotation,
    Endpoint,
    Span,
    Unstorable,
    row,
)
from collector.decoders.zipkin_v1 import version_2
from collector.errors import TooLarge
from collector.model import Report

CATEGORY = b"zipkin"
BOOL, BYTES, I16, I32, I64, DOUBLE, STRING = range(7)  # AnnotationType
NUMBERS = {I16: ">h", I32: ">i", I64: ">q", DOUBLE: ">d"}
MASK = 2**64 - 1
TIMESTAMP = 10  # a field of a span

Value = TypeVar("Value")


def decode(report: Report, out: Collected) -> None:
    """A list of spans. Raises Unreadable: only by reading a span is it known where it ends."""
    out.around = thrift_list
    for fields, sent in list(Reader(report.body).structs()):  # all of it, before any is added
        add(fields, sent, report, out)


def decode_scribe(report: Report, out: Collected) -> None:
    """The arguments of a `Log` call. Raises Unreadable."""
    out.around = scribe_call
    for entry in entries(report.body):
        if not is_span(entry):
            out.skipped += 1
            continue
        sent = entry.get(2, b"")
        try:
            fields = Reader(b64decode(sent)).struct()
        except (Base64Error, Unreadable, TooLarge) as error:
            refusal = (Reason.UNREADABLE, f"not a Thrift span in base64: {error}")
            out.refuse(report, refusal, sent)
        else:
            add(fields, sent, report, out)


def add(fields: Fields, sent: bytes, report: Report, out: Collected) -> None:
    try:
        parts = version_2(span_of(fields))
        out.extend([row(part, report.received_ns) for part in parts])
    except Unstorable as error:
        out.refuse(report, error.refusal, sent)


def entries(arguments: bytes) -> list[Fields]:
    """The LogEntries of a `Log` call's arguments. Raises Unreadable, TooLarge."""
    found = Reader(arguments).struct().get(1, [])
    if not isinstance(found, list) or not all(map(is_entry, found)):
        raise Unreadable("not the arguments of a Scribe Log call")
    return found


def is_entry(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get(2, b""), bytes)


def is_span(entry: Fields) -> bool:
    category = entry.get(1)
    return isinstance(category, bytes) and category.lower() == CATEGORY


def span_of(fields: Fields) -> Span:
    """Raises Unstorable."""
    return Span(
        traceId=trace_id_of(fields),
        id=span_id_of(fields),
        parentId=f"{of(fields, 5, 0) & MASK:x}",
        name=text(fields, 3),
        timestamp=of(fields, TIMESTAMP, 0),
        duration=of(fields, 11, 0),
        annotations=[
            Annotation(of(found, 1, 0), text(found, 2), endpoint_of(found, 3))
            for found in structs(fields, 6)
        ],
        binaryAnnotations=[
            BinaryAnnotation(text(found, 1), value_of(found), endpoint_of(found, 4))
            for found in structs(fields, 8)
        ],
        debug=of(fields, 9, False),
    )


def trace_id_of(fields: Fields) -> str:
    high, low = of(fields, 12, 0), of(fields, 1, 0)
    return f"{(high & MASK) << 64 | low & MASK:x}"


def span_id_of(fields: Fields) -> str:
    return f"{of(fields, 4, 0) & MASK:x}"


def of(fields: Fields, number: int, default: Value) -> Value:
    """Raises Unstorable when it is there and of another type than the default."""
    found = fields.get(number, default)
    if type(found) is not type(default):
        named = type(found).__name__
        raise Unstorable((Reason.UNREADABLE, f"field {number} of a Thrift struct is a {named}"))
    return found


def text(fields: Fields, number: int) -> str:
    return of(fields, number, b"").decode("utf-8", "replace")


def structs(fields: Fields, number: int) -> list[Fields]:
    found = of(fields, number, EMPTY)
    if not all(isinstance(one, dict) for one in found):
        raise Unstorable(
            (Reason.UNREADABLE, f"field {number} of a Thrift span is no list of structs")
        )
    return found


EMPTY: list[Any] = []


def endpoint_of(fields: Fields, number: int) -> Endpoint | None:
    if number not in fields:
        return None
    found = of(fields, number, NO_FIELDS)
    ipv4, ipv6 = of(found, 1, 0), of(found, 4, b"")
    return Endpoint(
        serviceName=text(found, 3),
        ipv4=socket.inet_ntop(socket.AF_INET, struct.pack(">i", ipv4)) if ipv4 else "",
        ipv6=socket.inet_ntop(socket.AF_INET6, ipv6) if len(ipv6) == 16 else "",
        port=of(found, 2, 0) & 0xFFFF,
    )


NO_FIELDS: Fields = {}


def value_of(found: Fields) -> str | int | float | bool:
    """Numbers are bytes in network order; of another length than their type's, they are text."""
    raw, kind = of(found, 2, b""), of(found, 3, STRING)
    if kind == BOOL:
        return raw == b"\x01"
    layout = NUMBERS.get(kind)
    if layout and len(raw) == struct.calcsize(layout):
        (number,) = struct.unpack(layout, raw)
        return float(number) if kind == DOUBLE else int(number)
    return raw.decode("utf-8", "replace")
