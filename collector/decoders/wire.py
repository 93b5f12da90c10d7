"""Protobuf's outermost fields, told apart without reading what is in them.

Two million empty messages of a request become objects only as far as somebody asks for them.
Source: https://protobuf.dev/programming-guides/encoding/
"""

from collections.abc import Iterator

from collector.decoders.lenient import Unreadable
from collector.decoders.limits import MAX_ITEMS
from collector.errors import TooLarge

VARINT, FIXED64, BYTES, GROUP, GROUP_END, FIXED32 = 0, 1, 2, 3, 4, 5
FIXED = {FIXED64: 8, FIXED32: 4}
MAX_SHIFT = 63  # of a varint's last seven bits
MAX_FIELDS = 2 * MAX_ITEMS  # of one message: each takes time, and items have names beside them

Field = tuple[int, bytes]


def messages(body: bytes, *wanted: int) -> Iterator[Field]:
    """Number and bytes of each field among `wanted`, in their order.

    Raises Unreadable, and TooLarge over MAX_FIELDS fields, wanted or not.
    """
    at, end, groups, fields = 0, len(body), 0, 0
    while at < end:
        fields += 1
        if fields > MAX_FIELDS:
            raise TooLarge(f"a message may hold {MAX_FIELDS} fields")
        tag, at = varint(body, at)
        kind = tag & 7
        if kind == BYTES:
            size, at = varint(body, at)
            start, at = at, at + size
            if at > end:
                raise Unreadable("a field is longer than its message")
            if tag >> 3 in wanted and not groups:
                yield tag >> 3, body[start:at]
        elif kind == VARINT:
            _, at = varint(body, at)
        elif kind in FIXED:
            at += FIXED[kind]
            if at > end:
                raise Unreadable("a field is longer than its message")
        elif kind == GROUP or (kind == GROUP_END and groups):
            groups += 1 if kind == GROUP else -1
        else:
            raise Unreadable(f"a field of wire type {kind}")
    if groups:
        raise Unreadable("a group does not end")


def varint(body: bytes, at: int) -> tuple[int, int]:
    """The number and where it ends. Raises Unreadable."""
    found = shift = 0
    try:
        while True:
            byte = body[at]
            at += 1
            found |= (byte & 0x7F) << shift
            if byte < 0x80:
                return found, at
            shift += 7
            if shift > MAX_SHIFT:
                raise Unreadable("a number of over 64 bits")
    except IndexError:
        raise Unreadable("a number is not whole") from None
