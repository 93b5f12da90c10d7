"""AnyValues as texts, from their bytes: most are a string, or a number, and nothing else.

What is neither is read by its message class, and each of those that are the same once.
Source: opentelemetry/proto/common/v1/common.proto.
"""

from typing import Any

import numpy as np
import pyarrow as pa
from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from collector.decoders.text import plain
from collector.store.native import bounds

STRING, INTEGER = 0x0A, 0x18  # the first byte of one: fields 1 and 3, by their wire types
MORE = 0x80  # in a byte of a varint: it is not the last
INTEGER_BYTES = 10  # of a varint of 64 bits; the last of so many is 1
SHALLOW_BYTES = 100  # in which nothing can be nested deeper than a parser reads wherever it stands


def plain_texts(sent: pa.Array) -> tuple[pa.Array, Any]:
    """Of lists of AnyValues one text each; and which of them are none or cannot be told here.

    Raises ValueError for a string that is not UTF-8.
    """
    at = bounds(sent.values)[bounds(sent)]
    start, sizes = at[:-1], np.diff(at)
    held = sent.values.buffers()[2]
    data = np.frombuffer(held, np.uint8)[: at[-1]] if held else np.zeros(0, np.uint8)
    strange = np.diff(bounds(sent)) > 1
    first, second, third = (byte_at(data, start + number) for number in range(3))
    is_string = (first == STRING) & (sizes > 0)
    short = is_string & (second < MORE) & (sizes == second + 2)
    length = second & 0x7F | third.astype(np.int32) << 7
    long = is_string & (second >= MORE) & (third < MORE) & (sizes == length + 3)
    simple = short | long | (sizes == 0)
    found = [strings(data, start, sizes, simple, 2 * short + 3 * long)]
    others = np.flatnonzero(~simple & ~strange)
    if not len(others):
        return found[0], strange | ~simple
    whole, numbers = integers(data, start[others], sizes[others])
    rest = others[~whole]
    texts, unknown = one_by_one(data, start[rest], sizes[rest])
    strange[rest[unknown]] = True
    found += [numbers, texts]
    source = np.arange(len(sizes))
    source[others[whole]] = len(sizes) + np.arange(len(numbers))
    source[rest] = len(sizes) + len(numbers) + np.arange(len(rest))
    return pa.concat_arrays(found).take(pa.array(source)), strange


def byte_at(data: Any, at: Any) -> Any:
    """Of where no byte is, any."""
    return data.take(at, mode="clip").astype(np.int32) if len(data) else np.zeros(len(at), np.int32)


def strings(data: Any, start: Any, sizes: Any, simple: Any, heads: Any) -> pa.Array:
    """Those that are simple, without the bytes before their text; "" in place of the others."""
    kept = np.ones(len(data), bool)
    for byte in range(3):
        kept[start[heads > byte] + byte] = False
    others = np.flatnonzero(~simple)
    lost = sizes[others]
    kept[np.repeat(start[others] - np.cumsum(lost) + lost, lost) + np.arange(lost.sum())] = False
    ends = np.zeros(len(sizes) + 1, np.int32)
    np.cumsum(np.where(simple, sizes - heads, 0), out=ends[1:])
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(data[kept])]
    return pa.BinaryArray.from_buffers(pa.binary(), len(sizes), buffers).cast(pa.string())


def integers(data: Any, start: Any, sizes: Any) -> tuple[Any, pa.Array]:
    """Which of them are one, and the texts of these."""
    one = (byte_at(data, start) == INTEGER) & (sizes > 1) & (sizes <= 1 + INTEGER_BYTES)
    number = np.zeros(len(start), np.uint64)
    for byte in range(INTEGER_BYTES):
        held = byte_at(data, start + 1 + byte)
        has = sizes > 1 + byte
        one &= ~has | ((held >= MORE) == (sizes > 2 + byte))
        if byte == INTEGER_BYTES - 1:
            one &= ~has | (held == 1)
        number |= np.where(has, held & 0x7F, 0).astype(np.uint64) << np.uint64(7 * byte)
        if not (one & has).any():
            break
    return one, pa.array(number[one].view(np.int64)).cast(pa.string())


def one_by_one(data: Any, start: Any, sizes: Any) -> tuple[pa.Array, list[int]]:
    """Their texts, and the numbers of those that must be read where they stand."""
    known: dict[bytes, str | None] = {}
    found = []
    for begin, size in zip(start.tolist(), sizes.tolist(), strict=True):
        sent = data[begin : begin + size].tobytes()
        if sent not in known:
            known[sent] = text_of(sent)
        found.append(known[sent])
    unknown = [number for number, text in enumerate(found) if text is None]
    return pa.array([text or "" for text in found], pa.string()), unknown


def text_of(sent: bytes) -> str | None:
    if len(sent) > SHALLOW_BYTES:
        return None
    try:
        return plain(AnyValue.FromString(sent))
    except DecodeError:
        return None
