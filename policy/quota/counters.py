"""Counters shared by all collectors, in Redis or Valkey.

All charges of one turn of the event loop with the same deadline go in one call.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from policy.errors import CountersDown
from policy.quota.base import Grant, Outcome, Quota
from policy.quota.breaker import Breaker
from policy.quota.contract import DEADLINE_S, TOP, Dedup, Take, Usage, Use, grants
from policy.quota.keys import rule_prefix
from policy.quota.memory import MemoryCounters, now_us
from policy.quota.script import Group, arguments, outcomes
from policy.quota.server import CounterServer
from policy.quota.usage import most_used, of_limits, use_of

__all__ = ["MemoryCounters", "RedisCounters"]

log = logging.getLogger(__name__)

MAX_BATCH = 256  # charges in one call: longer ones would hold the server up
MAX_LISTED = 10_000  # counters of a rule
PROBE_S = 1.0  # a probe connects and loads the script; no check waits for it

Said = list[Outcome]
Answer = asyncio.Future[Said]


class RedisCounters:
    """Used on one event loop. `clock_us` takes the place of the server's clock."""

    def __init__(
        self,
        url: str,
        *,
        clock_us: Callable[[], int] = lambda: 0,
        breaker: Breaker | None = None,
    ) -> None:
        self._server = CounterServer(url)
        self._clock_us = clock_us
        self._ahead_us = 0  # the server's clock, of ours
        self._breaker = breaker or Breaker()
        self._pending: dict[float, list[tuple[Group, Answer]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def check_server(self) -> None:
        """Raises CountersDown, and UnsuitableCounters for a server that may evict."""
        await self._server.check()

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.close()

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
        said = await self._said(Group(takes, best_effort, dedup, lease), deadline_s)
        return grants(takes, said)

    async def release(self, lease: str, deadline_s: float) -> int:
        said = await self._said(Group((), lease=lease), deadline_s)
        return -sum(outcome.amount for outcome in said)

    async def peek(self, takes: tuple[Take, ...], deadline_s: float) -> list[Grant]:
        return grants(takes, await self._said(Group(takes, peek=True), deadline_s))

    async def grant(self, take: Take, deadline_s: float = DEADLINE_S) -> Grant:
        return (await self.charge((take,), deadline_s))[0]

    async def usage(
        self,
        rule: str,
        quotas: Mapping[str, Quota],
        *,
        top: int = TOP,
        within_s: float = DEADLINE_S,
    ) -> Usage:
        """As `Counters.usage`; looks at all keys of the server, for as long as it may."""
        until = time.monotonic() + within_s
        keys, complete = await self._listed(rule_prefix(rule), until)
        asked = [*of_limits(keys, quotas)]
        found: list[Use] = []
        for at in range(0, len(asked), MAX_BATCH):
            takes = tuple(asked[at : at + MAX_BATCH])
            said = await self._said(Group(takes, peek=True), DEADLINE_S)
            found += map(use_of, takes, said)
        return Usage(most_used(found, top), complete)

    async def reset(self, keys: Sequence[str], deadline_s: float = DEADLINE_S) -> int:
        return await self._server.forget(keys, deadline_s)

    async def _listed(self, prefix: str, until: float) -> tuple[list[str], bool]:
        """Keys that begin so, and whether these are all. A server may say one twice."""
        keys: dict[str, None] = {}
        cursor = -1
        while cursor and len(keys) < MAX_LISTED:
            if time.monotonic() > until:
                return list(keys), False
            cursor, found = await self._server.scan(max(cursor, 0), prefix + "*", DEADLINE_S)
            keys.update(dict.fromkeys(found))
        return list(keys)[:MAX_LISTED], not cursor and len(keys) <= MAX_LISTED

    async def _said(self, group: Group, deadline_s: float) -> Said:
        if not self._breaker.closed:
            self._probe()
            raise CountersDown("the counters did not answer lately")
        loop = asyncio.get_running_loop()
        answer: Answer = loop.create_future()
        if not self._pending:
            loop.call_soon(self._flush)
        # In whole milliseconds, so that callers' own deadlines still share calls.
        deadline = max(int(deadline_s * 1000), 1) / 1000
        self._pending.setdefault(deadline, []).append((group, answer))
        return await answer

    def _flush(self) -> None:
        pending, self._pending = self._pending, {}
        for deadline_s, waiting in pending.items():
            for at in range(0, len(waiting), MAX_BATCH):
                groups, answers = zip(*waiting[at : at + MAX_BATCH], strict=True)
                self._spawn(self._ask(groups, answers, deadline_s))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask(
        self, groups: Sequence[Group], answers: Sequence[Answer], deadline_s: float
    ) -> None:
        """One call for the whole batch. Every one of its futures is answered by the deadline,
        however long it takes to cut the call off, and whatever goes wrong here."""
        refused = False

        def refuse(why: str) -> None:
            nonlocal refused
            if not refused:
                refused = True
                late.cancel()
                self._failed(why)
                for answer in answers:
                    if not answer.done():
                        answer.set_exception(CountersDown(why))

        late = asyncio.get_running_loop().call_later(deadline_s, refuse, "no answer in time")
        try:
            numbers = iter(await self._evaluate(groups, deadline_s))
        except CountersDown as error:
            refuse(str(error))
            return
        except asyncio.CancelledError:
            refuse("the counters are closed")
            raise
        late.cancel()
        self._breaker.succeeded()
        for group, answer in zip(groups, answers, strict=True):
            said = outcomes(numbers, group)
            if not answer.done():
                answer.set_result(said)

    async def _evaluate(self, groups: Sequence[Group], deadline_s: float) -> list[int]:
        """A second time when the server's clock is not where it was thought to be."""
        until = asyncio.get_running_loop().time() + deadline_s
        for _ in range(2):
            now = self._clock_us()
            counted_us = now or now_us() + self._ahead_us
            keys, values = arguments(groups, now, counted_us)
            clock, *answers = await self._server.evaluate(keys, values, until)
            if not now:
                self._ahead_us = clock - now_us()
            if answers:
                return answers
        raise CountersDown("the server's clock does not stand still")

    def _failed(self, why: str) -> None:
        was_closed = self._breaker.closed
        self._breaker.failed()
        if was_closed and not self._breaker.closed:
            log.warning("the counters do not answer; rules decide by their own policy",
                        extra={"why": why})  # fmt: skip

    def _probe(self) -> None:
        if self._breaker.lets_through():
            self._spawn(self._try_again())

    async def _try_again(self) -> None:
        try:
            await self._server.load(PROBE_S)
        except CountersDown:
            self._breaker.failed()
        else:
            self._breaker.succeeded()
            log.info("the counters answer again")
