"""Every algorithm again, in the plainest way: a list of what happened, added up anew each time.

Each answers `used(now_us)`, in whole tokens, and may `count` an amount or `give_back` one.
"""

import math
from datetime import datetime
from fractions import Fraction
from zoneinfo import ZoneInfo

from policy.quota import Quota


class Model:
    """What counts is what happened in the same `place`, or in one that `counts` still."""

    def __init__(self, quota: Quota) -> None:
        self.quota = quota
        self.happened: list[tuple[int, int]] = []  # (place, amount)

    def place(self, now_us: int) -> int:
        raise NotImplementedError

    def counts(self, place: int, now_us: int) -> bool:
        return place == self.place(now_us)

    def used(self, now_us: int) -> int:
        return sum(amount for place, amount in self.happened if self.counts(place, now_us))

    def grants(self, amount: int, now_us: int) -> bool:
        return self.used(now_us) + amount <= self.quota.burst

    def count(self, amount: int, now_us: int) -> None:
        self.happened.append((self.place(now_us), amount))

    def give_back(self, amount: int, now_us: int) -> int:
        """One by one, the newest first."""
        amount = min(amount, self.used(now_us))
        left = amount
        while left:
            place, taken = self.happened.pop()
            back = min(taken, left)
            left -= back
            if taken > back:
                self.happened.append((place, taken - back))
        return amount


class FixedWindow(Model):
    def place(self, now_us: int) -> int:
        return now_us // self.quota.window_us


class CalendarWindow(Model):
    def place(self, now_us: int) -> int:
        """For a zone whose offset is whole hours, and whose clock is set in the small hours."""
        if self.quota.unit in ("minute", "hour"):
            return now_us // self.quota.window_us
        local = datetime.fromtimestamp(now_us // 1_000_000, ZoneInfo(self.quota.time_zone))
        year, week, _ = local.isocalendar()
        return {
            "day": local.toordinal(),
            "week": year * 100 + week,
            "month": local.year * 100 + local.month,
            "year": local.year,
        }[self.quota.unit]


class RollingWindow(Model):
    def place(self, now_us: int) -> int:
        return now_us // self.quota.tick_us

    def counts(self, place: int, now_us: int) -> bool:
        ticks = math.ceil(Fraction(self.quota.window_us, self.quota.tick_us))
        return place > self.place(now_us) - ticks


class Concurrency(Model):
    def place(self, now_us: int) -> int:
        """The hundredth of a window in which it expires."""
        tick = math.ceil(Fraction(self.quota.window_us, 100))
        return math.ceil(Fraction(now_us + self.quota.window_us, tick)) * tick

    def counts(self, place: int, now_us: int) -> bool:
        return place > now_us


class TokenBucket(Model):
    def used_exactly(self, now_us: int) -> Fraction:
        """A bucket that is filled all the time, and emptied as it happened."""
        used, last_us = Fraction(0), 0
        for at_us, amount in [*self.happened, (now_us, 0)]:
            filled = Fraction((at_us - last_us) * self.quota.limit, self.quota.window_us)
            used, last_us = max(max(used - filled, Fraction(0)) + amount, Fraction(0)), at_us
        return used

    def place(self, now_us: int) -> int:
        return now_us

    def used(self, now_us: int) -> int:
        return math.ceil(self.used_exactly(now_us))

    def grants(self, amount: int, now_us: int) -> bool:
        return self.used_exactly(now_us) + amount <= self.quota.burst

    def give_back(self, amount: int, now_us: int) -> int:
        amount = min(amount, self.used(now_us))
        self.count(-amount, now_us)
        return amount


MODELS: dict[str, type[Model]] = {
    "fixed-window": FixedWindow,
    "calendar-window": CalendarWindow,
    "rolling-window": RollingWindow,
    "concurrency": Concurrency,
    "token-bucket": TokenBucket,
}
