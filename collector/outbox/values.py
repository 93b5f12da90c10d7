"""What the outbox tells of itself."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Group:
    """Reports frozen together: they stay these reports, in this order, until they are stored."""

    id: int
    requests: int
    bytes: int
    sends: int  # how often it was handed out, this time included
    attempts: int  # how often a worker took it without a good end


class Part(NamedTuple):
    """What of a group is of one client and signal."""

    signal: str
    client: str
    reports: int
    items: int


class DeadGroup(NamedTuple):
    """A group in quarantine."""

    group: int
    reports: int
    bytes: int
    attempts: int
    reason: str
    since_s: float  # when it was given up
    received_ns: int  # when its first report came
    parts: list[Part]


class Quarantined(NamedTuple):
    """Given up and kept, with what was last known of it."""

    group: int
    reason: str


@dataclass(frozen=True)
class BookEntry:
    """What was taken of one client for one signal since the file was made, in items."""

    signal: str
    client: str
    reports: int
    accepted: int
    stored: int
    skipped: int  # that are not to be stored
    refused: Mapping[str, int]  # by reason: dead letters
    discarded: int  # deleted by somebody from quarantine
    pending: int
    quarantined: int

    @property
    def difference(self) -> int:
        """Accepted and unaccounted for; 0 when all is well."""
        told = self.stored + self.skipped + sum(self.refused.values()) + self.discarded
        return self.accepted - told - self.pending - self.quarantined


@dataclass(frozen=True)
class Terms:
    """How groups are made and handed out."""

    window: int  # groups out at a time
    group_bytes: int
    max_attempts: int
    lease_s: Callable[[int], float]  # the next lease, from how often it was handed out before


@dataclass(frozen=True)
class OutboxStats:
    """Pending: accepted and not yet stored, frozen into a group or not. Quarantined ones apart."""

    pending_requests: int
    pending_groups: int
    pending_bytes: int
    oldest_s: float  # age of the oldest pending report
    unfrozen_requests: int
    unfrozen_bytes: int
    quarantined_groups: int
    used_bytes: int  # pages of the file in use
    held_bytes: int  # of these, what cannot be dropped to make room
    max_bytes: int
    time_to_full_s: float = math.inf  # at the rate of the last minute

    @property
    def level(self) -> float:
        """From 0 to 1."""
        return self.used_bytes / self.max_bytes
