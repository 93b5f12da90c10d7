"""Counters in this process: for tests, and for a rule whose shared counters do not answer."""

import time
from collections.abc import Callable
from typing import Any

from policy.quota import ALGORITHMS
from policy.quota.base import DEDUP_US, Dedup, Grant, Outcome, State, Take, dedup_key

Kept = tuple[State, int]  # and when it may go
MAX_KEYS = 200_000
SWEEP_EVERY = 4_096  # takes


def now_us() -> int:
    return time.time_ns() // 1000


class MemoryCounters:
    """Keeps at most MAX_KEYS keys: past that the oldest are forgotten."""

    def __init__(self, clock_us: Callable[[], int] = now_us) -> None:
        self._clock_us = clock_us
        self._states: dict[str, Kept] = {}
        self._answers: dict[str, tuple[int, list[Grant]]] = {}  # since when, by dedup key
        self._takes = 0

    def __len__(self) -> int:
        """How many keys are kept."""
        return len(self._states) + len(self._answers)

    async def charge(
        self,
        takes: tuple[Take, ...],
        deadline_s: float,  # noqa: ARG002
        *,
        best_effort: bool = False,
        dedup: Dedup | None = None,
    ) -> list[Grant]:
        return self.charge_now(takes, best_effort=best_effort, dedup=dedup)

    def charge_now(
        self,
        takes: tuple[Take, ...],
        *,
        best_effort: bool = False,
        dedup: Dedup | None = None,
    ) -> list[Grant]:
        """As `charge`, at once."""
        now = self._clock_us()
        if dedup is None:
            return self._charge(takes, now, best_effort)
        key = dedup_key(dedup, takes)
        since, grants = self._answers.get(key, (now - DEDUP_US, []))
        if now - since < DEDUP_US:
            return [again(grant, max(now - since, 0)) for grant in grants]
        grants = self._charge(takes, now, best_effort)
        if all(grant.granted for grant in grants):
            self._answers.pop(key, None)
            self._answers[key] = now, grants
        return grants

    def _charge(self, takes: tuple[Take, ...], now: int, best_effort: bool) -> list[Grant]:
        kept = [self._states.get(key) for key, _, _ in takes]
        outcomes = asked(takes, kept, now)
        if best_effort and not all(outcome.grant.granted for outcome in outcomes):
            most = min(outcome.grant.remaining + outcome.grant.amount for outcome in outcomes)
            if most:
                takes = tuple(take._replace(amount=min(take.amount, most)) for take in takes)
                outcomes = asked(takes, kept, now)
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
        self._states = newest({key: kept for key, kept in self._states.items() if kept[1] > now})
        self._answers = newest(
            {key: kept for key, kept in self._answers.items() if now - kept[0] < DEDUP_US}
        )


def newest(kept: dict[str, Any]) -> dict[str, Any]:
    for key in list(kept)[: max(len(kept) - MAX_KEYS, 0)]:
        del kept[key]
    return kept


def again(grant: Grant, elapsed_us: int) -> Grant:
    """The same, some time later."""
    return grant._replace(reset_us=max(grant.reset_us - elapsed_us, 0))


def asked(takes: tuple[Take, ...], kept: list[Kept | None], now: int) -> list[Outcome]:
    return [
        ALGORITHMS[quota.algorithm].take(quota, old[0] if old else None, amount, now)
        for (_, quota, amount), old in zip(takes, kept, strict=True)
    ]
