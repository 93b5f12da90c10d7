"""What is held of a split quota, and the pool of what is left of its burst.

The pool fills with the rate that no holder has. New buckets, which begin full, and what a bucket
grows by are paid from it, so that at any time

    pool + sizes of all buckets <= burst,    rates of all buckets <= rate,

and in any time T at most rate x T + burst pass, however often it is split anew.
"""

import math

from policy.quota.parts import MAX_TOKENS, US, Holding, Split, Terms, fill

REPORT_S = 5  # between the reports of a holder
RULES_US = 10 * US  # within which all collectors learn of changed rules
IN_BUCKETS = 0.75  # of the burst; the pool has the rest, for those to come
SPARE = 0.08  # of the rate, kept back while the pool is low
LOW = 0.125  # of the burst
GROWTH = 0.25  # of a bucket's size: less is not worth a message
GONE = Holding()


class Pool:
    """Of one settlement: what was there, now, on the terms that hold now."""

    def __init__(self, split: Split | None, terms: Terms, now_us: int) -> None:
        self.now_us = now_us
        self.terms, self.terms_us, self.level = terms, now_us, terms.burst
        self.holdings: dict[str, Holding] = {}
        self.renewed: set[str] = set()
        self.active = 0
        self._rates, self._sizes = 0.0, 0
        if split is None:
            return
        for name, holding in split.holdings.items():
            if holding.until_us > now_us:
                self.put(name, holding)
        older = terms.version < split.terms.version and now_us - split.terms_us < RULES_US
        if older or terms[:2] == split.terms[:2]:
            self.terms = split.terms if older else terms
            self.terms_us = split.terms_us
            self.level = self._filled(split)

    def _filled(self, split: Split) -> float:
        elapsed_s = max(self.now_us - split.at_us, 0) / US
        left = self.terms.rate - sum(holding.rate for holding in split.holdings.values())
        return min(split.level + left * elapsed_s, max(self.burst - self._sizes, split.level))

    @property
    def split(self) -> Split:
        return Split(self.terms, self.level, self.now_us, self.terms_us, self.holdings)

    @property
    def burst(self) -> float:
        """At least a token for each who asks, unless tokens go round."""
        if self.reports_suffice:
            return self.terms.burst
        return max(self.terms.burst, self.active / IN_BUCKETS)

    @property
    def reports_suffice(self) -> bool:
        """Whether spent tokens can come back to the pool as fast as it fills."""
        return self.terms.rate * REPORT_S <= self.terms.burst

    @property
    def spare(self) -> float:
        """Kept back of the rate while the pool is low, so that it fills."""
        full = min(LOW * self.burst, self.burst - self._sizes)
        return self.terms.rate * SPARE if self.level < full else 0.0

    @property
    def free(self) -> float:
        """Of the rate; below 0 when more was given than there is now."""
        return self.terms.rate - self.spare - self._rates

    def put(self, name: str, holding: Holding) -> None:
        old = self.holdings.get(name, GONE)
        self._rates += holding.rate - old.rate
        self._sizes += holding.size - old.size
        self.active += holding.active - old.active
        self.holdings[name] = holding

    def empty(self, name: str) -> None:
        self.put(name, self.holdings[name].emptied())

    def give(self, name: str, tokens: int, seconds: int, size: int) -> None:
        """A new bucket, which begins full."""
        self.level -= size
        self.renewed.add(name)
        self._hand(name, tokens, seconds, size)

    def begin(self, name: str, rate: float) -> None:
        """A new bucket, when the pool has a token for it; an idle one only from plenty."""
        if self.level < (1 if self.holdings[name].demand else 1 + LOW * self.burst):
            return
        tokens, seconds = fill(min(rate, max(self.free, 0.0)))
        self.give(name, tokens, seconds, min(self._size(rate), math.floor(self.level)))

    def change(self, name: str, rate: float) -> None:
        """The rate, and with it the size; a bucket grows only by what the pool can spare."""
        held = self.holdings[name]
        tokens, seconds = (held.tokens, held.seconds) if rate == held.rate else fill(rate)
        if rate > held.rate > tokens / seconds:  # it was already as near as whole tokens come
            tokens, seconds = held.tokens, held.seconds
        due = self._size(rate)
        size = min(held.size, due) if rate < held.rate else held.size
        extra = min(due - size, math.floor(self.level - LOW / 2 * self.burst))
        if extra > size * GROWTH:
            size += extra
            self.level -= extra
        if (tokens, seconds, size) != held[:3]:
            self._hand(name, tokens, seconds, size)

    def _hand(self, name: str, tokens: int, seconds: int, size: int) -> None:
        held = self.holdings[name]
        self.put(name, Holding(tokens, seconds, size, *held[3:6], self.now_us, held.owner))

    def _size(self, rate: float) -> int:
        """The part of the burst that goes with this part of the rate."""
        part = IN_BUCKETS * self.burst * rate / self.terms.rate
        return max(min(math.floor(part), MAX_TOKENS), 1)
