"""Counters in this process: for tests, and for a rule whose shared counters do not answer."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from policy.quota import ALGORITHMS
from policy.quota.base import Grant, Outcome, Quota, State
from policy.quota.contract import (
    DEADLINE_S,
    DEDUP_US,
    TOP,
    Dedup,
    Take,
    Usage,
    dedup_key,
    grants,
)
from policy.quota.keys import rule_prefix
from policy.quota.usage import most_used, of_limits, use_of

MAX_KEYS = 200_000
SWEEP_EVERY = 4_096  # takes


class Kept(NamedTuple):
    state: State
    until_us: int


class Answered(NamedTuple):
    since_us: int
    lease: str
    outcomes: list[Outcome]


class Held(NamedTuple):
    """What a lease holds: takes to be given back, and what leases of these names hold."""

    takes: tuple[Take, ...] = ()
    until_us: int = 0
    leases: tuple[str, ...] = ()


def now_us() -> int:
    return time.time_ns() // 1000


class MemoryCounters:
    """Keeps at most MAX_KEYS keys: past that the oldest are forgotten."""

    def __init__(self, clock_us: Callable[[], int] = now_us) -> None:
        self._clock_us = clock_us
        self._states: dict[str, Kept] = {}
        self._answers: dict[str, Answered] = {}  # by dedup key
        self._leases: dict[str, Held] = {}
        self._takes = 0

    def __len__(self) -> int:
        """How many keys are kept."""
        return len(self._states) + len(self._answers) + len(self._leases)

    async def charge(
        self,
        takes: tuple[Take, ...],
        deadline_s: float,  # noqa: ARG002
        *,
        best_effort: bool = False,
        dedup: Dedup | None = None,
        lease: str = "",
    ) -> list[Grant]:
        return self.charge_now(takes, best_effort=best_effort, dedup=dedup, lease=lease)

    def charge_now(
        self,
        takes: tuple[Take, ...],
        *,
        best_effort: bool = False,
        dedup: Dedup | None = None,
        lease: str = "",
    ) -> list[Grant]:
        """As `charge`, at once."""
        now = self._clock_us()
        key = dedup_key(dedup, takes) if dedup else ""
        said = self._again(key, lease, now) if dedup else None
        if said is None:
            said = self._charge(takes, now, best_effort, lease)
            if dedup and all(outcome.granted for outcome in said):
                self._answers.pop(key, None)
                self._answers[key] = Answered(now, lease, said)
        return grants(takes, said)

    async def release(self, lease: str, deadline_s: float) -> int:  # noqa: ARG002
        return self.release_now(lease)

    def release_now(self, lease: str) -> int:
        held = self._leases.pop(lease, None)
        if held is None:
            return 0
        now, given = self._clock_us(), sum(self.release_now(other) for other in held.leases)
        for take in held.takes:
            outcome, state = asked(take, self._states.get(take.key), now)
            if outcome.amount < 0:
                self._keep(take.key, state, now + outcome.reset_us)
            given -= outcome.amount
        return given

    async def peek(self, takes: tuple[Take, ...], deadline_s: float) -> list[Grant]:  # noqa: ARG002
        return self.peek_now(takes)

    def peek_now(self, takes: tuple[Take, ...]) -> list[Grant]:
        """As `peek`, at once."""
        now = self._clock_us()
        return grants(takes, [asked(take, self._states.get(take.key), now)[0] for take in takes])

    async def grant(self, take: Take, deadline_s: float = DEADLINE_S) -> Grant:  # noqa: ARG002
        return self.charge_now((take,))[0]

    async def usage(
        self,
        rule: str,
        quotas: Mapping[str, Quota],
        *,
        top: int = TOP,
        within_s: float = DEADLINE_S,  # noqa: ARG002
    ) -> Usage:
        now, prefix = self._clock_us(), rule_prefix(rule)
        keys = [key for key in self._states if key.startswith(prefix)]
        found = [
            use_of(take, asked(take, self._states[take.key], now)[0])
            for take in of_limits(keys, quotas)
        ]
        return Usage(most_used(found, top), complete=True)

    async def reset(self, keys: Sequence[str], deadline_s: float = DEADLINE_S) -> int:  # noqa: ARG002
        return sum(self._states.pop(key, None) is not None for key in keys)

    def _again(self, key: str, lease: str, now: int) -> list[Outcome] | None:
        """What this was answered already, as it would be said now."""
        answered = self._answers.get(key)
        if answered is None or now - answered.since_us >= DEDUP_US:
            return None
        first = answered.lease
        if lease and lease != first and first in self._leases:
            takes, until, leases = self._leases.get(lease, Held())
            until = max(until, self._leases[first].until_us)
            self._leases[lease] = Held(takes, until, (*leases, first))
        elapsed = max(now - answered.since_us, 0)
        return [
            outcome._replace(reset_us=max(outcome.reset_us - elapsed, 0))
            for outcome in answered.outcomes
        ]

    def _charge(
        self, takes: tuple[Take, ...], now: int, best_effort: bool, lease: str
    ) -> list[Outcome]:
        kept = [self._states.get(take.key) for take in takes]
        found = [asked(take, old, now) for take, old in zip(takes, kept, strict=True)]
        if best_effort and not all(outcome.granted for outcome, _ in found):
            left = (
                take.quota.burst - outcome.used + outcome.amount
                for take, (outcome, _) in zip(takes, found, strict=True)
                if take.amount > 0
            )
            most = min(left, default=0)
            if most > 0:
                takes = tuple(take._replace(amount=min(take.amount, most)) for take in takes)
                found = [asked(take, old, now) for take, old in zip(takes, kept, strict=True)]
        granted = all(outcome.granted for outcome, _ in found)
        for take, old, (outcome, state) in zip(takes, kept, found, strict=True):
            mended = not outcome.granted and old is not None and old.state != state
            if (granted and outcome.amount) or mended:
                self._keep(take.key, state, now + outcome.reset_us)
        said = [outcome for outcome, _ in found]
        if granted and lease:
            self._hold(lease, takes, said, now)
        self._takes += len(takes)
        if self._takes >= SWEEP_EVERY:
            self._sweep(now)
        return said

    def _keep(self, key: str, state: State, until_us: int) -> None:
        self._states.pop(key, None)  # the newest last, for the sweep
        self._states[key] = Kept(state, until_us)

    def _hold(self, lease: str, takes: tuple[Take, ...], said: list[Outcome], now: int) -> None:
        held, until, leases = self._leases.get(lease, Held())
        for take, outcome in zip(takes, said, strict=True):
            if ALGORITHMS[take.quota.algorithm].held and outcome.amount > 0:
                held += (take._replace(amount=-outcome.amount, slot=outcome.slot),)
                until = max(until, now + outcome.reset_us)
        if held:
            self._leases[lease] = Held(held, until, leases)

    def _sweep(self, now: int) -> None:
        self._takes = 0
        self._states = newest({k: kept for k, kept in self._states.items() if kept.until_us > now})
        self._leases = newest({k: held for k, held in self._leases.items() if held.until_us > now})
        self._answers = newest(
            {k: kept for k, kept in self._answers.items() if now - kept.since_us < DEDUP_US}
        )


def newest(kept: dict[str, Any]) -> dict[str, Any]:
    for key in list(kept)[: max(len(kept) - MAX_KEYS, 0)]:
        del kept[key]
    return kept


def asked(take: Take, kept: Kept | None, now: int) -> tuple[Outcome, State]:
    _, quota, amount, _, slot = take
    algorithm = ALGORITHMS[quota.algorithm]
    return algorithm.take(quota, kept.state if kept else None, amount, now, slot)
