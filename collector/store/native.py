"""Arrow columns as a block of ClickHouse's Native format, many values a step.

Which type a column is written as, the table says itself when an insert begins: so a migration may
change one for another of those below, and nothing here has to follow.
Source: ClickHouse, src/DataTypes/Serializations (SerializationLowCardinality, SerializationMap,
SerializationArray).
"""

import re
import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

Bytes = bytes | memoryview
Pieces = list[Bytes]

NUMBERS = {
    "Int8": "i1",
    "UInt8": "u1",
    "UInt16": "u2",
    "UInt32": "u4",
    "UInt64": "u8",
    "Float64": "f8",
    "DateTime64(9)": "i8",
}
TYPE = re.compile(r"(\w+)(?:\((.*)\))?", re.DOTALL)  # the engine breaks lines of long ones
LOW_CARDINALITY_VERSION = struct.pack("<Q", 1)
OWN_DICTIONARY = 0x600  # of this block, to be added to the column's
INDEX_TYPES = ((1 << 8, 0, "u1"), (1 << 16, 1, "u2"), (1 << 32, 2, "u4"))
VARINT_LIMITS = (1 << 7, 1 << 14, 1 << 21, 1 << 28)


class Unencodable(Exception):
    """A column of a type that is not written here."""


def encode(columns: Sequence[tuple[str, str, pa.Array]]) -> bytes:
    """Of names, types and values, all of one length. Raises Unencodable."""
    pieces: Pieces = [varint(len(columns)), varint(len(columns[0][2]))]
    for name, kind, values in columns:
        prefix: Pieces = []
        body: Pieces = []
        write(kind, values, prefix, body)
        pieces += [text(name), text(kind), *prefix, *body]
    return b"".join(pieces)


def write(kind: str, values: pa.Array, prefix: Pieces, body: Pieces) -> None:
    """All prefixes of a column stand before all of its values. Raises Unencodable."""
    if kind in NUMBERS:
        body.append(numbers(values, NUMBERS[kind]))
        return
    parsed = TYPE.fullmatch(kind)
    writer = WRITERS.get(parsed[1]) if parsed else None
    if not parsed or not writer:
        raise Unencodable(kind)
    writer(parsed[2] or "", values, prefix, body)


def write_fixed(_size: str, values: pa.Array, _prefix: Pieces, body: Pieces) -> None:
    width = values.type.byte_width
    start = values.offset * width
    body.append(memoryview(values.buffers()[1])[start : start + len(values) * width])


def write_string(_kind: str, values: pa.Array, _prefix: Pieces, body: Pieces) -> None:
    body.append(strings(plain(values)))


def write_low_cardinality(kind: str, values: pa.Array, prefix: Pieces, body: Pieces) -> None:
    if kind != "String":
        raise Unencodable(kind)
    prefix.append(LOW_CARDINALITY_VERSION)
    if not len(values):
        return
    if not pa.types.is_dictionary(values.type):
        values = values.dictionary_encode()
    known = len(values.dictionary)
    number, index = next((number, index) for limit, number, index in INDEX_TYPES if known <= limit)
    body += [
        struct.pack("<QQ", OWN_DICTIONARY | number, known),
        strings(values.dictionary),
        struct.pack("<Q", len(values)),
        numbers(values.indices, index),
    ]


def write_map(kinds: str, values: pa.Array, prefix: Pieces, body: Pieces) -> None:
    key, value = parts(kinds)
    if pa.types.is_dictionary(values.type) and value == "String":
        write_repeated_map(key, values, prefix, body)
        return
    values = plain(values)
    start, end = write_ends(values, body)
    write(key, values.keys[start:end], prefix, body)
    write(value, values.items[start:end], prefix, body)


