"""A counter that starts again at each multiple of the window since 1970.

At most `limit` pass in a window; around a boundary up to twice that can pass within one window's
time. The state is the window's start and what was taken in it.
"""

from policy.quota.base import (
    Algorithm,
    Grant,
    Numbers,
    Outcome,
    Quota,
    State,
    refuse_extras,
)


def take(
    quota: Quota, state: State | None, amount: int, now_us: int, slot: int
) -> tuple[Outcome, State]:
    start = now_us - now_us % quota.window_us
    return take_between(start, start + quota.window_us, quota.limit, state, amount, now_us, slot)


def take_between(
    start: int, end: int, limit: int, state: State | None, amount: int, now_us: int, slot: int
) -> tuple[Outcome, State]:
    """In the window [start, end). A state that began inside it is of this window."""
    began, taken = state if state and start <= state[0] < end else (start, 0)
    reset, retry = end - now_us, 0
    if amount < 0:
        granted = True
        amount = max(amount, -taken) if slot == 0 or start <= slot < end else 0
    else:
        granted = taken + amount <= limit
    if not granted:
        retry = reset if amount <= limit else -1
        amount = 0
    taken += amount
    return Outcome(int(granted), taken, reset, retry, amount, began), (began, taken)


# After `start` and `ends` are known.
LUA_BETWEEN = """
local began, taken = start, 0
if state[1] and state[1] >= start and state[1] < ends then began, taken = state[1], state[2] end
local reset, granted, retry = ends - now, 1, 0
if amount < 0 then
  if slot == 0 or (slot >= start and slot < ends) then
    amount = math.max(amount, -taken)
  else
    amount = 0
  end
elseif taken + amount > limit then
  granted, retry = 0, -1
  if amount <= limit then retry = reset end
  amount = 0
end
taken = taken + amount
return granted, taken, reset, retry, amount, began, {began, taken}
"""

LUA = f"""
local start = now - now % window
local ends = start + window
{LUA_BETWEEN}"""


def numbers(quota: Quota, now_us: int) -> Numbers:  # noqa: ARG001
    return Numbers((quota.limit, quota.window_us))


def until_its_end(quota: Quota, grant: Grant) -> int:  # noqa: ARG001
    return grant.reset_us


FIXED_WINDOW = Algorithm(
    name="fixed-window",
    letter="f",
    take=take,
    lua=LUA,
    names="limit, window",
    numbers=numbers,
    check=refuse_extras,
    lease_us=until_its_end,
)
