"""The one Lua script: everything of a batch in one call, on Redis' own clock.

KEYS: for each group its dedup key and its lease's, if it has them, and the key of each take.
ARGV: the time (0: Redis' TIME); how many quotas; for each its algorithm, the times between which
its numbers hold, how many numbers, and the numbers; then for each group how many takes, its flags,
and for each take which quota, the amount, and when that is negative the slot. A group is charged
whole or not at all. One without takes releases its lease.

Answers the time, then the six integers of an Outcome for each take, and for a release one with the
amount alone. Only the time: the numbers do not hold now, and nothing was done.

A key holds its state as a MessagePack list, which Lua reads ten times as fast as digits. A dedup
key holds the time, its group's lease key and the answers; a lease key what is held by it, and the
lease keys of requests that this one's were retries of.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from policy.quota import ALGORITHMS
from policy.quota.base import Outcome, Quota
from policy.quota.contract import DEDUP_US, LEASE_PREFIX, Dedup, Take, dedup_key
from policy.quota.slots import LUA as SLOTS

# A key outlives its use: should the clock of the server step, nothing is forgotten early.
SLACK_MS = 10_000
FIELDS = len(Outcome._fields)

FUNCTIONS = "\n".join(
    f"TAKE['{name}'] = function(state, amount, now, slot, {algorithm.names}){algorithm.lua}end"
    for name, algorithm in ALGORITHMS.items()
)
HELD = ", ".join(f"['{name}'] = true" for name, algorithm in ALGORITHMS.items() if algorithm.held)

SCRIPT = f"""
local TAKE, HELD = {{}}, {{{HELD}}}
{SLOTS}{FUNCTIONS}
local function list(packed)
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
local answers, key, arg, quotas = {{now}}, 1, 3, {{}}
for at = 1, tonumber(ARGV[2]) do
  if now < tonumber(ARGV[arg + 1]) or now >= tonumber(ARGV[arg + 2]) then return answers end
  local size, numbers = tonumber(ARGV[arg + 3]), {{}}
  for number = 1, size do numbers[number] = tonumber(ARGV[arg + 3 + number]) end
  quotas[at] = {{algorithm = ARGV[arg], numbers = numbers}}
  arg = arg + 4 + size
end
local function lasting_ms(for_us)
  return math.ceil(for_us / 1000) + {SLACK_MS}
end
local function keep(key, packed, for_us)
  redis.call('SET', key, packed, 'PX', string.format('%.0f', lasting_ms(for_us)))
end
local function ask(take, amount)
  local after
  take.granted, take.used, take.reset, take.retry, take.taken, take.slot, after =
    TAKE[take.quota.algorithm](list(take.old), amount, now, take.give, unpack(take.quota.numbers))
  take.after = cmsgpack.pack(after)
end
local function give_back(lease)
  local given, held = 0, list(redis.call('GET', lease))
  redis.call('DEL', lease)
  for _, part in ipairs(held) do
    if type(part) == 'string' then
      given = given + give_back(part)
    else
      local take = {{quota = part, old = redis.call('GET', part.key), give = part.slot}}
      ask(take, -part.amount)
      if take.taken < 0 then keep(part.key, take.after, take.reset) end
      given = given - take.taken
    end
  end
  return given
