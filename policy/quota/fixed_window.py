"""A counter that starts again at each multiple of the window since 1970.

At most `limit` pass in a window; around a boundary up to twice that can pass within one window's
time. The state is the window's start and what was taken in it.
"""

from policy.quota.base import (
    Algorithm,
    Grant,
    Outcome,
    Quota,
    State,
    refuse_burst,
    refuse_tick,
)


def take(quota: Quota, state: State | None, amount: int, now_us: int) -> Outcome:
    start = now_us - now_us % quota.window_us
    taken = state[1] if state and state[0] == start else 0
    reset = start + quota.window_us - now_us
    granted = taken + amount <= quota.limit
    retry = 0
    if granted:
        taken += amount
    else:
        retry = reset if amount <= quota.limit else -1
    grant = Grant(granted, max(quota.limit - taken, 0), reset, retry, amount if granted else 0)
    return Outcome(grant, (start, taken), reset)


LUA = """
local start = now - now % window
local taken = 0
if state[1] == start then taken = state[2] end
local reset = start + window - now
local granted, retry = 0, -1
if taken + amount <= limit then
  granted, retry, taken = 1, 0, taken + amount
elseif amount <= limit then
  retry = reset
end
return granted, math.max(limit - taken, 0), reset, retry, {start, taken}
"""


def check(quota: Quota) -> None:
    refuse_burst(quota)
    refuse_tick(quota)


FIXED_WINDOW = Algorithm("fixed-window", "f", take, LUA, check)
