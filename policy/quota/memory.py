"""Counters in this process: for tests, and for a rule whose shared counters do not answer."""

import time
from collections.abc import Callable

from policy.quota import ALGORITHMS
from policy.quota.base import Grant, State, Take

MAX_KEYS = 200_000
SWEEP_EVERY = 4_096  # takes


def now_us() -> int:
    return time.time_ns() // 1000


class MemoryCounters:
    """Keeps at most MAX_KEYS keys: past that the oldest are forgotten."""

    def __init__(self, clock_us: Callable[[], int] = now_us) -> None:
        self._clock_us = clock_us
        self._states: dict[str, tuple[State, int]] = {}  # the state, and when it may go
        self._takes = 0

    async def charge(self, takes: tuple[Take, ...], deadline_s: float) -> list[Grant]:  # noqa: ARG002
        return self.charge_now(takes)

    def charge_now(self, takes: tuple[Take, ...]) -> list[Grant]:
        """Charges all of them or, when one is refused, none."""
        now = self._clock_us()
        outcomes = []
        for key, quota, amount in takes:
            kept = self._states.get(key)
            state = kept[0] if kept else None
            outcomes.append(ALGORITHMS[quota.algorithm].take(quota, state, amount, now))
        if all(outcome.grant.granted for outcome in outcomes):
            for (key, _, amount), outcome in zip(takes, outcomes, strict=True):
                if amount:
                    self._states.pop(key, None)
                    self._states[key] = outcome.state, now + outcome.keep_us
        self._takes += len(takes)
        if self._takes >= SWEEP_EVERY:
            self._sweep(now)
        return [outcome.grant for outcome in outcomes]

    def _sweep(self, now: int) -> None:
        self._takes = 0
        alive = {key: kept for key, kept in self._states.items() if kept[1] > now}
        for key in list(alive)[: max(len(alive) - MAX_KEYS, 0)]:
            del alive[key]
        self._states = alive
