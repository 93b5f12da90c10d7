"""Walking a block of FORMAT Native to find its end, without decoding a value.

A block is: number of columns, number of rows, then for each column its name, its type, the
serialization prefixes of its type, and its values.
Source: src/Formats/NativeReader.cpp, src/DataTypes/Serializations/
"""

from dataclasses import dataclass

from embedded.store.columns import Type, parse_type
from embedded.store.wire import Reader, string, varint

HAS_SHARED_KEYS = 1 << 9  # of a LowCardinality column's flags: its dictionary comes with it


@dataclass(frozen=True)
class Walked:
    """A block's shape, and `header`: the same block with no rows."""

    columns: int
    rows: int
    header: bytes


def header_block(columns: list[tuple[str, str]]) -> bytes:
    """A block of no rows, from names and types."""
    parts = [string(name) + string(type_) for name, type_ in columns]
    return varint(len(columns)) + b"\0" + b"".join(parts)


def walk_block(reader: Reader) -> Walked:
    """Leaves the reader behind the block. Raises HangUp or Broken."""
    columns, rows = reader.varint(), reader.varint()
    described = []
    for _ in range(columns):
        start = reader.position
        reader.skip(reader.varint())
        type_ = reader.string()
        described.append(reader.since(start))
        if rows:
            parsed = parse_type(type_)
            skip_prefix(reader, parsed)
            skip_values(reader, parsed, rows)
    return Walked(columns, rows, varint(columns) + b"\0" + b"".join(described))


def skip_prefix(reader: Reader, type_: Type) -> None:
    if type_.family == "LowCardinality":
        reader.skip(8)  # version of the dictionary's serialization
        return
    for inner in type_.inner:
        skip_prefix(reader, inner)


def skip_values(reader: Reader, type_: Type, rows: int) -> None:
    if rows == 0:
        return
    match type_.family:
        case "Fixed":
            reader.skip(type_.width * rows)
        case "String":
            skip_strings(reader, rows)
        case "Nullable":
            reader.skip(rows)
            skip_values(reader, type_.inner[0], rows)
        case "Array":
            reader.skip(8 * (rows - 1))
            skip_values(reader, type_.inner[0], reader.uint64())
        case "Tuple":
            for inner in type_.inner:
                skip_values(reader, inner, rows)
        case "LowCardinality":
            skip_low_cardinality(reader, type_.inner[0])


def skip_low_cardinality(reader: Reader, key: Type) -> None:
    flags = reader.uint64()
    if flags & HAS_SHARED_KEYS:
        # A nullable key has its NULL at place 0 of the dictionary, and no null map.
        skip_values(reader, key.inner[0] if key.family == "Nullable" else key, reader.uint64())
    index_width = 1 << (flags & 3)
    reader.skip(index_width * reader.uint64())


def skip_strings(reader: Reader, count: int) -> None:
    """The hot loop: lengths below 128, one byte, are stepped over within the buffer."""
    buffer = reader.buffer
    while count:
        position, end = reader.position, len(buffer)
        while count and position < end:
            length = buffer[position]
            if length > 127 or position + length >= end:
                break
            position += length + 1
            count -= 1
        reader.position = position
        if count:
            reader.skip(reader.varint())
            count -= 1
