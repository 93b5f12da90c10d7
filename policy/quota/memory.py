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

    def __len__(self) -> int:
        """How many keys are kept."""
        return len(self._states)

    async def charge(self, takes: tuple[Take, ...], deadline_s: float) -> list[Grant]:  # noqa: ARG002
        return self.charge_now(takes)

    def charge_now(self, takes: tuple[Take, ...]) -> list[Grant]:
        """Charges all of them or, when one is refused, none."""
        now = self._clock_us()
        kept = [self._states.get(key) for key, _, _ in takes]
        outcomes = [
            ALGORITHMS[quota.algorithm].take(quota, old[0] if old else None, amount, now)
            for (_, quota, amount), old in zip(takes, kept, strict=True)
        ]
        granted = all(outcome.grant.granted for outcome in outcomes)
        for (key, _, amount), old, outcome in zip(takes, kept, outcomes, strict=True):
            if granted and amount:
                self._states.pop(key, None)  # the newest last, for the sweep
                self._states[key] = outcome.state, now + outcome.keep_us
            elif not outcome.grant.granted and old and old[0] != outcome.state:
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
