"""The outbox's groups as whoever stores them sees them, with every outcome counted."""

import random
from collections.abc import Sequence
from typing import Protocol

from prometheus_client import Counter

from collector.model import Account, Names, Taken
from collector.outbox import Outbox

GROUPS = Counter(
    "meshmeter_groups",
    "what became of groups: sent, drained, done, failed, put_back, quarantined",
    ["outcome"],
)
RETRY_S = 1.0  # after which a group is sent again when it is not to blame


class Groups(Protocol):
    """Where groups are fetched, and who is told how it went. Each raises Unready."""

    def fetch(self, group: int) -> Taken | None:
        """Begins an attempt. None when there is nothing (any more) to do."""

    def over(self, group: int, names: Names) -> Names:
        """Of the names in it, those to be stored under another; the same whenever asked."""

    def done(self, group: int, accounts: Sequence[Account]) -> None:
        """It is stored, and that became of its items."""

    def failed(self, group: int, reason: str) -> None:
        """The group's own fault: the attempt counts."""

    def put_back(self, group: int, *, taken: bool) -> None:
        """Not its fault. `taken`: it had been fetched."""


class OutboxGroups:
    """`Groups` beside the outbox itself."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    @property
    def collector_id(self) -> str:
        return self._outbox.collector_id

    def fetch(self, group: int) -> Taken | None:
        return self._outbox.begin_attempt(group)

    def over(self, group: int, names: Names) -> Names:
        return self._outbox.over(group, names)

    def done(self, group: int, accounts: Sequence[Account]) -> None:
        if self._outbox.mark_done(group, accounts):
            GROUPS.labels("done").inc()

    def failed(self, group: int, reason: str) -> None:
        self._outbox.mark_failed(group, reason)
        GROUPS.labels("failed").inc()

    def put_back(self, group: int, *, taken: bool) -> None:
        retry_in_s = RETRY_S * random.uniform(1, 1.5)  # noqa: S311 (jitter)
        self._outbox.put_back(group, retry_in_s, taken=taken)
        GROUPS.labels("put_back").inc()
