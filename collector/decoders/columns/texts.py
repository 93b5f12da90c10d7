"""Attributes of many spans as the texts that are stored: `decoders.text`, column by column."""

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValueList

from collector.decoders.limits import MAX_ATTRIBUTES
from collector.decoders.text import SHORT, SHORT_KEY, plain
from collector.store.native import bounds

SHALLOW_BYTES = 100  # in which nothing can be nested deeper than a parser reads wherever it stands
FLAGS = 1 << 22  # a flag for each key of each span, where these are no more
NOTHING = pa.scalar("")


class Texts(NamedTuple):
    """`keys` are a dictionary's; `owners` has the number of the span of each attribute."""

    ends: pa.Array
    keys: pa.Array
    values: pa.Array
    owners: Any
    odd: Any  # spans that are to be looked at one by one

    @property
    def column(self) -> pa.Array:
        return pa.MapArray.from_arrays(self.ends, self.keys, self.values)

    def of_key(self, key: str) -> tuple[Any, list[str], Any]:
        """The spans that have it, the distinct texts of it, and which of these each one has."""
        code = self.keys.dictionary.index(key).as_py()
        if code < 0:
            return NONE, [], NONE
        at = np.flatnonzero(codes(self.keys) == code)
        found = self.values.take(pa.array(at)).dictionary_encode()
        return self.owners[at], found.dictionary.to_pylist(), codes(found)


NONE = np.zeros(0, np.int64)


def texts(attributes: pa.Array) -> Texts:
    """Of a list of KeyValues a span."""
    spans = len(attributes)
    counts = np.diff(bounds(attributes))
    owners = np.repeat(np.arange(spans), counts)
    pairs = attributes.values
    keys = pairs.field("key").dictionary_encode()
    values, strange = plain_texts(pairs.field("value"))
    odd = counts > MAX_ATTRIBUTES
    odd[owners[strange]] = True
    odd[owners[np.diff(bounds(values)) > SHORT]] = True
    sizes = np.diff(bounds(keys.dictionary))
    improper = (sizes == 0) | (sizes > SHORT_KEY)
    if improper.any():
        odd[owners[improper[codes(keys)]]] = True
    odd |= repeats(owners, codes(keys), spans, len(sizes))
    return Texts(attributes.offsets, keys, values, owners, odd)


def plain_texts(values: pa.Array) -> tuple[pa.Array, Any]:
    """And which of them are not so simple after all."""
    kinds = dict(zip([field.name for field in values.type], values.flatten(), strict=True))
    told = kinds["string_value"]
    strange = np.zeros(len(values), bool)
    if not told.null_count:
        others = [kind for name, kind in kinds.items() if name != "string_value"]
        for other in others:
            if other.null_count < len(other):
                strange |= valid(other)
        return told, strange
    present = {name: kind for name, kind in kinds.items() if kind.null_count < len(kind)}
    set_kinds = np.zeros(len(values), np.int8)
    for kind in present.values():
        set_kinds += valid(kind)
    strange |= set_kinds > 1
    choices = [told]
    for name, kind in present.items():
        if name in ("bool_value", "int_value"):
            choices.append(pc.cast(kind, pa.string()))
        elif name == "string_value_strindex":
            strange |= valid(kind)
        elif name != "string_value":
            found, deep = one_by_one(name, kind)
            choices.append(found)
            strange[deep] = True
    return pc.coalesce(*choices, NOTHING), strange


def one_by_one(name: str, values: pa.Array) -> tuple[pa.Array, list[int]]:
    """The texts of lists, maps, bytes and doubles; and which must be read where they stand."""
    found: list[str | None] = [None] * len(values)
    deep = []
    for at in np.flatnonzero(valid(values)).tolist():
        value = values[at].as_py()
        if name in NESTED:
            if len(value) > SHALLOW_BYTES:
                deep.append(at)
                continue
            try:
                value = NESTED[name].FromString(value)
            except DecodeError:
                deep.append(at)
                continue
        found[at] = plain(AnyValue(**{name: value}))
    return pa.array(found, pa.string()), deep


NESTED: dict[str, Any] = {"array_value": ArrayValue, "kvlist_value": KeyValueList}


def repeats(owners: Any, keys: Any, spans: int, known: int) -> Any:
    """Which spans have a key twice."""
    cells = owners * known + keys
    if spans * known <= FLAGS:
        seen = np.zeros(spans * known, bool)
        seen[cells] = True
        if np.count_nonzero(seen) == len(cells):
            return np.zeros(spans, bool)
    distinct, counts = np.unique(cells, return_counts=True)
    found = np.zeros(spans, bool)
    found[distinct[counts > 1] // max(known, 1)] = True
    return found


def codes(found: pa.Array) -> Any:
    return found.indices.to_numpy()


def valid(found: pa.Array) -> Any:
    return found.is_valid().to_numpy(zero_copy_only=False)
