"""At most `limit` within the last window, which rolls on by ticks.

A grant counts in the tick it falls in, and comes back all at once when that tick leaves the window:
after a window, less at most a tick. A window that is no multiple of the tick counts as the next
one. The state is the tick's width, how much is used, and the amounts by the starts of their ticks.

Source: Istio Mixer's memquota, a rolling window of ticks of 100 ms.
"""

from policy.errors import InvalidRule
from policy.quota.base import (
    Algorithm,
    Grant,
    Numbers,
    Outcome,
    Quota,
    State,
    refuse_extras,
)
from policy.quota.slots import after, latest, moved, take_from

MIXER_TICK_US = 100_000
USUAL_TICKS = 100
MAX_TICKS = 600  # a minute in Mixer's; a counter holds 16 bytes for each


def tick_of(quota: Quota) -> int:
    """Mixer's up to a window of 10 s, then the window's hundredth."""
    if quota.tick_us:
        return quota.tick_us
    return min(quota.window_us, max(MIXER_TICK_US, -(-quota.window_us // USUAL_TICKS)))


def span_of(quota: Quota) -> int:
    """The window in whole ticks."""
    tick = tick_of(quota)
    return -(-quota.window_us // tick) * tick


def take(
    quota: Quota, state: State | None, amount: int, now_us: int, slot: int
) -> tuple[Outcome, State]:
    tick, span = tick_of(quota), span_of(quota)
    current = now_us - now_us % tick
    width, used, slots = state or (tick, 0, ())
    if width != tick or latest(slots) > current:
        slots = moved(slots, tick, current)
    slots, used = after(slots, current - span, used)
    outcome, used, slots = take_from(
        slots, used, quota.limit, amount, now_us, slot, into=current, lasting=span
    )
    return outcome, (tick, used, slots)


LUA = """
local current = now - now % tick
local width, used, slots = state[1], state[2] or 0, state[3] or ''
if width ~= tick or latest(slots) > current then slots = moved(slots, tick, current) end
slots, used = after(slots, current - span, used)
local granted, reset, retry
slots, granted, used, reset, retry, amount, slot =
  take_from(slots, used, limit, amount, now, slot, current, span)
return granted, used, reset, retry, amount, slot, {tick, used, slots}
"""


def numbers(quota: Quota, now_us: int) -> Numbers:  # noqa: ARG001
    return Numbers((quota.limit, tick_of(quota), span_of(quota)))


def until_its_ticks_end(quota: Quota, grant: Grant) -> int:
    return grant.reset_us - span_of(quota) + tick_of(quota)


def check(quota: Quota) -> None:
    refuse_extras(quota, own="tick")
    if quota.window_us > MAX_TICKS * tick_of(quota):
        raise InvalidRule("/tick", f"the window would have more than {MAX_TICKS} ticks")


ROLLING_WINDOW = Algorithm(
    name="rolling-window",
    letter="r",
    take=take,
    lua=LUA,
    names="limit, tick, span",
    numbers=numbers,
    check=check,
    lease_us=until_its_ticks_end,
)
