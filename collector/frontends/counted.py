"""Self-metrics of the report front-ends: what came, and what of it went no further.

What they add up to is stated in docs/protocols/otlp.md: every message is in the outbox or dropped
for a reason; every item of a message in the outbox is stored or a dead letter.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from prometheus_client import Counter

from collector.errors import (
    CollectorError,
    Malformed,
    MemoryShort,
    TooLarge,
    TooSlow,
    Unready,
    Unsupported,
)
from collector.transport.reading import PeerLeft

MESSAGES = Counter("meshmeter_frontend_messages", "Report messages received", ["protocol"])
MESSAGES_DROPPED = Counter(
    "meshmeter_frontend_messages_dropped",
    "Report messages that did not reach the outbox",
    ["protocol", "reason"],
)
BYTES = Counter(
    "meshmeter_frontend_bytes", "Decompressed bytes of the messages in the outbox", ["protocol"]
)
ITEMS = Counter(
    "meshmeter_frontend_items",
    "Spans, log records, data points of the messages in the outbox",
    ["protocol"],
)
ITEMS_DROPPED = Counter(
    "meshmeter_frontend_items_dropped",
    "Of these items, those refused at the door: they become dead letters",
    ["protocol"],
)
WAITS = Counter(
    "meshmeter_frontend_waits", "Times a stream waited for room in the outbox", ["protocol"]
)

REASONS: dict[type[CollectorError], str] = {
    Malformed: "malformed",
    TooLarge: "too_large",
    TooSlow: "too_slow",
    Unsupported: "unsupported",
    MemoryShort: "memory",
    Unready: "overloaded",
}


@contextmanager
def counted(protocol: str) -> Iterator[None]:
    """Around the handling of one message, which is dropped when an error of the collector ends it.

    `abandoned`: the peer went away or ran out of time before the answer; the message may be in
    the outbox all the same.
    """
    MESSAGES.labels(protocol).inc()
    try:
        yield
    except CollectorError as error:
        reason = next((REASONS[kind] for kind in type(error).__mro__ if kind in REASONS), "other")
        dropped(protocol, reason)
        raise
    except (asyncio.CancelledError, PeerLeft):
        dropped(protocol, "abandoned")
        raise


def dropped(protocol: str, reason: str) -> None:
    MESSAGES_DROPPED.labels(protocol, reason).inc()


def stored(protocol: str, size: int, items: int, refused: int = 0) -> None:
    """A message is in the outbox: its bytes, its items, and those of them refused at the door."""
    BYTES.labels(protocol).inc(size)
    ITEMS.labels(protocol).inc(items)
    if refused:
        ITEMS_DROPPED.labels(protocol).inc(refused)


class Door(NamedTuple):
    """Messages that came, and those of them that went no further, by reason."""

    messages: int
    dropped: dict[str, int]


def door() -> dict[str, Door]:
    """By protocol, since this process began."""
    seen = {
        sample.labels["protocol"]: Door(int(sample.value), {})
        for family in MESSAGES.collect()
        for sample in family.samples
        if sample.name.endswith("_total")
    }
    for family in MESSAGES_DROPPED.collect():
        for sample in family.samples:
            if sample.name.endswith("_total"):
                seen[sample.labels["protocol"]].dropped[sample.labels["reason"]] = int(sample.value)
    return seen
