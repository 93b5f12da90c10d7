"""Counters with a clock of the test's own, in memory and in Redis alike."""

import uuid
from collections.abc import Callable

from policy.quota import Dedup, Grant, Quota, Take

NOON_US = 1_700_006_400_000_000  # a whole multiple of every window used here
SECOND = 1_000_000


class Clock:
    def __init__(self) -> None:
        self.now_us = NOON_US

    def __call__(self) -> int:
        return self.now_us


class Counted:
    """Counters with keys nobody else has."""

    def __init__(self, clock: Clock, charge: Callable[..., list[Grant]]) -> None:
        self.clock = clock
        self._charge = charge
        self._prefix = uuid.uuid4().hex

    def take(
        self,
        quota: Quota,
        amount: int = 1,
        key: str = "k",
        *,
        best_effort: bool = False,
        dedup: Dedup | None = None,
    ) -> Grant:
        return self.take_all((key, quota, amount), best_effort=best_effort, dedup=dedup)[0]

    def take_all(
        self,
        *takes: tuple[str, Quota, int],
        best_effort: bool = False,
        dedup: Dedup | None = None,
    ) -> list[Grant]:
        prefix = self._prefix
        return self._charge(
            tuple(Take(prefix + key, quota, amount) for key, quota, amount in takes),
            best_effort=best_effort,
            dedup=dedup,
        )
