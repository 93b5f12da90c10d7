"""What was accepted, on disk until it is in ClickHouse."""

from collector.outbox.metrics import OutboxMetrics
from collector.outbox.names import NameLimits
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
    "NameLimits",
    "Outbox",
    "OutboxMetrics",
    "OutboxStats",
    "Quarantined",
    "Refusal",
    "Terms",
]
