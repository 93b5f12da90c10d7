"""Amounts by instant, oldest first: what has run out is cut off, what is new is put at the end, and
the rest is not looked at, so that a take costs the same however many there are.

Pairs in Python; in Lua the same as one text, 16 bytes a pair.
"""

from policy.quota.base import Outcome

Slots = tuple[tuple[int, int], ...]  # (instant, amount), each instant once, no amount 0


def take_from(
    slots: Slots,
    used: int,
    limit: int,
    amount: int,
    now_us: int,
    slot: int,
    into: int,
    lasting: int,
) -> tuple[Outcome, int, Slots]:
    """Counts the amount at instant `into`, the last or a later one. Each slot counts for `lasting`
    after its instant. A negative amount is given back from `slot`, 0: from the last ones."""
    granted, retry = 1, 0
    if amount < 0:
        slots, given = given_back(slots, -amount, slot)
        amount = -given
    elif used + amount <= limit:
        slots = added(slots, into, amount)
    else:
        granted, retry = 0, -1
        if amount <= limit:
            retry = gone_at(slots, used + amount - limit) + lasting - now_us
        amount = 0
    used += amount
    reset = latest(slots) + lasting - now_us if slots else 0
    return Outcome(granted, used, reset, retry, amount, into), used, slots


def latest(slots: Slots) -> int:
    """0 when there are none."""
    return slots[-1][0] if slots else 0


def after(slots: Slots, instant: int, used: int) -> tuple[Slots, int]:
    """Those after this instant, and the sum of their amounts; `used` is the sum of all."""
    first = 0
    while first < len(slots) and slots[first][0] <= instant:
        used -= slots[first][1]
        first += 1
    return slots[first:], used


def added(slots: Slots, instant: int, amount: int) -> Slots:
    """The instant is the last or a later one."""
    if slots and slots[-1][0] == instant:
        return (*slots[:-1], (instant, slots[-1][1] + amount))
    return (*slots, (instant, amount)) if amount else slots


def given_back(slots: Slots, amount: int, instant: int) -> tuple[Slots, int]:
    """Without so much of this instant, 0: of the last ones; and how much that was."""
    kept, given = list(slots), 0
    for at in reversed(range(len(slots))):
        when, held = slots[at]
        if given < amount and instant in (0, when):
            back = min(held, amount - given)
            given += back
            kept[at] = when, held - back
    return tuple(slot for slot in kept if slot[1]), given


def gone_at(slots: Slots, amount: int) -> int:
    """The instant of the slot with which so much is gone. There is as much."""
    for instant, held in slots:
        amount -= held
        if amount <= 0:
            return instant
    return 0


def moved(slots: Slots, tick: int, last: int) -> Slots:
    """Onto multiples of a tick, none later than `last`: for another tick than before, or a clock
    that stepped back."""
    found: dict[int, int] = {}
    for instant, amount in slots:
        to = min(instant - instant % tick, last)
        found[to] = found.get(to, 0) + amount
    return tuple(found.items())


LUA = """
local function latest(slots)
  if slots == '' then return 0 end
  return (struct.unpack('<d', slots, #slots - 15))
end
local function after(slots, instant, used)
  local at = 1
  while at < #slots do
    local when, amount = struct.unpack('<dd', slots, at)
    if when > instant then break end
    used, at = used - amount, at + 16
  end
  if at > 1 then slots = slots:sub(at) end
  return slots, used
end
local function added(slots, instant, amount)
  if slots ~= '' then
    local when, held = struct.unpack('<dd', slots, #slots - 15)
    if when == instant then
      return slots:sub(1, -17) .. struct.pack('<dd', instant, held + amount)
    end
  end
  if amount == 0 then return slots end
  return slots .. struct.pack('<dd', instant, amount)
end
local function given_back(slots, amount, instant)
  local at, given = #slots - 15, 0
  while at > 0 and given < amount do
    local when, held = struct.unpack('<dd', slots, at)
    if instant == 0 or instant == when then
      local back, kept = math.min(held, amount - given), ''
      given = given + back
      if back < held then kept = struct.pack('<dd', when, held - back) end
      slots = slots:sub(1, at - 1) .. kept .. slots:sub(at + 16)
    end
    at = at - 16
  end
  return slots, given
end
local function gone_at(slots, amount)
  for at = 1, #slots, 16 do
    local instant, held = struct.unpack('<dd', slots, at)
    amount = amount - held
    if amount <= 0 then return instant end
  end
  return 0
end
local function moved(slots, tick, last)
  local found = ''
  for at = 1, #slots, 16 do
    local instant, amount = struct.unpack('<dd', slots, at)
    found = added(found, math.min(instant - instant % tick, last), amount)
  end
  return found
end
local function take_from(slots, used, limit, amount, now, slot, into, lasting)
  local granted, retry, reset = 1, 0, 0
  if amount < 0 then
    local given
    slots, given = given_back(slots, -amount, slot)
    amount = -given
  elseif used + amount <= limit then
    slots = added(slots, into, amount)
  else
    granted, retry = 0, -1
    if amount <= limit then
      retry = gone_at(slots, used + amount - limit) + lasting - now
    end
    amount = 0
  end
  used = used + amount
  if slots ~= '' then reset = latest(slots) + lasting - now end
  return slots, granted, used, reset, retry, amount, into
end
"""
