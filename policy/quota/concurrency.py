"""At most `limit` at a time: what is granted is held until its lease is released.

A lease that nobody releases frees itself a window after it was given, up to a hundredth of the
window late: leases are counted by the instant at which they expire, and these are rounded up. The
state is how many are held, and how many expire when. `slot` is the instant of expiry.
"""

from policy.quota.base import (
    Algorithm,
    Numbers,
    Outcome,
    Quota,
    State,
    refuse_extras,
)
from policy.quota.slots import after, latest, moved, take_from

TICKS = 100


def take(
    quota: Quota, state: State | None, amount: int, now_us: int, slot: int
) -> tuple[Outcome, State]:
    expiry = now_us + quota.window_us
    expiry += -expiry % tick_of(quota)
    used, slots = state or (0, ())
    # A shorter window than before, or a clock that stepped back. A release knows only its own.
    if amount >= 0 and latest(slots) > expiry:
        slots = moved(slots, 1, expiry)
    slots, used = after(slots, now_us, used)
    outcome, used, slots = take_from(
        slots, used, quota.limit, amount, now_us, slot, into=expiry, lasting=0
    )
    return outcome, (used, slots)


LUA = """
local expiry = now + window
expiry = expiry + -expiry % tick
local used, slots = state[1] or 0, state[2] or ''
if amount >= 0 and latest(slots) > expiry then slots = moved(slots, 1, expiry) end
slots, used = after(slots, now, used)
local granted, reset, retry
slots, granted, used, reset, retry, amount, slot =
  take_from(slots, used, limit, amount, now, slot, expiry, 0)
return granted, used, reset, retry, amount, slot, {used, slots}
"""


def tick_of(quota: Quota) -> int:
    return -(-quota.window_us // TICKS)


def numbers(quota: Quota, now_us: int) -> Numbers:  # noqa: ARG001
    return Numbers((quota.limit, quota.window_us, tick_of(quota)))


CONCURRENCY = Algorithm(
    name="concurrency",
    letter="n",
    take=take,
    lua=LUA,
    names="limit, window, tick",
    numbers=numbers,
    check=refuse_extras,
    held=True,
)
