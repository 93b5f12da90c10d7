"""Token bucket as one instant per key (GCRA).

The instant is `full_at`: when the bucket would be full again, in microseconds and a remainder in
parts of `limit`, for one token is seldom a whole number of microseconds. Taking a token moves it
window / limit into the future. Bursts of up to `burst` pass; the long-run rate is limit / window
exactly. A changed limit keeps the instant, so the share already used stays used.

Source: ITU-T I.371, generic cell rate algorithm, virtual scheduling form.
"""

from policy.errors import InvalidRule
from policy.quota.base import (
    EXACT,
    Algorithm,
    Grant,
    Numbers,
    Outcome,
    Quota,
    State,
    reduced,
    refuse_extras,
)

LEASE_US = 1_000_000  # tokens taken in advance stay tokens, but others miss them


def take(
    quota: Quota,
    state: State | None,
    amount: int,
    now_us: int,
    slot: int,  # noqa: ARG001  # tokens are alike
) -> tuple[Outcome, State]:
    window, parts = reduced(quota)
    now = now_us * parts
    capacity = quota.burst * window
    # A clock that stepped back, or a smaller burst, must not leave a debt beyond the whole bucket.
    first, second = state or (now_us, 0)
    used = min(max(first * parts + min(second, parts - 1) - now, 0), capacity)
    if amount < 0:
        amount = max(amount, -whole(used, window))
    wanted = amount * window
    granted = used + wanted <= capacity
    retry = 0
    if granted:
        used = max(used + wanted, 0)
    else:
        retry = -((capacity - used - wanted) // parts) if amount <= quota.burst else -1
        amount = 0
    reset = -(-used // parts)
    outcome = Outcome(int(granted), whole(used, window), reset, retry, amount, 0)
    return outcome, divmod(now + used, parts)


def whole(used: int, window: int) -> int:
    """In tokens, of which a started one is used."""
    return -(-used // window)


# The same with pairs (microseconds, parts), for the products above would pass 2**53 in a double. A
# token is `whole` microseconds and `part` parts.
LUA = """
local function span(tokens)
  local over = tokens * part
  local carry = math.floor(over / parts)
  return tokens * whole + carry, over - carry * parts
end
local used, used_part = 0, 0
if state[1] then
  used, used_part = state[1] - now, math.min(state[2], parts - 1)
  if used < 0 then used, used_part = 0, 0 end
end
local capacity, capacity_part = span(burst)
if used > capacity or (used == capacity and used_part > capacity_part) then
  used, used_part = capacity, capacity_part
end
local function tokens_used()
  local left, left_part = capacity - used, capacity_part - used_part
  if left_part < 0 then left, left_part = left - 1, left_part + parts end
  local function fits(tokens)
    local need, need_part = span(tokens)
    return need < left or (need == left and need_part <= left_part)
  end
  local free = math.min(burst, math.floor((left + left_part / parts) / (whole + part / parts)))
  while free > 0 and not fits(free) do free = free - 1 end
  while free < burst and fits(free + 1) do free = free + 1 end
  return burst - free
end
local granted, retry = 0, -1
if amount < 0 then
  amount = math.max(amount, -tokens_used())
  local given, given_part = span(-amount)
  granted, retry, used, used_part = 1, 0, used - given, used_part - given_part
  if used_part < 0 then used, used_part = used - 1, used_part + parts end
  if used < 0 then used, used_part = 0, 0 end
elseif amount <= burst then
  local wanted, wanted_part = span(amount)
  local after, after_part = used + wanted, used_part + wanted_part
  if after_part >= parts then after, after_part = after + 1, after_part - parts end
  if after < capacity or (after == capacity and after_part <= capacity_part) then
    granted, retry, used, used_part = 1, 0, after, after_part
  else
    retry = after - capacity
    if after_part > capacity_part then retry = retry + 1 end
  end
end
if granted == 0 then amount = 0 end
local reset = used
if used_part > 0 then reset = reset + 1 end
return granted, tokens_used(), reset, retry, amount, 0, {now + used, used_part}
"""


def numbers(quota: Quota, now_us: int) -> Numbers:  # noqa: ARG001
    window, parts = reduced(quota)
    return Numbers((quota.burst, parts, *divmod(window, parts)))


def a_moment(quota: Quota, grant: Grant) -> int:  # noqa: ARG001
    return min(quota.window_us, LEASE_US)


def check(quota: Quota) -> None:
    refuse_extras(quota, own="burst")
    window, parts = reduced(quota)
    if quota.burst * quota.window_us // quota.limit > EXACT // 2:
        raise InvalidRule("/burst", "the bucket would take more than 71 years to fill")
    if quota.burst * parts > EXACT or parts > EXACT or window > EXACT:
        raise InvalidRule("/limit", "too large to be counted exactly; choose a rounder number")


TOKEN_BUCKET = Algorithm(
    name="token-bucket",
    letter="t",
    take=take,
    lua=LUA,
    names="burst, parts, whole, part",
    numbers=numbers,
    check=check,
    lease_us=a_moment,
)
