"""The parts of a split quota: what is split, who holds which part, what a holder says.

Times are microseconds, rates an amount a second.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

US = 1_000_000
UNKNOWN = -1.0  # demand: nothing is known yet, so an equal part is wanted
MAX_TOKENS = 2**32 - 1
FINE_S, MAX_FILL_S = 60, 100_000_000


class Terms(NamedTuple):
    """What is split; the terms of a higher version hold. `burst`: what may pass at once."""

    rate: float
    burst: float
    version: int = 0


class Holding(NamedTuple):
    """`tokens` every `seconds` seconds into a bucket of `size`. Without size nothing passes."""

    tokens: int = 0
    seconds: int = 1
    size: int = 0
    demand: float = UNKNOWN
    seen_us: int = 0  # its last report
    until_us: int = 0  # forgotten then, unless it reports
    since_us: int = 0  # when it was last given something else
    owner: str = ""  # the connection that it reports by; "": it has left

    @property
    def rate(self) -> float:
        return self.tokens / self.seconds

    @property
    def active(self) -> bool:
        return self.owner != "" and self.demand != 0

    def emptied(self) -> "Holding":
        return self._replace(tokens=0, seconds=1, size=0)


class Claim(NamedTuple):
    """What one holder says. Without a demand it has no news, and may be given something else."""

    holder: str
    owner: str
    demand: float | None = None
    spent: int = 0  # since its last report
    fresh: bool = False  # whatever bucket it had is gone
    held: Holding | None = None  # what it was told, in case that was forgotten here
    leaving: bool = False


class Split(NamedTuple):
    """`level` is what is in the pool; below 0 when more was promised than there is."""

    terms: Terms
    level: float
    at_us: int
    terms_us: int  # since when the terms hold
    holdings: Mapping[str, Holding]


class Settled(NamedTuple):
    split: Split
    renewed: frozenset[str]  # whose buckets are new, and begin full
    twins: frozenset[str]  # claimed under a name that another one uses
    short: bool  # somebody could use what others have not given back yet


def fill(rate: float) -> tuple[int, int]:
    """The rate as whole tokens in whole seconds, hardly less: (0, 1) for almost nothing."""
    if rate * MAX_FILL_S < 1:
        return 0, 1
    rate = min(rate, float(MAX_TOKENS))
    tokens, seconds = 1, max(math.ceil(1 / rate - 1e-9), 1)
    for longer in range(1, FINE_S + 1):
        if tokens >= 0.99 * rate * seconds:
            break
        whole = math.floor(rate * longer + 1e-9)
        if whole * seconds > tokens * longer:
            tokens, seconds = whole, longer
    return tokens, seconds
