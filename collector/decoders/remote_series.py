"""Prometheus remote write: the series of a request, of either version, one by one.

Sources: https://prometheus.io/docs/specs/prw/remote_write_spec/ and remote_write_spec_2_0/.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from collector.decoders.lenient import Unreadable, parse
from collector.decoders.limits import MAX_ITEMS, Reason, Refusal
from collector.decoders.wire import messages
from collector.errors import TooLarge
from collector.model import Signal
from collector.proto import remote_write_pb2 as pb

NAME = "__name__"
SERIES, METADATA = 1, 3  # fields of a request of version 1
SYMBOLS, SERIES_V2 = 4, 5  # and of version 2
MAX_SERIES_BYTES = 64 * 1024  # to read one costs many times its size

Labels = dict[str, str]


class Series(NamedTuple):
    """`created_ms`: when its points' counting began, for those that do not say; 0: not told."""

    labels: Labels
    samples: Sequence[pb.Sample]
    histograms: Sequence[pb.Histogram]
    type: "pb.Type.ValueType" = pb.UNKNOWN
    unit: str = ""
    created_ms: int = 0


Read = tuple[bytes, Series | Refusal]  # a series as sent, and what it is or why it is none


def series_of(signal: Signal, body: bytes) -> Iterator[Read]:
    """Raises Unreadable where the request is none, and TooLarge."""
    try:
        yield from version_2(body) if signal is Signal.REMOTE_WRITE_V2 else version_1(body)
    except Unreadable as error:
        raise Unreadable(f"not a write request: {error}") from error


def version_1(body: bytes) -> Iterator[Read]:
    told: dict[str, pb.Metadata] = {}
    for place, (_, raw) in enumerate(messages(body, METADATA)):
        if place == MAX_ITEMS:
            raise TooLarge(f"a request may tell of {MAX_ITEMS} metrics")
        metadata = parse(pb.Metadata, raw)
        told[metadata.metric_family_name] = metadata
    for _, raw in messages(body, SERIES):
        yield raw, read_version_1(raw, told)


def read_version_1(raw: bytes, told: dict[str, pb.Metadata]) -> Series | Refusal:
    if len(raw) > MAX_SERIES_BYTES:
        return TOO_LONG
    try:
        message = parse(pb.Series, raw)
    except Unreadable as error:
        return Reason.UNREADABLE, str(error)
    pairs = [(label.name, label.value) for label in message.labels]
    labels = labels_of(pairs)
    if labels is None:
        return BAD_LABELS
    found = Series(labels, message.samples, message.histograms)
    metadata = told.get(labels[NAME]) or told.get(family(labels[NAME]))
    return found._replace(type=metadata.type, unit=metadata.unit) if metadata else found


def version_2(body: bytes) -> Iterator[Read]:
    symbols: list[str] = []
    for _, raw in messages(body, SYMBOLS):
        if len(symbols) == MAX_ITEMS:
            raise TooLarge(f"a request may hold {MAX_ITEMS} symbols")
        symbols.append(raw.decode("utf-8", "replace"))
    for _, raw in messages(body, SERIES_V2):
        yield raw, read_version_2(raw, symbols)


def read_version_2(raw: bytes, symbols: Sequence[str]) -> Series | Refusal:
    if len(raw) > MAX_SERIES_BYTES:
        return TOO_LONG
    try:
        message = parse(pb.SeriesV2, raw)
        found = [symbols[reference] for reference in message.labels_refs]
        unit = symbols[message.metadata.unit_ref] if message.metadata.unit_ref else ""
    except Unreadable as error:
        return Reason.UNREADABLE, str(error)
    except IndexError:
        return Reason.UNREADABLE, f"a reference beyond the {len(symbols)} symbols"
    labels = labels_of(list(zip(found[::2], found[1::2], strict=False)))
    if labels is None or len(found) % 2:
        return BAD_LABELS
    type_, created_ms = message.metadata.type, message.created_timestamp
    return Series(labels, message.samples, message.histograms, type_, unit, created_ms)


TOO_LONG = Reason.UNREADABLE, f"a series of over {MAX_SERIES_BYTES} bytes"
BAD_LABELS = Reason.BAD_POINT, f"a series needs {NAME}, and labels of different names"


def labels_of(pairs: Sequence[tuple[str, str]]) -> Labels | None:
    """None when they name no metric, or one name twice. An empty value is no label."""
    found = dict(pairs)
    if len(found) < len(pairs) or not found.get(NAME) or "" in found:
        return None
    return {name: value for name, value in found.items() if value}


def family(name: str) -> str:
    """What metadata calls the metric of a classic histogram's or a summary's series."""
    for suffix in ("_bucket", "_count", "_sum"):
        if name.endswith(suffix):
            return name.removesuffix(suffix)
    return name
