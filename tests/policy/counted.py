"""Counters with a clock of the test's own, in memory and in Redis alike."""

import asyncio
import uuid
from typing import Any

from policy.quota import Counters, Grant, Quota, Take, Usage
from policy.quota.keys import quota_key

NOON_US = 1_700_006_400_000_000  # a whole multiple of every window used here
SECOND = 1_000_000


def usual(algorithm: str, limit: int) -> Quota:
    """So much in a short window: a second, or the shortest of a calendar."""
    if algorithm == "calendar-window":
        return Quota(algorithm, limit, 0, limit, unit="minute")
    return Quota(algorithm, limit, SECOND, limit)


class Clock:
    def __init__(self) -> None:
        self.now_us = NOON_US

    def __call__(self) -> int:
        return self.now_us


class Counted:
    """Counters with keys nobody else has."""

    def __init__(self, clock: Clock, counters: Counters, runner: asyncio.Runner) -> None:
        self.clock = clock
        self.counters = counters
        self._run = runner.run
        self._prefix = uuid.uuid4().hex

    def take(self, quota: Quota, amount: int = 1, key: str = "k", **how: Any) -> Grant:
        return self.take_all((key, quota, amount), **how)[0]

    def take_all(self, *takes: tuple[str, Quota, int], **how: Any) -> list[Grant]:
        """`lease` is the test's own too."""
        if "lease" in how:
            how["lease"] = self._prefix + how["lease"]
        return self._run(self.counters.charge(self._takes(takes), 5, **how))

    def give_back(self, quota: Quota, amount: int, key: str = "k", slot: int = 0) -> int:
        """How much that was."""
        take = Take(self.key(key, quota), quota, -amount, slot=slot)
        return -self._run(self.counters.grant(take)).amount

    def release(self, lease: str) -> int:
        return self._run(self.counters.release(self._prefix + lease, 5))

    def peek(self, quota: Quota, amount: int = 0, key: str = "k") -> Grant:
        return self._run(self.counters.peek(self._takes([(key, quota, amount)]), 5))[0]

    def used(self, quota: Quota, key: str = "k") -> int:
        """Of a limit that was not lowered."""
        return quota.burst - self.peek(quota, 0, key).remaining

    def usage(self, quota: Quota, **how: Any) -> Usage:
        return self._run(self.counters.usage(self._prefix, {"0": quota}, **how))

    def usage_of(self, *amounts: tuple[str, Quota, int], asked: dict[str, Quota]) -> Usage:
        """After taking so much of each limit, by its id."""
        for limit, quota, amount in amounts:
            key = quota_key(self._prefix, limit, quota.algorithm, ["k"])
            self._run(self.counters.charge((Take(key, quota, amount),), 5))
        return self._run(self.counters.usage(self._prefix, asked))

    def reset(self, quota: Quota, *keys: str) -> int:
        return self._run(self.counters.reset([self.key(key, quota) for key in keys]))

    def key(self, key: str, quota: Quota) -> str:
        return quota_key(self._prefix, "0", quota.algorithm, [key])

    def _takes(self, takes: Any) -> tuple[Take, ...]:
        return tuple(
            Take(self.key(key, quota), quota, amount, leased=True) for key, quota, amount in takes
        )
