"""Counters that are looked at in place of being charged."""

import asyncio
from typing import Any, NamedTuple, Protocol

from policy.quota import Counters, Grant, Take


class Seen(NamedTuple):
    """What taking nothing, and what the take itself, would be answered."""

    nothing: Grant
    take: Grant


class PeekingNow(Protocol):
    """What is asked of the counters of this process, see `LocalCounters`."""

    def peek_now(self, takes: tuple[Take, ...]) -> list[Grant]: ...


class Seeing:
    """`seen` holds, by key, what the counters said. Nothing in them changes."""

    def __init__(self) -> None:
        self.seen: dict[str, Seen] = {}

    def _see(self, takes: tuple[Take, ...], nothing: list[Grant], said: list[Grant]) -> None:
        for take, before, grant in zip(takes, nothing, said, strict=True):
            self.seen[take.key] = Seen(before, grant)


class Looking(Seeing):
    """Of the counters that all share."""

    def __init__(self, counters: Counters) -> None:
        super().__init__()
        self._counters = counters

    async def charge(self, takes: tuple[Take, ...], deadline_s: float, **_how: Any) -> list[Grant]:
        """Raises CountersDown."""
        nothing, said = await asyncio.gather(
            self._counters.peek(of_nothing(takes), deadline_s),
            self._counters.peek(takes, deadline_s),
        )
        self._see(takes, nothing, said)
        return said

    async def release(self, lease: str, deadline_s: float) -> int:  # noqa: ARG002
        return 0  # nothing is held


class LookingLocally(Seeing):
    """Of those in this process."""

    def __init__(self, counters: PeekingNow) -> None:
        super().__init__()
        self._local = counters

    def charge_now(self, takes: tuple[Take, ...], **_how: Any) -> list[Grant]:
        said = self._local.peek_now(takes)
        self._see(takes, self._local.peek_now(of_nothing(takes)), said)
        return said

    def release_now(self, lease: str) -> int:  # noqa: ARG002
        return 0


def of_nothing(takes: tuple[Take, ...]) -> tuple[Take, ...]:
    return tuple(take._replace(amount=0) for take in takes)
