"""What a front-end may call."""

from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, Protocol

from collector.memory import Memory
from collector.model import Report
from policy.attributes import AttributeBag
from policy.quota import Dedup as Dedup  # part of what a front-end says
from policy.results import Decision


class Checker(Protocol):
    """May it pass? Decides and records the decision."""

    def check(
        self,
        bag: AttributeBag,
        *,
        protocol: str,
        hits: int = 1,
        deadline_s: float | None = None,
        best_effort: bool = False,
        dedup: Dedup | None = None,
    ) -> Decision | Awaitable[Decision]:
        """A plain Decision when no counter is asked. Never raises for a dependency that is down."""

    async def release(self, lease: str) -> int:
        """A request is over: gives back what its decision's lease holds, and says how much.

        Raises Unready while the counters do not answer; the lease then ends by itself.
        """


class Reporter(Protocol):
    """What happened: on disk before it returns."""

    async def report(self, report: Report) -> None:
        """Raises Overloaded when the outbox cannot take it."""


class Usage(NamedTuple):
    """What a sidecar decided by itself since its last report; 0 s: it is the first."""

    allowed: int
    denied: int
    elapsed_s: float


class Verb(StrEnum):
    """What a sidecar is to do with the requests of one bucket."""

    ALLOW = "allow"
    DENY = "deny"
    COUNT = "count"  # with a token bucket of its own
    FORGET = "forget"  # the bucket, until a request is for it again


class Assignment(NamedTuple):
    """To count: `tokens` every `seconds` seconds into a bucket of `size`."""

    verb: Verb
    tokens: int = 0
    seconds: int = 1
    size: int = 0
    renewed: bool = False  # the bucket begins full, also when it is the same as before


Tell = Callable[[Hashable, Assignment], None]  # what to do with which bucket


class Member(Protocol):
    """One connection of one sidecar. It is told when what it is to do changes, and now and then."""

    def report(self, bucket: Hashable, bag: AttributeBag, usage: Usage) -> None:
        """Records the usage. Requests of a bucket are alike: they have the attributes of `bag`.

        Raises Overloaded for a bucket more than the collector keeps.
        """

    def leave(self, *, lost: bool) -> None:
        """Lost: the sidecar may be gone for good, and its shares go to others soon."""


class Sharing(Protocol):
    """Quotas for sidecars that count by themselves: each has a share of what rules allow."""

    def join(self, name: str, tell: Tell) -> Member:
        """`name` is the same when a sidecar comes back. Raises Unready while there are no rules."""


@dataclass(frozen=True)
class Services:
    checker: Checker
    reporter: Reporter
    sharing: Sharing
    memory: Memory = field(default_factory=Memory)
