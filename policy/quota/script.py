"""The one Lua script: every take of a batch in one call, on Redis' own clock.

KEYS: the key of each take. ARGV: the time (0: Redis' TIME), then for each group its number of
takes, whether best effort will do (1), and for each take algorithm, limit, window, burst, tick,
amount. A group is charged whole or not at all. Answers five integers a take: granted, remaining,
reset, retry, amount. A key holds its state as a MessagePack list, which Lua reads ten times as fast
as digits.
"""

from collections.abc import Iterable, Sequence

from policy.quota import ALGORITHMS
from policy.quota.base import Grant, Take

Group = tuple[Sequence[Take], bool]  # charged together; whether best effort will do
# A key outlives its use: should the clock of the server step, nothing is forgotten early.
SLACK_MS = 10_000

FUNCTIONS = "\n".join(
    f"TAKE['{name}'] = function(state, limit, window, burst, tick, amount, now){algorithm.lua}end"
    for name, algorithm in ALGORITHMS.items()
)

SCRIPT = f"""
local TAKE = {{}}
local SHOWN = {{'granted', 'remaining', 'reset', 'retry', 'got'}}
{FUNCTIONS}
local function numbers(packed)
  local read, state = pcall(cmsgpack.unpack, packed)
  if read and type(state) == 'table' then return state end
  return {{}}
end
local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end
local answers, key, arg = {{}}, 1, 2
local function ask(take)
  local at = take.arg
  take.granted, take.remaining, take.reset, take.retry, take.after = TAKE[ARGV[at]](
    numbers(take.old), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]),
    tonumber(ARGV[at + 4]), take.amount, now)
  take.got = take.granted * take.amount
end
local function keep(take, new)
  local keep_ms = math.ceil(take.reset / 1000) + {SLACK_MS}
  redis.call('SET', take.key, new, 'PX', string.format('%.0f', keep_ms))
end
while arg <= #ARGV do
  local size, best_effort = tonumber(ARGV[arg]), ARGV[arg + 1] == '1'
  arg = arg + 2
  local takes, all, most = {{}}, true, math.huge
  for at = 1, size do
    local take = {{key = KEYS[key], arg = arg, amount = tonumber(ARGV[arg + 5])}}
    take.old = redis.call('GET', take.key)
    ask(take)
    takes[at] = take
    all = all and take.granted == 1
    most = math.min(most, take.remaining + take.got)
    key, arg = key + 1, arg + 6
  end
  if best_effort and not all and most > 0 then
    all = true
    for _, take in ipairs(takes) do
      take.amount = math.min(take.amount, most)
      ask(take)
      all = all and take.granted == 1
    end
  end
  for _, take in ipairs(takes) do
    for _, name in ipairs(SHOWN) do
      answers[#answers + 1] = take[name]
    end
    if take.granted == 0 then
      local new = cmsgpack.pack(take.after)
      if take.old and take.old ~= new then keep(take, new) end
    elseif all and take.amount > 0 then
      keep(take, cmsgpack.pack(take.after))
    end
  end
end
return answers
"""


def arguments(groups: Iterable[Group], now_us: int) -> tuple[list[str], list[str | int]]:
    """KEYS and ARGV."""
    keys: list[str] = []
    values: list[str | int] = [now_us]
    for takes, best_effort in groups:
        values += (len(takes), int(best_effort))
        for key, quota, amount in takes:
            keys.append(key)
            values += (
                quota.algorithm, quota.limit, quota.window_us, quota.burst, quota.tick_us, amount,
            )  # fmt: skip
    return keys, values


def grants(answers: Sequence[int], first: int, size: int) -> list[Grant]:
    """The grants of `size` takes, from the `first` take on."""
    return [
        Grant(bool(answers[at]), *answers[at + 1 : at + 5])
        for at in range(5 * first, 5 * (first + size), 5)
    ]
