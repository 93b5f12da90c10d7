"""Messages of any type, made from its descriptor, and bytes that were messages once."""

import time
from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import strategies as st

DEPTH = 4
FIELDS = 6  # at most, of one message
MANY = 3  # at most, in one list
EDGES = {32: [0, 1, 2**31 - 1], 64: [0, 1, 2**63 - 1]}


def whole(bits: int, *, signed: bool) -> st.SearchStrategy[int]:
    """Often an edge, and often a time that is now."""
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    edges = [*EDGES[bits], low, high, *([time.time_ns()] if bits == 64 else [])]
    return st.sampled_from(edges) | st.integers(low, high)


SCALARS: dict[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.CPPTYPE_INT32: whole(32, signed=True),
    FieldDescriptor.CPPTYPE_UINT32: whole(32, signed=False),
    FieldDescriptor.CPPTYPE_INT64: whole(64, signed=True),
    FieldDescriptor.CPPTYPE_UINT64: whole(64, signed=False),
    FieldDescriptor.CPPTYPE_ENUM: st.integers(-2, 300),
    FieldDescriptor.CPPTYPE_BOOL: st.booleans(),
    FieldDescriptor.CPPTYPE_FLOAT: st.floats(width=32),
    FieldDescriptor.CPPTYPE_DOUBLE: st.floats(),
}
STRINGS = st.text(max_size=20) | st.sampled_from(["service.name", "k", "\0", "é" * 5000])
BYTES = st.binary(min_size=16, max_size=16) | st.binary(min_size=8, max_size=8) | st.binary()


def scalar(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return BYTES if field.type == FieldDescriptor.TYPE_BYTES else STRINGS
    return SCALARS[field.cpp_type]


@st.composite
def built(draw: Callable[..., Any], kind: type[Message]) -> Message:
    """Any message of this type, a few levels deep."""
    message = kind()
    fill(draw, message, DEPTH)
    return message


def fill(draw: Callable[..., Any], message: Message, depth: int) -> None:
    fields = [
        field
        for field in message.DESCRIPTOR.fields
        if depth or field.cpp_type != FieldDescriptor.CPPTYPE_MESSAGE
    ]
    if not fields:
        return
    for field in draw(st.lists(st.sampled_from(fields), max_size=FIELDS)):
        values: Any = getattr(message, field.name)
        if field.message_type and field.message_type.GetOptions().map_entry:
            fill_map(draw, values, field.message_type, depth)
        elif field.is_repeated and field.message_type:
            for _ in range(draw(st.integers(1, MANY))):
                fill(draw, values.add(), depth - 1)
        elif field.is_repeated:
            values.extend(draw(st.lists(scalar(field), max_size=MANY)))
        elif field.message_type:
            values.SetInParent()
            fill(draw, values, depth - 1)
        else:
            setattr(message, field.name, draw(scalar(field)))


def fill_map(draw: Callable[..., Any], values: Any, entry: Any, depth: int) -> None:
    key, value = entry.fields_by_name["key"], entry.fields_by_name["value"]
    for name in draw(st.lists(scalar(key), max_size=MANY)):
        if value.message_type:
            fill(draw, values[name], depth - 1)
        else:
            values[name] = draw(scalar(value))


@st.composite
def broken(draw: Callable[..., Any], good: st.SearchStrategy[bytes]) -> bytes:
    """Cut, with bytes changed, put in, taken out or repeated."""
    body = bytearray(draw(good))
    for _ in range(draw(st.integers(1, 3))):
        at, size = draw(st.integers(0, len(body))), draw(st.integers(0, 8))
        match draw(st.sampled_from(["cut", "change", "insert", "remove", "repeat"])):
            case "cut":
                del body[at:]
            case "change":
                body[at : at + size] = draw(st.binary(min_size=size, max_size=size))
            case "insert":
                body[at:at] = draw(st.binary(max_size=8))
            case "remove":
                del body[at : at + size]
            case "repeat":
                body[at:at] = body[at : at + size] * draw(st.integers(1, 50))
    return bytes(body)
