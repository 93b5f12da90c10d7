"""Counters that answer from memory, from what was taken of a quota in advance.

Where a rule allows it, a collector takes from the shared counters what it has lately used in a
tenth of a second, at most a hundredth of the limit, and answers from that. Every amount is counted
before it is granted: however many collectors there are, and whatever becomes of them, no more is
admitted in any time than was counted in it and was held at its beginning. What was counted in a
window, or a tick of a rolling one, is never used in the next; so there, no more than the limit.

What is not used within a second is given back; so is all at the end. What a collector that was
killed held stays used, until its window ends or its bucket fills. Four times a second each tells
the others what it holds, and learns which counters were reset: what it held of these is forgotten.
"""

import asyncio
import os
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from policy.errors import CountersDown
from policy.quota import ALGORITHMS
from policy.quota.advance import PERIOD_S, Advance, Lot, Used, largest
from policy.quota.base import Grant, Quota
from policy.quota.contract import DEADLINE_S, TOP, Counters, Dedup, Take, Usage
from policy.quota.keys import rule_of
from policy.quota.lending import Lending

LEASE_S = 1.0
SWEEP_S = 0.25
CLOCK_S = 0.001  # how finely it is told when a counter was reset


class LeasedCounters:
    """In front of shared counters, on one event loop. Charges that name an id, or make do with
    less, are passed on: an id must be known to all collectors."""

    def __init__(
        self,
        shared: Counters,
        clock: Callable[[], float] = time.monotonic,
        lending: Lending | None = None,
        *,
        lease_s: float = LEASE_S,
    ) -> None:
        """Without `lending` no other collector has these counters."""
        self._shared = shared
        self._clock = clock
        self._lending = lending
        self._lease_s = lease_s
        self._holder = os.urandom(8).hex()
        self._advances: dict[str, Advance] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._sweeping: asyncio.TimerHandle | None = None

    @property
    def outstanding(self) -> dict[str, int]:
        """What is held here, by rule."""
        now, found = self._clock(), dict[str, int]()
        for advance in list(self._advances.values()):  # perhaps from another thread
            if left := advance.left(now):
                rule = rule_of(advance.key)
                found[rule] = found.get(rule, 0) + left
        return found

    async def give_back(self) -> None:
        """All that is held here; for the end."""
        if self._sweeping:
            self._sweeping.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        advances, self._advances = self._advances, {}
        await asyncio.gather(
            *(
                self._return(advance, lot)
                for advance in advances.values()
                for lot in advance.lots
                if lot.left
            )
        )

    async def charge(
        self,
        takes: tuple[Take, ...],
        deadline_s: float,
        *,
        best_effort: bool = False,
        dedup: Dedup | None = None,
        lease: str = "",
    ) -> list[Grant]:
        """As `Counters.charge`."""
        if best_effort or dedup or not any(take.leased for take in takes):
            return await self._shared.charge(
                takes, deadline_s, best_effort=best_effort, dedup=dedup, lease=lease
            )
        now = self._clock()
        held = [self._use(take, now, deadline_s) for take in takes]
        asked = tuple(take for take, used in zip(takes, held, strict=True) if used is None)
        granted: list[Grant] = []
        try:
            if asked:
                granted = await self._shared.charge(asked, deadline_s, lease=lease)
        except BaseException:
            self._unuse(held)
            raise
        if not all(grant.granted for grant in granted):
            self._unuse(held)
        others = iter(granted)
        return [
            used.grant(take.amount, now) if used else next(others)
            for take, used in zip(takes, held, strict=True)
        ]

    async def release(self, lease: str, deadline_s: float) -> int:
        return await self._shared.release(lease, deadline_s)

    async def peek(self, takes: tuple[Take, ...], deadline_s: float) -> list[Grant]:
        """What is held here is used, to others."""
        return await self._shared.peek(takes, deadline_s)

    async def grant(self, take: Take, deadline_s: float = DEADLINE_S) -> Grant:
        """What is held in advance is not used yet, and comes back by itself: no more is given back
        than is used without it."""
        if take.amount < 0 and take.leased and self._lending:
            held = (await self._lending.held([take.key]))[take.key]
            nothing = (await self.peek((take._replace(amount=0),), deadline_s))[0]
            used = max(take.quota.burst - nothing.remaining - held, 0)
            take = take._replace(amount=max(take.amount, -used))
        return await self._shared.grant(take, deadline_s)

    async def usage(
        self,
        rule: str,
        quotas: Mapping[str, Quota],
        *,
        top: int = TOP,
        within_s: float = DEADLINE_S,
    ) -> Usage:
        """With what all collectors hold in advance."""
        found = await self._shared.usage(rule, quotas, top=top, within_s=within_s)
        if self._lending is None:
            return found
        held = await self._lending.held([use.key for use in found.entries])
        return found._replace(
            entries=tuple(use._replace(leased=held[use.key]) for use in found.entries)
        )

    async def reset(self, keys: Sequence[str], deadline_s: float = DEADLINE_S) -> int:
        """What other collectors hold of them is gone when they tell what they hold next."""
        count = await self._shared.reset(keys, deadline_s)
        # After the counters: what is taken in between is lost, not had twice.
        if self._lending:
            await self._lending.reset(keys)
        for key in keys:
            if advance := self._advances.get(key):
                advance.forget(self._clock())
        return count

    def _use(self, take: Take, now: float, deadline_s: float) -> Used | None:
        """What is held here; None: it is to be asked for. Sees that there will be more."""
        advance = self._advance(take) if take.leased and take.amount > 0 else None
        if advance is None:
            return None
        advance.count(take.amount, now)
        used = advance.use(take.amount, now)
        if wanted := advance.wanted(now):
            advance.refilling = True
            self._spawn(self._refill(advance, wanted, deadline_s))
        return used

    def _unuse(self, held: Sequence[Used | None]) -> None:
        for used in held:
            if used:
                used.advance.unuse(used)
                if self._advances.get(used.advance.key) is not used.advance:
                    self._end(used.advance)

    def _advance(self, take: Take) -> Advance | None:
        """None for what is never taken in advance."""
        advance = self._advances.get(take.key)
        if advance and (advance.quota is take.quota or advance.quota == take.quota):
            return advance
        if advance:
            self._end(advance)
        if not largest(take.quota) or ALGORITHMS[take.quota.algorithm].lease_us is None:
            return None
        advance = self._advances[take.key] = Advance(take.key, take.quota)
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(SWEEP_S, self._sweep)
        return advance

    async def _refill(self, advance: Advance, wanted: int, deadline_s: float) -> None:
        sent = self._clock()
        take = Take(advance.key, advance.quota, wanted)
        try:
            grant = (await self._shared.charge((take,), deadline_s, best_effort=True))[0]
        except CountersDown:
            advance.exact_until = sent + LEASE_S
            return
        finally:
            advance.refilling = False
        if grant.amount < wanted:
            advance.exact_until = sent + PERIOD_S
        if grant.amount:
            lease_us = ALGORITHMS[advance.quota.algorithm].lease_us
            lasts_s = lease_us(advance.quota, grant) / 1e6 if lease_us else 0.0
            advance.add(Lot(grant.amount, sent + min(lasts_s, self._lease_s), grant.slot, sent))
            advance.said, advance.said_at = grant, sent
            if self._advances.get(advance.key) is not advance:
                self._end(advance)

    def _sweep(self) -> None:
        self._sweeping = None
        self._spawn(self._look_through())

    async def _look_through(self) -> None:
        if self._lending:
            await self._tell(self._lending)
        now = self._clock()
        for key, advance in list(self._advances.items()):
            for lot in advance.settle(now):
                self._spawn(self._return(advance, lot))
            if not advance.lots and not advance.refilling and not advance.recent(now):
                del self._advances[key]
        if self._advances and self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(SWEEP_S, self._sweep)

    async def _tell(self, lending: Lending) -> None:
        now = self._clock()
        held = {
            key: advance.left(now)
            for key, advance in self._advances.items()
            if advance.lots or advance.told
        }
        while held:
            try:
                ages_s = await lending.tell(self._holder, held)
            except CountersDown:
                return  # what is held ends soon by itself
            told, now, held = held, self._clock(), {}
            for key, left in told.items():
                if advance := self._advances.get(key):
                    advance.told = left
                    if key in ages_s and advance.forget(now - ages_s[key] + CLOCK_S):
                        held[key] = advance.left(now)

    def _end(self, advance: Advance) -> None:
        lots, advance.lots = advance.lots, []
        for lot in lots:
            self._spawn(self._return(advance, lot))

    async def _return(self, advance: Advance, lot: Lot) -> None:
        amount, lot.left = lot.left, 0
        if not amount:
            return
        take = Take(advance.key, advance.quota, -amount, slot=lot.slot)
        try:
            await self._shared.grant(take)
        except CountersDown:
            return  # it stays used

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