end
local function hold(lease, parts, for_ms)
  local held = list(redis.call('GET', lease))
  for _, part in ipairs(parts) do held[#held + 1] = part end
  for_ms = math.max(for_ms, redis.call('PTTL', lease))
  redis.call('SET', lease, cmsgpack.pack(held), 'PX', string.format('%.0f', for_ms))
end
local function hold_takes(lease, takes)
  local parts, longest = {{}}, 0
  for _, take in ipairs(takes) do
    if HELD[take.quota.algorithm] and take.taken > 0 then
      local part = {{key = take.key, amount = take.taken, slot = take.slot}}
      part.algorithm, part.numbers = take.quota.algorithm, take.quota.numbers
      parts[#parts + 1] = part
      longest = math.max(longest, take.reset)
    end
  end
  if #parts > 0 then hold(lease, parts, lasting_ms(longest)) end
end
local function answered(dedup, lease, size)
  local old = list(redis.call('GET', dedup))
  if #old ~= 2 + {FIELDS} * size or now - old[1] >= {DEDUP_US} then return false end
  if lease and old[2] ~= '' and old[2] ~= lease and redis.call('EXISTS', old[2]) == 1 then
    hold(lease, {{old[2]}}, redis.call('PTTL', old[2]))
  end
  for at = 3, #old, {FIELDS} do
    old[at + 2] = math.max(old[at + 2] - math.max(now - old[1], 0), 0)
    for number = at, at + {FIELDS} - 1 do answers[#answers + 1] = old[number] end
  end
  return true
end
local function charge(size, best_effort, peek, lease)
  local takes, all, most = {{}}, true, math.huge
  for at = 1, size do
    local take = {{key = KEYS[key], quota = quotas[tonumber(ARGV[arg])], give = 0}}
    take.old, take.amount = redis.call('GET', take.key), tonumber(ARGV[arg + 1])
    key, arg = key + 1, arg + 2
    if take.amount < 0 then take.give, arg = tonumber(ARGV[arg]), arg + 1 end
    ask(take, take.amount)
    takes[at] = take
    all = all and take.granted == 1
  end
  if best_effort and not all then
    for _, take in ipairs(takes) do
      if take.amount > 0 then
        most = math.min(most, take.quota.numbers[1] - take.used + take.taken)
      end
    end
    if most > 0 then
      all = true
      for _, take in ipairs(takes) do
        ask(take, math.min(take.amount, most))
        all = all and take.granted == 1
      end
    end
  end
  for _, take in ipairs(takes) do
    local last = #answers
    answers[last + 1] = take.granted
    answers[last + 2] = take.used
    answers[last + 3] = take.reset
    answers[last + 4] = take.retry
    answers[last + 5] = take.taken
    answers[last + 6] = take.slot
    if not peek then
      if take.granted == 0 then
        if take.old and take.old ~= take.after then keep(take.key, take.after, take.reset) end
      elseif all and take.taken ~= 0 then
        keep(take.key, take.after, take.reset)
      end
    end
  end
  if all and lease and not peek then hold_takes(lease, takes) end
  return all
end
while arg <= #ARGV do
  local size, flags, dedup, lease = tonumber(ARGV[arg]), ARGV[arg + 1], false, false
  arg = arg + 2
  if flags:find('d', 1, true) then dedup, key = KEYS[key], key + 1 end
  if flags:find('l', 1, true) then lease, key = KEYS[key], key + 1 end
  if size == 0 then
    for _, number in ipairs({{1, 0, 0, 0, -give_back(lease), 0}}) do
      answers[#answers + 1] = number
    end
  elseif dedup and answered(dedup, lease, size) then
    for at = 1, size do
      if tonumber(ARGV[arg + 1]) < 0 then arg = arg + 1 end
      key, arg = key + 1, arg + 2
    end
  else
    local before = #answers
    if charge(size, flags:find('b', 1, true), flags:find('p', 1, true), lease) and dedup then
      local new = {{now, lease or '', unpack(answers, before + 1)}}
      redis.call('SET', dedup, cmsgpack.pack(new), 'PX', {DEDUP_US // 1000})
    end
  end
end
return answers
"""


class Group(NamedTuple):
    """What is charged together, or without takes: a lease to be released."""

    takes: tuple[Take, ...]
    best_effort: bool = False
    dedup: Dedup | None = None
    lease: str = ""
    peek: bool = False

    @property
    def flags(self) -> str:
        return (
            ("b" if self.best_effort else "")
            + ("d" if self.dedup else "")
            + ("l" if self.lease else "")
            + ("p" if self.peek else "")
        )


def arguments(
    groups: Iterable[Group], now_us: int, counted_us: int
) -> tuple[list[str], list[str | int]]:
    """KEYS and ARGV. `counted_us`: when this will be counted, as far as is known."""
    keys: list[str] = []
    charged: list[str | int] = []
    places: dict[int, int] = {}
    quotas: list[Quota] = []
    for group in groups:
        charged += (len(group.takes), group.flags)
        if group.dedup:
            keys.append(dedup_key(group.dedup, group.takes))
        if group.lease:
            keys.append(lease_key(group.lease))
        for key, quota, amount, _, slot in group.takes:
            keys.append(key)
            # By identity: alike ones of several rules are few, and to compare them is slower.
            place = places.get(id(quota))
            if place is None:
                quotas.append(quota)
                place = places[id(quota)] = len(quotas)
            charged += (place, amount) if amount >= 0 else (place, amount, slot)
    values: list[str | int] = [now_us, len(quotas)]
    for quota in quotas:
        numbers, from_us, until_us = ALGORITHMS[quota.algorithm].numbers(quota, counted_us)
        values += (quota.algorithm, from_us, until_us, len(numbers), *numbers)
    return keys, values + charged


def lease_key(lease: str) -> str:
    """A lease may be what a caller sent, but must be text that can be sent on."""
    return LEASE_PREFIX + lease.encode(errors="backslashreplace").decode()


def outcomes(answers: Iterator[int], group: Group) -> list[Outcome]:
    """The next answers, of this group."""
    return [Outcome._make(islice(answers, FIELDS)) for _ in range(len(group.takes) or 1)]
