"""What every store of counters does."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from policy.quota.base import Grant, Outcome, Quota

DEDUP_US = 60_000_000  # how long an id is remembered
DEDUP_PREFIX = "mm:d:"
LEASE_PREFIX = "mm:l:"
DEADLINE_S = 1.0  # of what no request waits for
TOP = 100


class Take(NamedTuple):
    """`amount` of a quota, of one counter. A negative one gives back what was counted in `slot`, a
    grant's, or last. `leased`: the store may answer from a part that it took in advance."""

    key: str
    quota: Quota
    amount: int
    leased: bool = False
    slot: int = 0


class Dedup(NamedTuple):
    """The id that a caller gives one request and its retries. Another caller's is another id."""

    caller: str
    id: str


class Use(NamedTuple):
    """One counter now. `used` may be more than a limit that was lowered."""

    key: str
    limit_id: str  # which of the rule's limits
    shown: str  # the values of the dimensions, as far as the key holds them
    used: int
    limit: int  # a token bucket's burst
    remaining: int
    reset_us: int
    leased: int = 0  # of what is used, held in advance by collectors


class Usage(NamedTuple):
    """The most used counters first. Not complete: there are more than were looked at."""

    entries: tuple[Use, ...]
    complete: bool


class Charging(Protocol):
    """What a check asks of the counters. All raise CountersDown."""

    async def charge(
        self,
        takes: tuple[Take, ...],
        deadline_s: float,
        *,
        best_effort: bool = False,
        dedup: Dedup | None = None,
        lease: str = "",
    ) -> list[Grant]:
        """Charges all of them or, when one is refused, none. With best effort what would be refused
        is cut, for all of them alike, to the most that all can grant. A `dedup` that was granted
        from the same keys lately gets those grants again, and nothing is charged; a refusal is not
        remembered. `lease` is the id under which what is held, not used up, is released later."""

    async def release(self, lease: str, deadline_s: float) -> int:
        """Gives back what is held under this id, and says how much: 0 when it is not known, was
        released, or has expired."""


class ChargingNow(Protocol):
    """The same of counters in this process, while the others do not answer."""

    def charge_now(
        self,
        takes: tuple[Take, ...],
        *,
        best_effort: bool = False,
        dedup: Dedup | None = None,
        lease: str = "",
    ) -> list[Grant]: ...

    def release_now(self, lease: str) -> int: ...


class Counters(Charging, Protocol):
    """All raise CountersDown."""

    async def peek(self, takes: tuple[Take, ...], deadline_s: float) -> list[Grant]:
        """What charging them would answer. Changes nothing."""

    async def grant(self, take: Take, deadline_s: float = DEADLINE_S) -> Grant:
        """A take by hand: most often a negative one, to give back."""

    async def usage(
        self,
        rule: str,
        quotas: Mapping[str, Quota],
        *,
        top: int = TOP,
        within_s: float = DEADLINE_S,
    ) -> Usage:
        """The counters of these limits of a rule, by their ids in keys, that have not run out."""

    async def reset(self, keys: Sequence[str], deadline_s: float = DEADLINE_S) -> int:
        """Forgets these counters, and says how many there were."""


def dedup_key(dedup: Dedup, takes: Sequence[Take]) -> str:
    """Of a bounded length, whatever callers send."""
    digest = hashlib.blake2b(digest_size=16)
    for text in (*dedup, *(take.key for take in takes)):
        raw = text.encode(errors="surrogatepass")
        digest.update(len(raw).to_bytes(8, "big") + raw)
    return DEDUP_PREFIX + digest.hexdigest()


def grants(takes: Sequence[Take], said: Sequence[Outcome]) -> list[Grant]:
    return [outcome.grant(take.quota) for take, outcome in zip(takes, said, strict=True)]
