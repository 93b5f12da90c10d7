"""The outbox and its books as the API tells them."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from collector.outbox import BookEntry, Outbox
from collector.outbox.fill import HARD, SOFT

SUMMED = (
    "reports", "accepted", "stored", "skipped", "discarded", "pending", "quarantined", "difference"
)  # fmt: skip


class Accounts:
    """What this collector's outbox accepted, and what became of it."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    def reconciled(self) -> dict[str, Any]:
        """`ReconciliationAnswer` without the door. Raises Overloaded when the file is broken."""
        entries = self._outbox.books()
        return {
            "collector_id": self._outbox.collector_id,
            "balanced": not any(entry.difference for entry in entries),
            "total": {"signal": "", "client": ""} | summed(entries),
            "clients": [told(entry) for entry in entries],
        }

    def outbox(self) -> dict[str, Any]:
        """`OutboxAnswer`. Raises Overloaded when the file is broken."""
        stats = self._outbox.stats()
        seconds = stats.time_to_full_s
        return asdict(stats) | {
            "pressure": pressure(stats.level),
            "time_to_full_s": None if math.isinf(seconds) else seconds,
        }


def pressure(level: float) -> str:
    if level >= HARD:
        return "hard"
    return "soft" if level >= SOFT else "none"


def told(entry: BookEntry) -> dict[str, Any]:
    return {"signal": entry.signal, "client": entry.client} | summed([entry])


def summed(entries: Sequence[BookEntry]) -> dict[str, int | Mapping[str, int]]:
    refused: Counter[str] = Counter()
    for entry in entries:
        refused.update(entry.refused)
    return {
        **{name: sum(getattr(entry, name) for entry in entries) for name in SUMMED},
        "refused": refused,
    }
