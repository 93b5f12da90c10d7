"""Prometheus' write requests as their senders make them, of both versions."""

import time
from typing import Any

import cramjam

from collector.proto import remote_write_pb2 as pb

NOW_MS = time.time_ns() // 10**6
NAME = "__name__"


def sample(value: float, at_ms: int = NOW_MS, **more: int) -> pb.Sample:
    return pb.Sample(value=value, timestamp=at_ms, **more)


def series(
    name: str, *samples: pb.Sample, histograms: tuple[pb.Histogram, ...] = (), **labels: str
) -> pb.Series:
    """Labels are sorted, as the protocol wants them."""
    found = sorted({NAME: name, "instance": "10.0.0.5:80", "job": "shop", **labels}.items())
    return pb.Series(
        labels=[pb.Label(name=key, value=value) for key, value in found],
        samples=samples,
        histograms=histograms,
    )


def field(number: int, body: bytes) -> bytes:
    size, varint = len(body), bytearray()
    while size > 0x7F:
        varint.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([number << 3 | 2]) + bytes(varint) + bytes([size]) + body


def version_1(*found: pb.Series, metadata: tuple[pb.Metadata, ...] = ()) -> bytes:
    parts = [field(1, one.SerializeToString()) for one in found]
    return b"".join(parts + [field(3, one.SerializeToString()) for one in metadata])


def version_2(
    *found: pb.Series, type_: int = pb.UNKNOWN, unit: str = "", created_ms: int = 0
) -> bytes:
    """The same series; type, unit and time of creation are those of all of them."""
    texts = {label.name for one in found for label in one.labels}
    texts |= {label.value for one in found for label in one.labels} | {unit}
    symbols = ["", *sorted(texts - {""})]
    parts = [field(4, symbol.encode()) for symbol in symbols]
    for one in found:
        pairs = [text for label in one.labels for text in (label.name, label.value)]
        message = pb.SeriesV2(
            labels_refs=[symbols.index(text) for text in pairs],
            samples=one.samples,
            histograms=one.histograms,
            metadata=pb.MetadataV2(type=type_, unit_ref=symbols.index(unit)),
            created_timestamp=created_ms,
        )
        parts.append(field(5, message.SerializeToString()))
    return b"".join(parts)


def histogram(**changes: Any) -> pb.Histogram:
    """Of 1 value at 0, 2 of (1, 2], none of (2, 4], 3 of (4, 8] and 1 of (8, 16]."""
    usual: dict[str, Any] = {
        "count_int": 7,
        "sum": 31.5,
        "schema": 0,
        "zero_threshold": 1e-9,
        "zero_count_int": 1,
        "positive_spans": [pb.Span(offset=1, length=1), pb.Span(offset=1, length=2)],
        "positive_deltas": [2, 1, -2],
        "timestamp": NOW_MS,
    }
    return pb.Histogram(**usual | changes)


def snappy(body: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(body))
