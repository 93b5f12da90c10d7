"""What was accepted, on disk until it is in ClickHouse."""

from collector.outbox.metrics import OutboxMetrics
from collector.outbox.outbox import Outbox
from collector.outbox.refusals import Refusal
from collector.outbox.values import (
    BookEntry,
    DeadGroup,
    Group,
    OutboxStats,
    Quarantined,
    Terms,
)

__all__ = [
    "BookEntry",
    "DeadGroup",
    "Group",
    "Outbox",
    "OutboxMetrics",
    "OutboxStats",
    "Quarantined",
    "Refusal",
    "Terms",
]
