"""What a collector took of a quota in advance: counted already, to be used for a while."""

from dataclasses import dataclass, field
from typing import NamedTuple

from policy.quota.base import Grant, Quota

SHARE = 100  # an advance is at most this fraction of the limit
LEAST = 2  # a smaller one saves nothing
PERIOD_S = 0.1  # an advance is as much as was used in one


@dataclass(slots=True)
class Lot:
    """Taken at one time, to be used until another; what is left then is given back."""

    left: int
    until: float
    slot: int
    taken: float = 0.0


def largest(quota: Quota) -> int:
    """How much of it may be held at once."""
    size = min(quota.limit, quota.burst) // SHARE
    return size if size >= LEAST else 0


@dataclass(slots=True)
class Advance:
    """Times in seconds of a clock that never steps."""

    key: str
    quota: Quota
    lots: list[Lot] = field(default_factory=list)
    said: Grant | None = None  # at the last refill
    said_at: float = 0.0
    refilling: bool = False
    exact_until: float = 0.0  # little was left: all is asked of the counters themselves
    forgotten: float = 0.0  # the counter was reset then: what was taken before is not there
    told: int = 0  # to others, that this is held
    _period: int = 0
    _before: int = 0  # used in the period before
    _now: int = 0  # and in this one

    def use(self, amount: int, now: float) -> "Used | None":
        """The oldest first; None when there is not so much."""
        if self.left(now) < amount:
            return None
        taken = []
        for lot in self.lots:
            if lot.until > now and amount:
                some = min(lot.left, amount)
                lot.left -= some
                amount -= some
                taken.append((lot, some))
        if not self.lots[0].left:
            self.lots = [lot for lot in self.lots if lot.left]
        return Used(self, taken)

    def unuse(self, used: "Used") -> None:
        for lot, amount in used.lots:
            lot.left += amount
            if lot.taken > self.forgotten and all(lot is not other for other in self.lots):
                self.lots.insert(0, lot)

    def left(self, now: float) -> int:
        return sum(lot.left for lot in self.lots if lot.until > now)

    def settle(self, now: float) -> list[Lot]:
        """Those that may not be used any more; they are no part of this then."""
        over = [lot for lot in self.lots if lot.until <= now]
        if over:
            self.lots = [lot for lot in self.lots if lot.until > now]
        return over

    def add(self, lot: Lot) -> None:
        if lot.taken > self.forgotten:
            self.lots.append(lot)

    def forget(self, until: float) -> bool:
        """What was taken by then: it is neither used nor given back. Whether there was any."""
        self.forgotten = max(self.forgotten, until)
        kept = [lot for lot in self.lots if lot.taken > until]
        lots, self.lots = self.lots, kept
        return len(kept) < len(lots)

    def count(self, amount: int, now: float) -> None:
        self._roll(now)
        self._now += amount

    def recent(self, now: float) -> int:
        """What was used in a period: the present one, or the one before."""
        self._roll(now)
        return max(self._before, self._now)

    def wanted(self, now: float) -> int:
        """How much to take now: nothing while there is half of what is used in a period."""
        if self.refilling or now < self.exact_until:
            return 0
        size = min(self.recent(now), largest(self.quota))
        left = self.left(now)
        return size - left if size >= LEAST and 2 * left < size else 0

    def _roll(self, now: float) -> None:
        period = int(now / PERIOD_S)
        if period != self._period:
            self._before = self._now if period == self._period + 1 else 0
            self._period, self._now = period, 0


class Used(NamedTuple):
    """So much of each of these lots."""

    advance: Advance
    lots: list[tuple[Lot, int]]

    def grant(self, amount: int, now: float) -> Grant:
        """What the counters said at the last refill, and what is left of it here."""
        remaining, reset = self.advance.left(now), 0
        if said := self.advance.said:
            remaining += said.remaining
            reset = max(said.reset_us - round((now - self.advance.said_at) * 1e6), 0)
        return Grant(True, remaining, reset, 0, amount, self.lots[0][0].slot)
