"""A counter that starts again with each minute, hour, day, week, month or year of a time zone.

As a fixed window, see there. Where the periods begin is worked out here, for the one before the
present one, it and the next; which of them it is now, the counters' clock decides. The state is
when the period began, as who counted first had it, and what was taken in it.
"""

from policy.errors import InvalidRule
from policy.quota.base import (
    Algorithm,
    Numbers,
    Outcome,
    Quota,
    State,
    refuse_extras,
)
from policy.quota.fixed_window import LUA_BETWEEN, take_between, until_its_end
from policy.quota.periods import around, period, zone_of


def take(
    quota: Quota, state: State | None, amount: int, now_us: int, slot: int
) -> tuple[Outcome, State]:
    start, end = period(quota.unit, quota.time_zone, now_us)
    return take_between(start, end, quota.limit, state, amount, now_us, slot)


LUA = f"""
local start, ends = first, second
if now >= third then
  start, ends = third, fourth
elseif now >= second then
  start, ends = second, third
end
{LUA_BETWEEN}"""


def numbers(quota: Quota, now_us: int) -> Numbers:
    starts = around(quota.unit, quota.time_zone, now_us)
    return Numbers((quota.limit, *starts), starts[0], starts[-1])


def check(quota: Quota) -> None:
    refuse_extras(quota, own="calendar")
    if not quota.unit:
        raise InvalidRule("/window", "expected minute, hour, day, week, month or year")
    zone_of(quota.time_zone)


CALENDAR_WINDOW = Algorithm(
    name="calendar-window",
    letter="c",
    take=take,
    lua=LUA,
    names="limit, first, second, third, fourth",
    numbers=numbers,
    check=check,
    lease_us=until_its_end,
)
