"""Where the splits of quotas are kept: for one process in memory, for all collectors in Redis.

What was put last is known, and settled anew; when another collector has put something else since,
that is told, and it is done again. The time is the server's. A split outlives its last holder until
its pool would be full again.
"""

import asyncio
import json
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from policy.errors import CountersDown
from policy.quota.breaker import Breaker
from policy.quota.parts import Claim, Holding, Settled, Split, Terms
from policy.quota.server import CounterServer
from policy.quota.split import settle

log = logging.getLogger(__name__)

PREFIX = "mm:s:"  # and the name of the quota's counter
SHORT = "mm:short"  # keys whose holders should give something back, by when that was found
DEADLINE_S = 0.25  # a report waits for no answer
TRIES = 12
MAX_KNOWN = 50_000  # splits
UNSEEN: tuple[int, Split | None] = (0, None)
PAUSE_S = 0.004  # at most, for each time that another collector was quicker
SHORT_MS = 2_000
SLACK_MS = 10_000
MAX_KEEP_MS = 366 * 86_400_000

# ARGV: for each key the version that is known, what to put, for how long, and 1 when it is short;
# nothing is put where there is another version, but what is there is told.
SCRIPT = f"""
local time = redis.call('TIME')
local now_ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local told = {{tonumber(time[1]) * 1000000 + tonumber(time[2])}}
for at = 2, #KEYS do
  local key, arg = KEYS[at], 4 * at - 7
  if (redis.call('HGET', key, 'version') or '0') == ARGV[arg] then
    redis.call('HSET', key, 'version', ARGV[arg] + 1, 'split', ARGV[arg + 1])
    redis.call('PEXPIRE', key, ARGV[arg + 2])
    if ARGV[arg + 3] == '1' then redis.call('ZADD', KEYS[1], now_ms, key) end
    told[at] = 1
  else
    told[at] = redis.call('HMGET', key, 'version', 'split')
  end
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now_ms - {SHORT_MS})
return told
"""


class Ask(NamedTuple):
    """What some holders of one quota say."""

    terms: Terms
    claims: tuple[Claim, ...]


class Shares(Protocol):
    async def settle(self, asks: Mapping[str, Ask]) -> dict[str, Settled]:
        """Of each quota, by its counter's name. Raises CountersDown."""

    async def short(self) -> set[str]:
        """Quotas of which somebody lately lacked what others hold. Raises CountersDown."""


class MemoryShares:
    def __init__(self, clock_us: Callable[[], int] = lambda: time.time_ns() // 1000) -> None:
        self._clock_us = clock_us
        self._splits: dict[str, Split] = {}

    async def settle(self, asks: Mapping[str, Ask]) -> dict[str, Settled]:
        now_us = self._clock_us()
        found = {
            key: settle(self._splits.get(key), ask.terms, ask.claims, now_us)
            for key, ask in asks.items()
        }
        self._splits.update((key, settled.split) for key, settled in found.items())
        return found

    async def short(self) -> set[str]:
        """Whoever lacks something is known to the one process there is."""
        return set()

    def forget(self) -> None:
        self._splits.clear()


class RedisShares:
    """Used on one event loop."""

    def __init__(self, url: str, *, breaker: Breaker | None = None) -> None:
        self._server = CounterServer(url)
        self._breaker = breaker or Breaker()
        self._known: dict[str, tuple[int, Split | None]] = {}  # by version
        self._ahead_us: int | None = None  # the server's clock, of ours; every answer tells

    async def close(self) -> None:
        await self._server.close()

    async def settle(self, asks: Mapping[str, Ask]) -> dict[str, Settled]:
        found: dict[str, Settled] = await self._asked(lambda: self._settle(asks))
        return found

    async def short(self) -> set[str]:
        found = await self._asked(lambda: self._server.range(SHORT, DEADLINE_S))
        return {key.removeprefix(PREFIX) for key in found}

    async def _asked(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        """The answer, unless there was none lately. Raises CountersDown."""
        if not self._breaker.lets_through():
            raise CountersDown("the counters did not answer lately")
        try:
            found = await ask()
        except CountersDown as error:
            was_closed = self._breaker.closed
            self._breaker.failed()
            if was_closed and not self._breaker.closed:
                log.warning("the counters do not answer; sidecars keep their shares",
                            extra={"why": str(error)})  # fmt: skip
            raise
        self._breaker.succeeded()
        return found

    async def _settle(self, asks: Mapping[str, Ask]) -> dict[str, Settled]:
        settled: dict[str, Settled] = {}
        left = list(asks)
        for turn in range(TRIES):
            left = await self._try(left, asks, settled)
            if not left:
                return settled
            await asyncio.sleep(random.uniform(0, PAUSE_S * turn))  # noqa: S311 (spreads them)
        raise CountersDown("other collectors were always quicker")

    async def _try(
        self, keys: list[str], asks: Mapping[str, Ask], settled: dict[str, Settled]
    ) -> list[str]:
        """Those of the keys whose split is not what was known here."""
        if self._ahead_us is None:
            await self._put((), ())
        now_us = time.monotonic_ns() // 1000 + (self._ahead_us or 0)
        versions: list[int] = []
        words: list[str | int] = []
        for key in keys:
            version, split = self._known.get(key, UNSEEN)
            settled[key] = found = settle(split, asks[key].terms, asks[key].claims, now_us)
            versions.append(version)
            words += (version, text_of(found.split), keep_ms(found.split), int(found.short))
        told = await self._put(keys, words)
        if len(self._known) > MAX_KNOWN:
            self._known.clear()
        left = []
        for key, answer, version in zip(keys, told, versions, strict=True):
            if answer == 1:
                self._known[key] = version + 1, settled[key].split
            else:
                self._known[key] = int(answer[0] or 0), split_of(answer[1])
                left.append(key)
        return left

    async def _put(self, keys: Sequence[str], words: Sequence[str | int]) -> list[Any]:
        names = (SHORT, *(PREFIX + key for key in keys))
        now_us, *told = await self._server.script(SCRIPT, names, words, DEADLINE_S)
        self._ahead_us = now_us - time.monotonic_ns() // 1000
        return list(told)


def keep_ms(split: Split) -> int:
    """Until the last holder is gone and the pool is full."""
    full_us = split.at_us + (split.terms.burst - split.level) / split.terms.rate * 1e6
    until_us = max([full_us, *(holding.until_us for holding in split.holdings.values())])
    return min(int(until_us - split.at_us) // 1000 + SLACK_MS, MAX_KEEP_MS)


def text_of(split: Split) -> str:
    return json.dumps([*split[:4], split.holdings], separators=(",", ":"))


def split_of(text: bytes | None) -> Split | None:
    """None, too, for what an older or newer version wrote."""
    try:
        terms, level, at_us, terms_us, holdings = json.loads(text or b"")
        read: Iterable[tuple[str, list[Any]]] = holdings.items()
        return Split(
            Terms(*terms), level, at_us, terms_us, {name: Holding(*held) for name, held in read}
        )
    except (ValueError, TypeError, AttributeError):
        return None
