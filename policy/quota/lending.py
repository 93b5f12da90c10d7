"""What collectors hold of leased quotas, told to one another, in Redis beside the counters.

So usage can show it, and a counter that was reset ends what others hold of it. For each counter a
hash has what each collector holds and when it said so, and under no name when it was reset. All
that is forgotten soon: nothing is held for long.
"""

from collections.abc import Mapping, Sequence

from policy.quota.server import CounterServer

PREFIX = "mm:h:"  # and the counter's name
FRESH_MS = 1_250  # older words are of a collector that is gone, or holds nothing any more
KEPT_MS = 5_000
DEADLINE_S = 1.0
BATCH = 200  # a short while for the server, whom checks ask too

NOW = """
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
"""
# ARGV: who, and for each key how much. Answers for each how long ago it was reset, -1: not lately.
TELL = f"""{NOW}
local told = {{}}
for at = 1, #KEYS do
  if ARGV[at + 1] == '0' then redis.call('HDEL', KEYS[at], ARGV[1])
  else redis.call('HSET', KEYS[at], ARGV[1], ARGV[at + 1] .. ' ' .. now) end
  local reset = redis.call('HGET', KEYS[at], '')
  told[at] = reset and now - tonumber(reset) or -1
  redis.call('PEXPIRE', KEYS[at], {KEPT_MS})
end
return told
"""
HELD = f"""{NOW}
local sums = {{}}
for at = 1, #KEYS do
  sums[at] = 0
  local said = redis.call('HGETALL', KEYS[at])
  for field = 1, #said, 2 do
    local amount, told = string.match(said[field + 1], '^(%d+) (%d+)$')
    if amount and now - tonumber(told) <= {FRESH_MS} then sums[at] = sums[at] + tonumber(amount) end
  end
end
return sums
"""
RESET = f"""{NOW}
for at = 1, #KEYS do
  redis.call('DEL', KEYS[at])
  redis.call('HSET', KEYS[at], '', now)
  redis.call('PEXPIRE', KEYS[at], {KEPT_MS})
end
"""


class Lending:
    """Used on one event loop. All methods raise CountersDown."""

    def __init__(self, url: str) -> None:
        self._server = CounterServer(url)

    async def close(self) -> None:
        await self._server.close()

    async def tell(self, holder: str, held: Mapping[str, int]) -> dict[str, float]:
        """How much of each counter this one holds. Answers which were reset lately, and how many
        seconds ago."""
        found: dict[str, float] = {}
        for some in batches(list(held)):
            words: list[str | int] = [holder, *(held[key] for key in some)]
            ages_ms = await self._server.script(TELL, names(some), words, DEADLINE_S)
            found |= {key: age / 1000 for key, age in zip(some, ages_ms, strict=True) if age >= 0}
        return found

    async def held(self, keys: Sequence[str]) -> dict[str, int]:
        """By all together, as they said in the last second."""
        found: dict[str, int] = {}
        for some in batches(keys):
            sums = await self._server.script(HELD, names(some), (), DEADLINE_S)
            found |= dict(zip(some, map(int, sums), strict=True))
        return found

    async def reset(self, keys: Sequence[str]) -> None:
        """What was taken of these until now is nobody's."""
        for some in batches(keys):
            await self._server.script(RESET, names(some), (), DEADLINE_S)


def names(keys: Sequence[str]) -> list[str]:
    return [PREFIX + key for key in keys]


def batches(keys: Sequence[str]) -> list[Sequence[str]]:
    return [keys[at : at + BATCH] for at in range(0, len(keys), BATCH)]
