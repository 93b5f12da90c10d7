"""Which collectors live, on the counters' server: each says so now and then, with what it runs.

Whoever was not heard of for TTL_S is gone, by the server's clock; so is all when nobody is left.
"""

from typing import NamedTuple

from policy.quota.server import CounterServer

TTL_S = 5.0
DEADLINE_S = 0.5
SEEN = "mm:collectors"  # ids, by when they were heard of, ms
SAID = "mm:collectors:said"  # and what they said

NOW = f"""
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local oldest = '(' .. (now - {round(TTL_S * 1000)})
"""
BEAT = f"""{NOW}
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', oldest)) do
  redis.call('ZREM', KEYS[1], gone)
  redis.call('HDEL', KEYS[2], gone)
end
redis.call('PEXPIRE', KEYS[1], {round(TTL_S * 1000)})
redis.call('PEXPIRE', KEYS[2], {round(TTL_S * 1000)})
return redis.call('ZCARD', KEYS[1])
"""
LEAVE = """
redis.call('HDEL', KEYS[2], ARGV[1])
return redis.call('ZREM', KEYS[1], ARGV[1])
"""
ALL = f"""{NOW}
local told = {{}}
local seen = redis.call('ZRANGEBYSCORE', KEYS[1], oldest, '+inf', 'WITHSCORES')
for at = 1, #seen, 2 do
  local said = redis.call('HGET', KEYS[2], seen[at])
  if said then told[#told + 1] = {{seen[at], now - tonumber(seen[at + 1]), said}} end
end
return told
"""


class Member(NamedTuple):
    """`said`: its own words of `ago_s` seconds ago."""

    id: str
    ago_s: float
    said: str


class Members:
    """Used on one event loop. All methods raise CountersDown."""

    def __init__(self, url: str) -> None:
        self._server = CounterServer(url)
        self.live = 1  # as many were there at the last beat that was heard

    async def close(self) -> None:
        await self._server.close()

    async def beat(self, member: str, said: str) -> None:
        """This one lives, and says so much."""
        found = await self._server.script(BEAT, (SEEN, SAID), (member, said), DEADLINE_S)
        self.live = max(int(found), 1)

    async def leave(self, member: str) -> None:
        """It is gone now, not only when it was not heard of for long enough."""
        await self._server.script(LEAVE, (SEEN, SAID), (member,), DEADLINE_S)

    async def all(self) -> list[Member]:
        """By when they were heard of."""
        found = await self._server.script(ALL, (SEEN, SAID), (), DEADLINE_S)
        return [
            Member(one.decode(errors="replace"), int(ago_ms) / 1000, said.decode(errors="replace"))
            for one, ago_ms, said in found
        ]
