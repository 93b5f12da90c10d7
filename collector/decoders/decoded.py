"""What a decoder makes of reports: rows, and dead letters for what cannot become one."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from collector.decoders.envelopes import Around, Envelope, nothing
from collector.decoders.limits import MAX_DEAD_ITEM_BYTES, Refusal
from collector.decoders.text import cut
from collector.model import Account, Report, Signal
from collector.store.tables import TABLES, DeadLetterRow, Row, SpanRow, columns

Columns = Mapping[str, Sequence[Any]]  # column -> values, of equal lengths


class SpanColumns(Protocol):
    """Spans that were decoded by columns."""

    @property
    def told(self) -> Iterable[tuple[Account, Sequence[tuple[str, str]]]]:
        """Of each report what became of its items; and service and name of the spans, each such
        pair once, in the order they came."""

    def block(self, others: Sequence[Any], group: int) -> Columns | None:
        """Of these and of other SpanRows after them; None when there are none."""


@dataclass(frozen=True)
class DeadLetter:
    """An item that was accepted and cannot be stored, with the reason and its own bytes."""

    time_ns: int  # when its request was accepted
    signal: Signal
    reason: str
    detail: str
    identity: str
    item: bytes
    envelope: Envelope | None = None  # None: it cannot be made a report of its own

    @classmethod
    def of(
        cls, report: Report, refusal: Refusal, item: bytes, around: Around | None = None
    ) -> "DeadLetter":
        reason, detail = refusal
        envelope = around(item) if around else None
        if len(item) > MAX_DEAD_ITEM_BYTES:
            detail = f"{detail} (the first {MAX_DEAD_ITEM_BYTES} of its {len(item)} bytes)"
            envelope = None
        elif envelope and len(envelope.head) > MAX_DEAD_ITEM_BYTES:
            envelope = None
        kept = item[:MAX_DEAD_ITEM_BYTES]
        about = report.received_ns, report.signal, reason, cut(detail), report.identity
        return cls(*about, kept, envelope)

    def row(self) -> DeadLetterRow:
        return DeadLetterRow(
            time=self.time_ns,
            signal=self.signal,
            reason=self.reason,
            detail=self.detail,
            identity=self.identity,
            item=self.item,
            head=self.envelope.head if self.envelope else b"",
            tail=self.envelope.tail if self.envelope else b"",
            replayable=int(self.envelope is not None),
        )


@dataclass
class Collected:
    """What a decoder adds to: rows of any table and dead letters, in the order of the reports."""

    rows: list[Row] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)
    skipped: int = 0  # items that are not to be stored
    split: int = 0  # rows beyond the first of an item
    around: Around = nothing  # what makes an item a report of its own

    def refuse(self, report: Report, refusal: Refusal, item: bytes) -> None:
        """The item, as it was sent, is a dead letter."""
        self.dead.append(DeadLetter.of(report, refusal, item, self.around))

    def extend(self, rows: Sequence[Row]) -> None:
        """The rows of one item."""
        self.rows.extend(rows)
        self.split += len(rows) - 1

    @property
    def items(self) -> int:
        """That became rows."""
        return len(self.rows) - self.split


@dataclass(frozen=True)
class Decoded:
    """A group, decoded: what to insert, dead letters included."""

    tables: dict[str, Columns]  # by their names
    dead: list[DeadLetter]
    skipped: int
    split: int
    accounts: Sequence[Account] = ()

    @classmethod
    def of(
        cls,
        parts: Sequence[Collected],
        group: int,
        accounts: Sequence[Account] = (),
        spans: "SpanColumns | None" = None,
    ) -> "Decoded":
        """Rows of one table are one block, whichever decoders they came from; `spans` are those
        that are columns already, and before all others."""
        dead = [letter for part in parts for letter in part.dead]
        blocks: dict[str, list[Row]] = {}
        for part in parts:
            for row in part.rows:
                blocks.setdefault(TABLES[type(row)], []).append(row)
        for letter in dead:
            blocks.setdefault(TABLES[DeadLetterRow], []).append(letter.row())
        tables: dict[str, Columns] = {}
        if spans:
            table = TABLES[SpanRow]
            block = spans.block(blocks.pop(table, []), group)
            if block:
                tables[table] = block
        tables |= {table: columns(rows, group) for table, rows in blocks.items()}
        skipped = sum(part.skipped for part in parts)
        return cls(tables, dead, skipped, sum(part.split for part in parts), accounts)

    @property
    def counts(self) -> dict[str, int]:
        """Rows by table."""
        return {table: len(columns["_group"]) for table, columns in self.tables.items()}
