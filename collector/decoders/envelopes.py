"""What goes around one item so that it is a report of its own, from which it can be decoded again.

An envelope is the bytes before and behind the item. Sources: those of the decoders.
"""

import struct
from collections.abc import Callable
from typing import NamedTuple

from google.protobuf.message import Message
from msgspec import Raw

from collector.proto import envoy_pb2 as pb


class Envelope(NamedTuple):
    head: bytes
    tail: bytes = b""


Around = Callable[[bytes], Envelope]  # an item


def nothing(_item: bytes) -> Envelope:
    """The item is a whole report."""
    return Envelope(b"")


def json_list(_item: bytes) -> Envelope:
    return Envelope(b"[", b"]")


def otlp(resource: Message, scope: Message) -> Around:
    """The three requests number their fields alike: resources 1, of a resource itself 1 and scopes
    2, of a scope itself 1 and items 2."""

    def around(item: bytes) -> Envelope:
        in_scope = field(1, scope.SerializeToString()) + key(2, len(item))
        whole = len(in_scope) + len(item)
        in_resource = field(1, resource.SerializeToString()) + key(2, whole)
        return Envelope(key(1, len(in_resource) + whole) + in_resource + in_scope)

    return around


def otlp_json(names: tuple[str, str, str], resource: Raw, scope: Raw) -> Around:
    """`names` of the three lists. Resource and scope are as they were sent."""
    resources, scopes, items = (name.encode() for name in names)

    def around(_item: bytes) -> Envelope:
        head = b'{"%b":[{"resource":%b,"%b":[{"scope":%b,"%b":['
        told = resources, bytes(resource), scopes, bytes(scope), items
        return Envelope(head % told, b"]}]}]}")

    return around


def access_log(identifier: pb.StreamAccessLogsMessage.Identifier, *, http: bool) -> Around:
    def around(item: bytes) -> Envelope:
        entry = key(1, len(item))
        sender = field(1, identifier.SerializeToString())
        return Envelope(sender + key(2 if http else 3, len(entry) + len(item)) + entry)

    return around


def zipkin_proto(item: bytes) -> Envelope:
    return Envelope(key(1, len(item)))


def write_request(series: int, *others: tuple[int, bytes]) -> Around:
    """Of Prometheus remote write: `series` is the field of the item, `others` come before it."""

    def around(item: bytes) -> Envelope:
        before = b"".join(field(number, value) for number, value in others)
        return Envelope(before + key(series, len(item)))

    return around


def thrift_list(_item: bytes) -> Envelope:
    return Envelope(b"\x0c" + struct.pack(">i", 1))  # of one struct


def scribe_call(item: bytes) -> Envelope:
    """The arguments of a Log call: a list of one entry, of its category and its message."""
    category = b"\x0b\x00\x01" + struct.pack(">i", len(b"zipkin")) + b"zipkin"
    message = b"\x0b\x00\x02" + struct.pack(">i", len(item))
    return Envelope(b"\x0f\x00\x01\x0c" + struct.pack(">i", 1) + category + message, b"\x00\x00")


def field(number: int, value: bytes) -> bytes:
    return key(number, len(value)) + value


def key(number: int, size: int) -> bytes:
    """Before a field of so many bytes."""
    found = bytearray([number << 3 | 2])
    while size > 0x7F:
        found.append(size & 0x7F | 0x80)
        size >>= 7
    found.append(size)
    return bytes(found)
