"""How often something was counted, summed over all collectors, in Redis beside the counters."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from policy.quota.server import CounterServer

PREFIX = "mm:m:"  # and what is counted
KEPT_MS = 30 * 86_400_000  # after it was counted last
DEADLINE_S = 1.0
BATCH = 200  # a short while for the server, whom checks ask too

# ARGV: when it was, and for each key how often.
ADD = f"""
for at = 1, #KEYS do
  redis.call('HINCRBY', KEYS[at], 'times', ARGV[at + 1])
  local last = tonumber(redis.call('HGET', KEYS[at], 'last') or '0')
  if tonumber(ARGV[1]) > last then redis.call('HSET', KEYS[at], 'last', ARGV[1]) end
  redis.call('PEXPIRE', KEYS[at], {KEPT_MS})
end
"""
READ = """
local found = {}
for at = 1, #KEYS do
  found[2 * at - 1] = redis.call('HGET', KEYS[at], 'times') or '0'
  found[2 * at] = redis.call('HGET', KEYS[at], 'last') or '0'
end
return found
"""


class Tally(NamedTuple):
    """`last_ms`: since 1970, to some seconds; 0: never, or so long ago that it is forgotten."""

    times: int = 0
    last_ms: int = 0

    def or_more(self, other: "Tally") -> "Tally":
        """Of two that count the same."""
        return Tally(max(self.times, other.times), max(self.last_ms, other.last_ms))


class RedisTallies:
    """All methods raise CountersDown."""

    def __init__(self, url: str) -> None:
        self._server = CounterServer(url)

    async def close(self) -> None:
        await self._server.close()

    async def add(self, counted: Mapping[str, int], at_ms: int) -> None:
        """How often since it was last added."""
        for names in batches(list(counted)):
            words = [at_ms, *(counted[name] for name in names)]
            await self._server.script(ADD, keys_of(names), words, DEADLINE_S)

    async def read(self, names: Sequence[str]) -> dict[str, Tally]:
        found: dict[str, Tally] = {}
        for some in batches(names):
            words = await self._server.script(READ, keys_of(some), (), DEADLINE_S)
            numbers = iter(map(int, words))
            found |= {name: Tally(next(numbers), next(numbers)) for name in some}
        return found


def keys_of(names: Sequence[str]) -> list[str]:
    return [PREFIX + name for name in names]


def batches(names: Sequence[str]) -> list[Sequence[str]]:
    return [names[at : at + BATCH] for at in range(0, len(names), BATCH)]