def write_repeated_map(key: str, values: pa.Array, prefix: Pieces, body: Pieces) -> None:
    """The texts of each distinct map are laid out once, and copied as one."""
    maps, numbers = values.dictionary, values.indices
    ends = bounds(maps)
    body.append(np.cumsum(np.diff(ends)[numbers.to_numpy()], dtype="u8").data)
    keys = maps.keys.dictionary_encode()
    codes = pa.ListArray.from_arrays(maps.offsets, keys.indices).take(numbers).flatten()
    write(key, pa.DictionaryArray.from_arrays(codes, keys.dictionary), prefix, body)
    laid_out, starts = layout(maps.items)
    whole = [None, pa.py_buffer(starts[ends].astype(np.int32)), pa.py_buffer(laid_out)]
    each = pa.BinaryArray.from_buffers(pa.binary(), len(maps), whole)
    copied = each.take(numbers)
    body.append(memoryview(copied.buffers()[2])[: bounds(copied)[-1]])


def write_array(kind: str, values: pa.Array, prefix: Pieces, body: Pieces) -> None:
    start, end = write_ends(values, body)
    write(kind, values.values[start:end], prefix, body)


def write_tuple(kinds: str, values: pa.Array, prefix: Pieces, body: Pieces) -> None:
    for kind, field in zip(parts(kinds), values.flatten(), strict=True):
        write(kind.partition(" ")[2] or kind, field, prefix, body)


WRITERS: dict[str, Callable[[str, pa.Array, Pieces, Pieces], None]] = {
    "Array": write_array,
    "FixedString": write_fixed,
    "LowCardinality": write_low_cardinality,
    "Map": write_map,
    "String": write_string,
    "Tuple": write_tuple,
}


def write_ends(lists: pa.Array, body: Pieces) -> tuple[int, int]:
    """Where each list ends, counted from where the first one starts; and start and end of all."""
    ends = bounds(lists)
    body.append((ends[1:].astype("u8") - np.uint64(ends[0])).data)
    return int(ends[0]), int(ends[-1])


def numbers(values: pa.Array, kind: str) -> Bytes:
    found = values.to_numpy(zero_copy_only=False).astype(kind, copy=False)
    return np.ascontiguousarray(found).data.cast("B")


def strings(values: pa.Array) -> Bytes:
    found: Bytes = layout(values)[0].data
    return found


def layout(values: pa.Array) -> tuple[Any, Any]:
    """Each string after its length, which is a varint; and where each begins, and the last ends."""
    at = bounds(values)
    sizes = np.diff(at)
    longest = sizes.max(initial=0)
    heads = np.ones(len(sizes), np.int32)
    for limit in VARINT_LIMITS:
        if longest < limit:
            break
        heads += sizes >= limit
    starts = np.zeros(len(at), np.int64)
    np.cumsum(sizes + heads, out=starts[1:])
    out = np.empty(starts[-1], np.uint8)
    is_text = np.ones(len(out), bool)
    for byte in range(heads.max(initial=0)):
        has = heads > byte
        more = (heads[has] > byte + 1).astype(np.uint8) << 7
        head = starts[:-1][has] + byte
        out[head] = (sizes[has] >> 7 * byte & 0x7F).astype(np.uint8) | more
        is_text[head] = False
    held = values.buffers()[2]
    if held:
        out[is_text] = np.frombuffer(held, np.uint8)[at[0] : at[-1]]
    return out, starts


def bounds(values: pa.Array) -> Any:
    """One more than there are values: where each begins, and the last one ends."""
    if not len(values):
        return np.zeros(1, np.int32)
    return np.frombuffer(values.buffers()[1], np.int32, len(values) + 1, 4 * values.offset)


def parts(kinds: str) -> list[str]:
    """Types, or names and types, of a list of such."""
    found, depth = [""], 0
    for letter in kinds:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and not depth:
            found.append("")
        else:
            found[-1] += letter
    return [kind.strip() for kind in found]


def plain(values: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(values.type):
        return values.dictionary.take(values.indices)
    return values


def text(value: str) -> bytes:
    sent = value.encode()
    return varint(len(sent)) + sent


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
