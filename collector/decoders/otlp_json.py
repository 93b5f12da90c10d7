"""OTLP/JSON read: the outline of a request, and its items one by one.

An item that was read has the fields of the protobuf message it stands for, so that one function
makes rows of both. Besides what the specification asks (hex ids, 64-bit numbers as strings,
unknown fields ignored) it takes what senders do all the same: null for what is absent, names of
enum values, base64 of either alphabet, text that is no Unicode (repaired, as in protobuf).
Sources: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding,
https://protobuf.dev/programming-guides/json/
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec
from msgspec import Raw, Struct
from msgspec.json import Decoder

from collector.decoders import envelopes
from collector.decoders.decoded import Collected
from collector.decoders.json_repair import repaired, without_nulls
from collector.decoders.lenient import Unreadable
from collector.decoders.limits import Reason
from collector.decoders.otlp_json_values import Resource, Scope
from collector.decoders.otlp_outline import Outline
from collector.decoders.otlp_parts import Part
from collector.model import Report

Item = TypeVar("Item", bound=Struct)
Read = TypeVar("Read", bound=Struct)

RESOURCE = Decoder(Resource, strict=False)
SCOPE = Decoder(Scope, strict=False)


class JsonShape(NamedTuple, Generic[Item]):
    """How a signal is read. `check` raises Unreadable for what its message has no room for."""

    outline: Outline
    item: Decoder[Item]
    check: Callable[[Item], None]


def json_parts(report: Report, out: Collected, shape: JsonShape[Item]) -> Iterator[Part[Item]]:
    """As `otlp_parts.parts`. Raises Unreadable."""
    for resource_items in shape.outline.read(report.body).resources or ():
        resource = read_or_empty(RESOURCE, resource_items.resource)
        for scope_items in resource_items.scopes or ():
            scope = read_or_empty(SCOPE, scope_items.scope)
            out.around = envelopes.otlp_json(
                shape.outline.names, resource_items.resource, scope_items.scope
            )
            yield Part(resource, scope, json_items(report, out, shape, scope_items.items or ()))


def json_items(
    report: Report, out: Collected, shape: JsonShape[Item], bodies: Any
) -> Iterator[tuple[Item, Callable[[], bytes]]]:
    """Those that can be read; the others are dead letters."""
    for body in bodies:
        try:
            item = read(shape.item, body)
            shape.check(item)
        except Unreadable as error:
            refusal = (Reason.UNREADABLE, str(error))
            out.refuse(report, refusal, bytes(body))
        else:
            yield item, partial(bytes, body)


def read(decoder: Decoder[Read], body: bytes | Raw) -> Read:
    """Raises Unreadable."""
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        plain = without_nulls(msgspec.json.decode(repaired(bytes(body))))
        return msgspec.convert(plain, decoder.type, strict=False)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"not a {decoder.type.__name__} in JSON: {error}") from error


def read_or_empty(decoder: Decoder[Read], body: Raw) -> Read:
    try:
        return read(decoder, body)
    except Unreadable:
        return decoder.type()


def unhex(text: str) -> bytes:
    """Empty when it is no hex."""
    try:
        found = bytes.fromhex(text)
    except ValueError:
        return b""
    return found if 2 * len(found) == len(text) else b""  # white space is skipped


def number(value: int | str, names: Mapping[str, int]) -> int:
    """Of an enum: its number, or that of its name; 0 for a name that is none."""
    return value if isinstance(value, int) else names.get(value, 0)


def uint64(name: str, value: int) -> None:
    """Raises Unreadable for a number that protobuf has no room for."""
    if not 0 <= value < 2**64:
        raise Unreadable(f"{name} is not a number of 64 bits without a sign")


def signed(name: str, value: int, bits: int) -> None:
    """Raises Unreadable likewise."""
    if not -(2 ** (bits - 1)) <= value < 2 ** (bits - 1):
        raise Unreadable(f"{name} is not a number of {bits} bits with a sign")
