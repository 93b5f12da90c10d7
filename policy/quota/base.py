"""What an algorithm and a counter store agree on.

All times are integer microseconds: exact in Python and, below 2**53, in Lua's doubles.
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from policy.errors import InvalidRule

EXACT = 2**52  # products below this are exact in a double, and so are their quotients' floors
MAX_LIMIT = 10**15
MAX_WINDOW_US = 366 * 86_400 * 1_000_000
DEDUP_US = 60_000_000  # how long an id is remembered
DEDUP_PREFIX = "mm:d:"
State = tuple[int, ...]  # what a store keeps for one key; its meaning is the algorithm's


class Grant(NamedTuple):
    """`remaining` is what is left after this take; the times count from now.

    `reset_us`: until the quota is whole again. `retry_after_us`: 0 when granted, -1 when so large
    an amount can never pass. `amount` is what was granted, 0 when refused.
    """

    granted: bool
    remaining: int
    reset_us: int
    retry_after_us: int
    amount: int


@dataclass(frozen=True, slots=True)
class Quota:
    """`limit` per window. `burst` is how much may pass at once, by a token bucket only; `tick_us`
    how finely a rolling window counts, 0: as finely as is usual."""

    algorithm: str
    limit: int
    window_us: int
    burst: int
    tick_us: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.limit <= MAX_LIMIT:
            raise InvalidRule("/limit", f"{self.limit}, expected 1 to {MAX_LIMIT}")
        if not 0 < self.window_us <= MAX_WINDOW_US:
            raise InvalidRule("/window", "expected 0.000001 to 31622400 seconds (366 days)")
        if not 0 < self.burst <= MAX_LIMIT:
            raise InvalidRule("/burst", f"{self.burst}, expected 1 to {MAX_LIMIT}")
        if not 0 <= self.tick_us <= self.window_us:
            raise InvalidRule("/tick", "expected 0.000001 seconds to the window")


class Take(NamedTuple):
    key: str
    quota: Quota
    amount: int


class Dedup(NamedTuple):
    """The id that a caller gives one request and its retries. Another caller's is another id."""

    caller: str
    id: str


class Outcome(NamedTuple):
    """`state` is to be kept for `keep_us` when everything asked together is granted.

    That of a refused take holds no charge, and replaces another one: it is what a clock that
    stepped back, or a smaller burst, makes of a debt that could never be paid.
    """

    grant: Grant
    state: State
    keep_us: int


@dataclass(frozen=True, slots=True)
class Algorithm:
    """`take` and its Lua twin do the same to the digit.

    `lua` is the body of `function(state, limit, window, burst, tick, amount, now)`, the state being
    a list, empty for a key never seen. It returns granted, remaining, reset, retry, state. `check`
    raises InvalidRule for a quota that it cannot count exactly.
    """

    name: str
    letter: str  # in the key, so that a rule whose algorithm changes starts afresh
    take: Callable[[Quota, State | None, int, int], Outcome]
    lua: str
    check: Callable[[Quota], None]


class Counters(Protocol):
    async def charge(
        self,
        takes: tuple[Take, ...],
        deadline_s: float,
        *,
        best_effort: bool = False,
        dedup: Dedup | None = None,
    ) -> list[Grant]:
        """Charges all of them or, when one is refused, none. With best effort what would be refused
        is cut, for all of them alike, to the most that all can grant. A `dedup` that was granted
        from the same keys lately gets those grants again, and nothing is charged; a refusal is not
        remembered. Raises CountersDown."""


def refuse_burst(quota: Quota) -> None:
    if quota.burst != quota.limit:
        raise InvalidRule("/burst", "only a token bucket has a burst")


def refuse_tick(quota: Quota) -> None:
    if quota.tick_us:
        raise InvalidRule("/tick", "only a rolling window has a tick")


def reduced(quota: Quota) -> tuple[int, int]:
    """Window and limit without their common factor: one token is window / limit microseconds."""
    common = math.gcd(quota.window_us, quota.limit)
    return quota.window_us // common, quota.limit // common


def dedup_key(dedup: Dedup, takes: Sequence[Take]) -> str:
    """Of a bounded length, whatever callers send."""
    digest = hashlib.blake2b(digest_size=16)
    for text in (*dedup, *(take.key for take in takes)):
        raw = text.encode(errors="surrogatepass")
        digest.update(len(raw).to_bytes(8, "big") + raw)
    return DEDUP_PREFIX + digest.hexdigest()
