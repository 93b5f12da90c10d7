"""A Redis or Valkey server, spoken to for counters: all it is asked, and what can go wrong."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from hiredis import pack_command
from redis.asyncio import BlockingConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError, ResponseError

from policy.errors import CountersDown, UnsuitableCounters
from policy.quota.script import SCRIPT

log = logging.getLogger(__name__)

CONNECTIONS = 16
CONNECT_S = 5.0  # at most: a call's own deadline cuts it off before
START_S = 5.0
SCANNED = 1_000  # keys looked at in one call: more would hold the server up


class CounterServer:
    """Nothing is tried twice: an answer that is late is no answer, though the server may have
    charged for it. All methods raise CountersDown."""

    def __init__(self, url: str) -> None:
        self._pool: Any = BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=CONNECT_S,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=None,
            socket_connect_timeout=CONNECT_S,
            driver_info=None,
            protocol=2,
        )
        self._sha = ""

    async def check(self) -> None:
        """Connects and loads the script. Raises UnsuitableCounters for a server that may evict: a
        forgotten counter is a quota not kept."""
        await self.load(START_S)
        policy = await self._eviction_policy()
        if policy not in ("", "noeviction"):
            raise UnsuitableCounters(
                f"the counters' server has maxmemory-policy {policy} and would forget counters; "
                "set it to noeviction"
            )

    async def close(self) -> None:
        await self._pool.aclose()

    async def load(self, deadline_s: float) -> None:
        sha = await self._ask(deadline_s, "SCRIPT", "LOAD", SCRIPT)
        self._sha = sha.decode() if isinstance(sha, bytes) else str(sha)

    async def evaluate(
        self, keys: Sequence[str], values: Sequence[str | int], until: float
    ) -> list[int]:
        """What the script answers by the time `until` of the loop."""
        try:
            async with asyncio.timeout_at(until):
                try:
                    found = await self._run(keys, values)
                except NoScriptError:  # the server was started again
                    await self.load(START_S)
                    found = await self._run(keys, values)
        except (RedisError, OSError, TimeoutError) as error:
            raise CountersDown(str(error) or "no answer in time") from error
        return list(found)

    async def scan(self, cursor: int, pattern: str, deadline_s: float) -> tuple[int, list[str]]:
        """The next part of all keys, and those of them that match; 0: there are no more."""
        following, found = await self._ask(
            deadline_s, "SCAN", cursor, "MATCH", pattern, "COUNT", SCANNED
        )
        return int(following), [key.decode(errors="replace") for key in found]

    async def forget(self, keys: Sequence[str], deadline_s: float) -> int:
        return int(await self._ask(deadline_s, "UNLINK", *keys)) if keys else 0

    async def script(
        self, text: str, keys: Sequence[str], values: Sequence[str | int], deadline_s: float
    ) -> Any:
        """What another script answers, which the server keeps by its text."""
        return await self._ask(deadline_s, "EVAL", text, len(keys), *keys, *values)

    async def range(self, key: str, deadline_s: float) -> list[str]:
        """All of a sorted set."""
        return [name.decode() for name in await self._ask(deadline_s, "ZRANGE", key, 0, -1)]

    async def _run(self, keys: Sequence[str], values: Sequence[str | int]) -> Any:
        return await self._call("EVALSHA", self._sha, len(keys), *keys, *values)

    async def _ask(self, deadline_s: float, *command: Any) -> Any:
        try:
            async with asyncio.timeout(deadline_s):
                return await self._call(*command)
        except (RedisError, OSError, TimeoutError) as error:
            raise CountersDown(str(error) or "no answer in time") from error

    async def _call(self, *command: Any) -> Any:
        """Packed by hiredis, ten times as fast as by redis-py. Whoever is cut off here leaves no
        connection behind on which an answer may still come."""
        connection = await self._pool.get_connection()
        try:
            await connection.send_packed_command(pack_command(command), check_health=False)
            return await connection.read_response()
        finally:
            await self._pool.release(connection)

    async def _eviction_policy(self) -> str:
        """ "" when the server does not say."""
        try:
            async with asyncio.timeout(START_S):
                found = await self._call("CONFIG", "GET", "maxmemory-policy")
        except ResponseError as error:
            log.info("the counters' server does not show its configuration", extra={"why": error})
            return ""
        except (RedisError, OSError, TimeoutError) as error:
            raise CountersDown(str(error) or "no answer in time") from error
        return found[1].decode() if found else ""
