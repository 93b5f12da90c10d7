"""The OTLP requests of a group as columns: what these cannot tell of them, the reference decoder
tells, and its rows go in their place."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.decoders.bounds import LARGE_BYTES
from collector.decoders.columns.spans import Columns, columns
from collector.decoders.columns.texts import codes
from collector.decoders.columns.wire import read
from collector.decoders.decoded import Collected
from collector.decoders.otlp_traces import row
from collector.decoders.span_rules import service_name
from collector.decoders.text import texts
from collector.model import Account, Report
from collector.store.block import Arrays, Block, Resources, block, piece
from collector.store.tables import SpanRow

Reference = Callable[[Report, Collected], Account]


def decode_spans(reports: Iterable[Report], out: Collected, reference: Reference) -> "Spans":
    """Dead letters are added to `out`, and rows are not."""
    spans = Spans(out, reference)
    for part in portions(reports):
        spans.add(part)
    return spans


def portions(reports: Iterable[Report]) -> Iterator[list[Report]]:
    """Of so many bytes that they can be read at once whatever they hold; what is larger, alone."""
    part: list[Report] = []
    size = 0
    for report in reports:
        if part and size + len(report.body) > LARGE_BYTES:
            yield part
            part, size = [], 0
        part.append(report)
        size += len(report.body)
    if part:
        yield part


class Spans:
    """What has been made of the reports so far."""

    def __init__(self, out: Collected, reference: Reference) -> None:
        self._out = out
        self._reference = reference
        self._pieces: list[Arrays] = []
        self._resources = Resources()
        self._accounts: list[Account] = []

    @property
    def told(self) -> Iterator[tuple[Account, Sequence[tuple[str, str]]]]:
        rows = [account.stored for account in self._accounts]
        return zip(self._accounts, named(self._pieces, rows), strict=True)

    def block(self, others: Sequence[SpanRow], group: int) -> Block | None:
        """Of all rows, and of others after them; None when there are none."""
        last = [piece(others, self._resources)] if others else []
        pieces = self._pieces + last
        return block(pieces, self._resources, group) if pieces else None

    def add(self, reports: Sequence[Report]) -> None:
        if len(reports) == 1 and len(reports[0].body) > LARGE_BYTES:
            self._refer(reports[0])
            return
        received_ns = [report.received_ns for report in reports]
        try:
            requests = read([report.body for report in reports])
            found = columns(requests, received_ns, self._resources)
        except ValueError:
            if len(reports) == 1:
                self._refer(reports[0])
            else:
                for report in reports:
                    self.add([report])
            return
        self._place(reports, found)

    def _refer(self, report: Report) -> None:
        account, rows = self._referred(report)
        self._accounts.append(account)
        if rows:
            self._pieces.append(piece(rows, self._resources))

    def _referred(self, report: Report) -> tuple[Account, list[SpanRow]]:
        before = len(self._out.rows)
        account = self._reference(report, self._out)
        rows: Any = self._out.rows[before:]
        del self._out.rows[before:]
        return account, rows

    def _place(self, reports: Sequence[Report], found: Columns) -> None:
        """Rows by their places: that of the span numbered n is 2n + 1, so that what is made of a
        request without its spans has one before them."""
        kept = np.ones(len(found.odd), bool)
        rows: list[SpanRow] = []
        places: list[int] = []
        starts = found.first.tolist()
        for report, refused, start, end in zip(
            reports, found.refused.tolist(), starts, starts[1:], strict=False
        ):
            odd = np.flatnonzero(found.odd[start:end])
            made = None if refused else one_by_one(report, odd) if len(odd) else []
            if made is None:
                account, made = self._referred(report)
                kept[start:end] = False
                places += [2 * start] * len(made)
            else:
                account = Account(report.signal, report.identity, end - start, 0, {})
                kept[start + odd] = False
                places += (2 * (start + odd) + 1).tolist()
            self._accounts.append(account)
            rows += made
        if not rows and kept.all():
            if len(kept):
                self._pieces.append(found.arrays)
            return
        order = np.argsort(np.concatenate([2 * np.flatnonzero(kept) + 1, places]), kind="stable")
        if len(order):
            good = pa.array(kept)
            arrays = {name: values.filter(good) for name, values in found.arrays.items()}
            self._pieces.append(merged(arrays, rows, pa.array(order), self._resources))


def named(pieces: Sequence[Arrays], rows: Sequence[int]) -> list[list[tuple[str, str]]]:
    """Of reports with so many rows, service and name of these, each pair once, in their order."""
    found: list[list[tuple[str, str]]] = [[] for _ in rows]
    if not pieces:
        return found
    services, names = (
        pa.concat_arrays([piece[column] for piece in pieces]).dictionary_encode()
        for column in ("service", "name")
    )
    report_of = np.repeat(np.arange(len(rows)), rows)
    pairs = (report_of * len(services.dictionary) + codes(services)) * len(names.dictionary)
    distinct = pa.array(pairs + codes(names)).unique().to_numpy()
    pairs, name = np.divmod(distinct, len(names.dictionary))
    report, service = np.divmod(pairs, len(services.dictionary))
    told = (services.dictionary.take(pa.array(service)), names.dictionary.take(pa.array(name)))
    pair_of = zip(*(column.to_pylist() for column in told), strict=True)
    for number, pair in zip(report.tolist(), pair_of, strict=True):
        found[number].append(pair)
    return found


def one_by_one(report: Report, wanted: Any) -> list[SpanRow] | None:
    """The rows of spans by their numbers; None when the request cannot be read as a whole."""
    try:
        request = ExportTraceServiceRequest.FromString(report.body)
    except DecodeError:
        return None
    spans = [
        (span, resource_spans)
        for resource_spans in request.resource_spans
        for scope_spans in resource_spans.scope_spans
        for span in scope_spans.spans
    ]
    found = []
    for number in wanted.tolist():
        span, resource_spans = spans[number]
        attributes = texts(resource_spans.resource.attributes)
        found.append(row(span, service_name(attributes), attributes))
    return found


def merged(arrays: Arrays, rows: list[SpanRow], order: pa.Array, resources: Resources) -> Arrays:
    if not rows:
        return arrays
    others = piece(rows, resources)
    return {
        name: pa.concat_arrays([values, others[name]]).take(order)
        for name, values in arrays.items()
    }
