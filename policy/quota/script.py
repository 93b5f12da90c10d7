"""The one Lua script: every take of a batch in one call, on Redis' own clock.

KEYS: for each group its dedup key, if it has one, and the key of each take. ARGV: the time (0:
Redis' TIME), then for each group its number of takes, whether best effort will do (1), whether it
has a dedup key (1), and for each take algorithm, limit, window, burst, tick, amount. A group is
charged whole or not at all. Answers five integers a take: granted, remaining, reset, retry, amount.
A key holds its state, a dedup key the time and the answers, as a MessagePack list, which Lua reads
ten times as fast as digits.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from policy.quota import ALGORITHMS
from policy.quota.base import DEDUP_US, Dedup, Grant, Take, dedup_key

# A key outlives its use: should the clock of the server step, nothing is forgotten early.
SLACK_MS = 10_000

FUNCTIONS = "\n".join(
    f"TAKE['{name}'] = function(state, limit, window, burst, tick, amount, now){algorithm.lua}end"
    for name, algorithm in ALGORITHMS.items()
)

SCRIPT = f"""
local TAKE = {{}}
{FUNCTIONS}
local function numbers(packed)
  if not packed then return {{}} end
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
local function ask(key, at, old, amount)
  local granted, remaining, reset, retry, after = TAKE[ARGV[at]](
    numbers(old), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]),
    tonumber(ARGV[at + 4]), amount, now)
  return {{
    key = key, at = at, old = old, amount = amount, granted = granted, remaining = remaining,
    reset = reset, retry = retry, after = after,
  }}
end
local function keep(take, new)
  local keep_ms = math.ceil(take.reset / 1000) + {SLACK_MS}
  redis.call('SET', take.key, new, 'PX', string.format('%.0f', keep_ms))
end
local function answered(key, size)
  local old = numbers(redis.call('GET', key))
  if #old ~= 1 + 5 * size or now - old[1] >= {DEDUP_US} then return false end
  for at = 2, #old, 5 do
    old[at + 2] = math.max(old[at + 2] - math.max(now - old[1], 0), 0)
    for number = at, at + 4 do answers[#answers + 1] = old[number] end
  end
  return true
end
local function charge(size, best_effort)
  local takes, all, most = {{}}, true, math.huge
  for at = 1, size do
    local take = ask(KEYS[key], arg, redis.call('GET', KEYS[key]), tonumber(ARGV[arg + 5]))
    takes[at] = take
    all = all and take.granted == 1
    most = math.min(most, take.remaining + take.granted * take.amount)
    key, arg = key + 1, arg + 6
  end
  if best_effort and not all and most > 0 then
    all = true
    for at, take in ipairs(takes) do
      takes[at] = ask(take.key, take.at, take.old, math.min(take.amount, most))
      all = all and takes[at].granted == 1
    end
  end
  for _, take in ipairs(takes) do
    local last = #answers
    answers[last + 1] = take.granted
    answers[last + 2] = take.remaining
    answers[last + 3] = take.reset
    answers[last + 4] = take.retry
    answers[last + 5] = take.granted * take.amount
    if take.granted == 0 then
      local new = cmsgpack.pack(take.after)
      if take.old and take.old ~= new then keep(take, new) end
    elseif all and take.amount > 0 then
      keep(take, cmsgpack.pack(take.after))
    end
  end
  return all
end
while arg <= #ARGV do
  local size, best_effort = tonumber(ARGV[arg]), ARGV[arg + 1] == '1'
  local dedup = ARGV[arg + 2] == '1' and KEYS[key]
  if dedup then key = key + 1 end
  arg = arg + 3
  if dedup and answered(dedup, size) then
    key, arg = key + size, arg + 6 * size
  else
    local before = #answers
    if charge(size, best_effort) and dedup then
      local new = {{now, unpack(answers, before + 1)}}
      redis.call('SET', dedup, cmsgpack.pack(new), 'PX', {DEDUP_US // 1000})
    end
  end
end
return answers
"""


class Group(NamedTuple):
    """What is charged together."""

    takes: tuple[Take, ...]
    best_effort: bool
    dedup: Dedup | None


def arguments(groups: Iterable[Group], now_us: int) -> tuple[list[str], list[str | int]]:
    """KEYS and ARGV."""
    keys: list[str] = []
    values: list[str | int] = [now_us]
    for takes, best_effort, dedup in groups:
        values += (len(takes), int(best_effort), int(dedup is not None))
        if dedup is not None:
            keys.append(dedup_key(dedup, takes))
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
