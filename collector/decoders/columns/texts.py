"""Attributes of many spans as the texts that are stored: `decoders.text`, column by column."""

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from collector.decoders.columns.values import plain_texts
from collector.decoders.limits import MAX_ATTRIBUTES
from collector.decoders.text import SHORT, SHORT_KEY
from collector.store.native import bounds

FLAGS = 1 << 22  # a flag for each key of each span, where these are no more


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
