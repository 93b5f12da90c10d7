"""Rows of `spans` column by column in Arrow, which the store takes without a look at each value.

To whoever reads one it is what `tables.columns` makes, and a column comes to be in Python only
when it is asked for.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from collector.store import native
from collector.store.tables import Event, ReadyColumns, SpanRow

TEXTS = pa.map_(pa.string(), pa.string())
TYPES = {
    "time": pa.int64(),
    "trace_id": pa.binary(16),
    "span_id": pa.uint64(),
    "parent_id": pa.uint64(),
    "service": pa.string(),
    "name": pa.string(),
    "kind": pa.int8(),
    "status": pa.int8(),
    "error": pa.uint8(),
    "http_status": pa.uint16(),
    "duration_ns": pa.uint64(),
    "weight": pa.float64(),
    "shared": pa.uint8(),
}

Arrays = dict[str, pa.Array]


class Block(ReadyColumns):
    """Columns of equal lengths."""

    def __init__(self, arrays: Arrays) -> None:
        self.arrays = arrays

    def __getitem__(self, name: str) -> list[Any]:
        return values(self.arrays[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self.arrays)

    def __len__(self) -> int:
        return len(self.arrays)

    def native(self, types: Sequence[tuple[str, str]]) -> bytes | None:
        try:
            return native.encode([(name, kind, self.arrays[name]) for name, kind in types])
        except native.Unencodable:
            return None


class Resources:
    """The resources of a group's spans, each once: a span's column has the number of its own.

    `known`: number and service of those that were read, by what was sent.
    """

    def __init__(self) -> None:
        self.known: dict[bytes, tuple[int, str]] = {}
        self._found: list[dict[str, str]] = []
        self._numbers: dict[tuple[tuple[str, str], ...], int] = {}

    def number(self, resource: dict[str, str]) -> int:
        key = tuple(resource.items())
        number = self._numbers.setdefault(key, len(self._found))
        if number == len(self._found):
            self._found.append(resource)
        return number

    def column(self, numbers: pa.Array) -> pa.Array:
        return pa.DictionaryArray.from_arrays(numbers, maps(self._found))


def block(pieces: Sequence[Arrays], resources: Resources, group: int) -> Block:
    """Of pieces with numbers for resources, one after another; at least one row."""
    arrays = {name: pa.concat_arrays([piece[name] for piece in pieces]) for name in SpanRow._fields}
    rows = len(arrays["resource"])
    arrays["resource"] = resources.column(arrays["resource"])
    arrays["_group"] = pa.array(np.full(rows, group, np.uint64))
    return Block(arrays)


def piece(rows: Sequence[SpanRow], resources: Resources) -> Arrays:
    """Such rows as arrays, resources as numbers."""
    columns = dict(zip(SpanRow._fields, zip(*rows, strict=True), strict=True))
    arrays = {name: pa.array(columns[name], kind) for name, kind in TYPES.items()}
    numbers = [resources.number(resource) for resource in columns["resource"]]
    return arrays | {
        "attributes": with_shared_keys(maps(columns["attributes"])),
        "resource": pa.array(numbers, pa.int32()),
        "events": events(list(chain.from_iterable(columns["events"])), ends(columns["events"])),
    }


def maps(found: Sequence[Mapping[str, str]]) -> pa.Array:
    return pa.MapArray.from_arrays(
        ends(found),
        pa.array([key for texts in found for key in texts], pa.string()),
        pa.array([text for texts in found for text in texts.values()], pa.string()),
    )


def with_shared_keys(found: pa.Array) -> pa.Array:
    """Each key once, as the few that many rows have."""
    return pa.MapArray.from_arrays(found.offsets, found.keys.dictionary_encode(), found.items)


def events(found: Sequence[Event], ends: pa.Array) -> pa.Array:
    """Of all spans; and where those of each begin, and the last one's end."""
    columns = [
        pa.array([time for time, _, _ in found], pa.int64()),
        pa.array([name for _, name, _ in found], pa.string()),
        maps([attributes for _, _, attributes in found]),
    ]
    one = pa.StructArray.from_arrays(columns, ["time", "name", "attributes"])
    return pa.ListArray.from_arrays(ends, one)


def ends(found: Sequence[Any]) -> pa.Array:
    """Where each of the lists begins among the items of all, and where the last one ends."""
    return pa.array(np.cumsum([0, *map(len, found)]), pa.int32())


def values(array: pa.Array) -> list[Any]:
    """As `tables.columns` has them: maps are dicts, and structs tuples."""
    kind = array.type
    if pa.types.is_map(kind):
        return [dict(pairs) for pairs in array.to_pylist()]
    if pa.types.is_dictionary(kind):
        distinct = values(array.dictionary)
        return [distinct[number] for number in array.indices.to_pylist()]
    if pa.types.is_list(kind):
        inner, at = values(array.values), array.offsets.to_pylist()
        return [inner[start:end] for start, end in pairwise(at)]
    if pa.types.is_struct(kind):
        return list(zip(*map(values, array.flatten()), strict=True))
    found: list[Any] = array.to_pylist()
    return found
