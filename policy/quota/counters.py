"""Counters shared by all collectors, in Redis or Valkey.

All charges of one turn of the event loop with the same deadline go in one EVALSHA. Nothing is
tried twice: an answer that is late is no answer, though the server may have charged for it.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError, ResponseError

from policy.errors import CountersDown, UnsuitableCounters
from policy.quota.base import Dedup, Grant, Take
from policy.quota.breaker import Breaker
from policy.quota.memory import MemoryCounters
from policy.quota.script import SCRIPT, Group, arguments, grants

__all__ = ["MemoryCounters", "RedisCounters"]

log = logging.getLogger(__name__)

MAX_BATCH = 256  # charges in one call: longer ones would hold the server up
CONNECTIONS = 16
PROBE_S = 1.0  # a probe connects and loads the script; no check waits for it
START_S = 5.0

Waiting = tuple[Group, "asyncio.Future[list[Grant]]"]


class RedisCounters:
    """Used on one event loop. `clock_us` takes the place of the server's clock."""

    def __init__(
        self,
        url: str,
        *,
        clock_us: Callable[[], int] = lambda: 0,
        breaker: Breaker | None = None,
    ) -> None:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=PROBE_S,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=None,
            socket_connect_timeout=PROBE_S,
            driver_info=None,
            protocol=2,
        )
        self._redis = Redis.from_pool(pool)
        self._execute: Any = self._redis.execute_command
        self._clock_us = clock_us
        self._breaker = breaker or Breaker()
        self._sha = ""
        self._pending: dict[float, list[Waiting]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def check_server(self) -> None:
        """Connects and loads the script. Raises CountersDown, and UnsuitableCounters for a server
        that may evict: a forgotten counter is a quota not kept."""
        try:
            async with asyncio.timeout(START_S):
                await self._load()
                policy = await self._eviction_policy()
        except (RedisError, OSError, TimeoutError) as error:
            raise CountersDown(str(error) or "no answer in time") from error
        if policy not in ("", "noeviction"):
            raise UnsuitableCounters(
                f"the counters' server has maxmemory-policy {policy} and would forget counters; "
                "set it to noeviction"
            )

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._redis.aclose()

    async def charge(
        self,
        takes: tuple[Take, ...],
        deadline_s: float,
        *,
        best_effort: bool = False,
        dedup: Dedup | None = None,
    ) -> list[Grant]:
        """As `Counters.charge`."""
        if not self._breaker.closed:
            self._probe()
            raise CountersDown("the counters did not answer lately")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[Grant]] = loop.create_future()
        if not self._pending:
            loop.call_soon(self._flush)
        # In whole milliseconds, so that callers' own deadlines still share calls.
        deadline = max(int(deadline_s * 1000), 1) / 1000
        self._pending.setdefault(deadline, []).append((Group(takes, best_effort, dedup), answer))
        return await answer

    def _flush(self) -> None:
        pending, self._pending = self._pending, {}
        for deadline_s, waiting in pending.items():
            for at in range(0, len(waiting), MAX_BATCH):
                self._spawn(self._ask(waiting[at : at + MAX_BATCH], deadline_s))

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask(self, batch: list[Waiting], deadline_s: float) -> None:
        """One call for the whole batch; every one of its futures is answered."""
        keys, values = arguments([group for group, _ in batch], self._clock_us())
        try:
            async with asyncio.timeout(deadline_s):
                answers = await self._evaluate(keys, values)
        except (RedisError, OSError, TimeoutError) as error:
            self._failed(error)
            for _, answer in batch:
                if not answer.done():
                    answer.set_exception(CountersDown(str(error) or "no answer in time"))
            return
        except asyncio.CancelledError:
            for _, answer in batch:
                answer.cancel()
            raise
        self._breaker.succeeded()
        first = 0
        for group, answer in batch:
            if not answer.done():
                answer.set_result(grants(answers, first, len(group.takes)))
            first += len(group.takes)

    async def _evaluate(self, keys: list[str], values: list[str | int]) -> list[int]:
        try:
            found = await self._execute("EVALSHA", self._sha, len(keys), *keys, *values)
        except NoScriptError:  # the server was started again
            await self._load()
            found = await self._execute("EVALSHA", self._sha, len(keys), *keys, *values)
        return list(found)

    async def _load(self) -> None:
        sha = await self._execute("SCRIPT LOAD", SCRIPT)
        self._sha = sha.decode() if isinstance(sha, bytes) else str(sha)

    async def _eviction_policy(self) -> str:
        """ "" when the server does not say."""
        try:
            found = await self._redis.config_get("maxmemory-policy")
        except ResponseError as error:
            log.info("the counters' server does not show its configuration", extra={"why": error})
            return ""
        return str(found.get("maxmemory-policy", ""))

    def _failed(self, error: Exception) -> None:
        was_closed = self._breaker.closed
        self._breaker.failed()
        if was_closed and not self._breaker.closed:
            log.warning("the counters do not answer; rules decide by their own policy",
                        extra={"why": str(error) or type(error).__name__})  # fmt: skip

    def _probe(self) -> None:
        if self._breaker.lets_through():
            self._spawn(self._try_again())

    async def _try_again(self) -> None:
        try:
            async with asyncio.timeout(PROBE_S):
                await self._load()
        except (RedisError, OSError, TimeoutError):
            self._breaker.failed()
        else:
            self._breaker.succeeded()
            log.info("the counters answer again")
