"""What an algorithm is: how much of a quota is used, and what one take makes of that.

All times are integer microseconds: exact in Python and, below 2**53, in Lua's doubles.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from policy.errors import InvalidRule

EXACT = 2**52  # products below this are exact in a double, and so are their quotients' floors
MAX_LIMIT = 10**15
MAX_WINDOW_US = 366 * 86_400 * 1_000_000
ALWAYS_US = 2**53
UNITS_US = {  # as a rule; a calendar knows better
    "minute": 60 * 1_000_000,
    "hour": 3_600 * 1_000_000,
    "day": 86_400 * 1_000_000,
    "week": 7 * 86_400 * 1_000_000,
    "month": 31 * 86_400 * 1_000_000,
    "year": 365 * 86_400 * 1_000_000,
}
State = tuple[Any, ...]  # what a store keeps for one key; its meaning is the algorithm's


@dataclass(frozen=True, slots=True)
class Quota:
    """`limit` per window. `burst` is how much may pass at once, by a token bucket only; `tick_us`
    how finely a rolling window counts, 0: as finely as is usual. A calendar window is given as a
    `unit` of a time zone, and no `window_us`: that is then how long the unit lasts as a rule."""

    algorithm: str
    limit: int
    window_us: int
    burst: int
    tick_us: int = 0
    unit: str = ""
    time_zone: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.limit <= MAX_LIMIT:
            raise InvalidRule("/limit", f"{self.limit}, expected 1 to {MAX_LIMIT}")
        if self.unit:
            if self.unit not in UNITS_US or self.window_us:
                raise InvalidRule("/window", f"expected seconds or one of {', '.join(UNITS_US)}")
            object.__setattr__(self, "window_us", UNITS_US[self.unit])
            object.__setattr__(self, "time_zone", self.time_zone or "UTC")
        if not 0 < self.window_us <= MAX_WINDOW_US:
            raise InvalidRule("/window", "expected 0.000001 to 31622400 seconds (366 days)")
        if not 0 < self.burst <= MAX_LIMIT:
            raise InvalidRule("/burst", f"{self.burst}, expected 1 to {MAX_LIMIT}")
        if not 0 <= self.tick_us <= self.window_us:
            raise InvalidRule("/tick", "expected 0.000001 seconds to the window")


class Grant(NamedTuple):
    """`remaining` is what is left after this take; the times count from now.

    `reset_us`: until the quota is whole again. `retry_after_us`: 0 when granted, -1 when so large
    an amount can never pass. `amount` is what was granted, 0 when refused, negative when that much
    was given back. `slot` is where it was counted: a give-back may name it.
    """

    granted: bool
    remaining: int
    reset_us: int
    retry_after_us: int
    amount: int
    slot: int = 0


class Outcome(NamedTuple):
    """A grant as the stores keep it: with what is used after it, which may pass the limit."""

    granted: int  # 1 or 0
    used: int
    reset_us: int
    retry_after_us: int
    amount: int
    slot: int

    def grant(self, quota: Quota) -> Grant:
        granted, used, *others = self
        return Grant(bool(granted), max(quota.burst - used, 0), *others)


class Numbers(NamedTuple):
    """What the Lua of an algorithm is given of a quota, and the times between which it holds."""

    numbers: tuple[int, ...]
    from_us: int = 0
    until_us: int = ALWAYS_US


@dataclass(frozen=True, slots=True, kw_only=True)
class Algorithm:
    """`take` and its Lua twin do the same to the digit.

    `take(quota, state, amount, now_us, slot)`: the state is None for a key never seen. The new one
    is kept until the outcome's reset, when everything asked together is granted. That of a refused
    take holds no charge, and replaces another one: it is what a clock that stepped back, or a
    smaller burst, makes of a debt that could never be paid. A negative amount gives back what was
    counted in `slot`, 0: what was counted last; never more than is used.

    `lua` is the body of `function(state, amount, now, slot, NAMES...)`, the state being a list,
    empty for a key never seen. It returns the six of an outcome and the state. `numbers` gives the
    values of `names` for a quota and a time.

    `check` raises InvalidRule for a quota that it cannot count exactly. `lease_us` says how long a
    part taken in advance may be used, None: never. `held`: what is granted is used until the
    request ends, and its lease is released.
    """

    name: str
    letter: str  # in the key, so that a rule whose algorithm changes starts afresh
    take: Callable[[Quota, State | None, int, int, int], tuple[Outcome, State]]
    lua: str
    names: str
    numbers: Callable[[Quota, int], Numbers]
    check: Callable[[Quota], None]
    lease_us: Callable[[Quota, Grant], int] | None = None
    held: bool = False


def refuse_extras(quota: Quota, own: str = "") -> None:
    """What only some algorithms have: a burst, a tick, a calendar; but for the algorithm's own."""
    if own != "burst" and quota.burst != quota.limit:
        raise InvalidRule("/burst", "only a token bucket has a burst")
    if own != "tick" and quota.tick_us:
        raise InvalidRule("/tick", "only a rolling window has a tick")
    if own != "calendar" and quota.unit:
        raise InvalidRule("/window", f"only a calendar window lasts a {quota.unit}")
    if own != "calendar" and quota.time_zone:
        raise InvalidRule("/time_zone", "only a calendar window has a time zone")


def reduced(quota: Quota) -> tuple[int, int]:
    """Window and limit without their common factor: one token is window / limit microseconds."""
    common = math.gcd(quota.window_us, quota.limit)
    return quota.window_us // common, quota.limit // common
