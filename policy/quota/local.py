"""Counters of this process alone, for rules that count on while the shared ones do not answer.

Nobody knows then what the others admit. Each collector counts with its part, the limit by the
number of collectors there were, so that together they admit the limit; but at least one each.
"""

import dataclasses
from collections.abc import Callable
from functools import lru_cache

from policy.quota.base import Grant, Quota
from policy.quota.contract import Dedup, Take
from policy.quota.memory import MemoryCounters


class LocalCounters:
    """`live` says how many collectors there are, as far as is known: at least 1."""

    def __init__(
        self, live: Callable[[], int] = lambda: 1, counters: MemoryCounters | None = None
    ) -> None:
        self._live = live
        self._counters = counters or MemoryCounters()

    def charge_now(
        self,
        takes: tuple[Take, ...],
        *,
        best_effort: bool = False,
        dedup: Dedup | None = None,
        lease: str = "",
    ) -> list[Grant]:
        """As `Counters.charge`, at once."""
        return self._counters.charge_now(
            self._parts(takes), best_effort=best_effort, dedup=dedup, lease=lease
        )

    def release_now(self, lease: str) -> int:
        return self._counters.release_now(lease)

    def peek_now(self, takes: tuple[Take, ...]) -> list[Grant]:
        """As `Counters.peek`, at once."""
        return self._counters.peek_now(self._parts(takes))

    def _parts(self, takes: tuple[Take, ...]) -> tuple[Take, ...]:
        live = self._live()
        if live <= 1:
            return takes
        return tuple(take._replace(quota=part_of(take.quota, live)) for take in takes)


@lru_cache(maxsize=4096)
def part_of(quota: Quota, live: int) -> Quota:
    """Of `live` equal parts, rounded down; at least 1."""
    return dataclasses.replace(
        quota,
        limit=max(quota.limit // live, 1),
        burst=max(quota.burst // live, 1),
        window_us=0 if quota.unit else quota.window_us,
    )
