"""At most `limit` within the last window, which rolls on by ticks.

A grant counts in the tick it falls in, and comes back all at once when that tick leaves the window:
after a window, less at most a tick. A window that is no multiple of the tick counts as the next
one. The state is the start and the amount of each tick that something was taken in, oldest first.

Source: Istio Mixer's memquota, a rolling window of ticks of 100 ms.
"""

from itertools import chain

from policy.errors import InvalidRule
from policy.quota.base import Algorithm, Grant, Outcome, Quota, State, refuse_burst

MIXER_TICK_US = 100_000
USUAL_TICKS = 100
MAX_TICKS = 600  # a minute in Mixer's; the cost of a take grows with them


def tick_of(quota: Quota) -> int:
    """Mixer's up to a window of 10 s, then the window's hundredth."""
    if quota.tick_us:
        return quota.tick_us
    return min(quota.window_us, max(MIXER_TICK_US, -(-quota.window_us // USUAL_TICKS)))


def take(quota: Quota, state: State | None, amount: int, now_us: int) -> Outcome:
    tick = tick_of(quota)
    span = -(-quota.window_us // tick) * tick
    current = now_us - now_us % tick
    ticks: dict[int, int] = {}
    for start, taken in zip((state or ())[::2], (state or ())[1::2], strict=True):
        # Another tick than before, or a clock that stepped back: the nearest tick there is.
        counted = min(start - start % tick, current)
        if counted > current - span:
            ticks[counted] = ticks.get(counted, 0) + taken
    used = sum(ticks.values())
    excess = used + amount - quota.limit
    granted = excess <= 0
    retry = 0
    if granted:
        used += amount
        if amount:
            ticks[current] = ticks.get(current, 0) + amount
    elif amount > quota.limit:
        retry = -1
    else:
        for start, taken in ticks.items():
            excess -= taken
            if excess <= 0:
                retry = start + span - now_us
                break
    reset = max(ticks) + span - now_us if ticks else 0
    grant = Grant(granted, max(quota.limit - used, 0), reset, retry, amount if granted else 0)
    return Outcome(grant, tuple(chain.from_iterable(ticks.items())), reset)


LUA = f"""
if tick == 0 then
  tick = math.min(window, math.max({MIXER_TICK_US}, math.ceil(window / {USUAL_TICKS})))
end
local span = math.ceil(window / tick) * tick
local current = now - now % tick
local ticks, used = {{}}, 0
for at = 1, #state, 2 do
  local start, taken = math.min(state[at] - state[at] % tick, current), state[at + 1]
  if start > current - span then
    used = used + taken
    if ticks[#ticks - 1] == start then
      ticks[#ticks] = ticks[#ticks] + taken
    else
      ticks[#ticks + 1] = start
      ticks[#ticks + 1] = taken
    end
  end
end
local excess = used + amount - limit
local granted, retry = 0, -1
if excess <= 0 then
  granted, retry, used = 1, 0, used + amount
  if ticks[#ticks - 1] == current then
    ticks[#ticks] = ticks[#ticks] + amount
  elseif amount > 0 then
    ticks[#ticks + 1] = current
    ticks[#ticks + 1] = amount
  end
elseif amount <= limit then
  for at = 1, #ticks, 2 do
    excess = excess - ticks[at + 1]
    if excess <= 0 then
      retry = ticks[at] + span - now
      break
    end
  end
end
local reset = 0
if #ticks > 0 then reset = ticks[#ticks - 1] + span - now end
return granted, math.max(limit - used, 0), reset, retry, ticks
"""


def check(quota: Quota) -> None:
    refuse_burst(quota)
    if quota.window_us > MAX_TICKS * tick_of(quota):
        raise InvalidRule("/tick", f"the window would have more than {MAX_TICKS} ticks")


ROLLING_WINDOW = Algorithm("rolling-window", "r", take, LUA, check)
