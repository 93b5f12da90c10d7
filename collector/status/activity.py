"""How often rules matched, and when last: counted in this collector, and told to all others.

Rules are counted by `rule@version`, so that a changed one begins at nothing. Of checks only the
last is kept in mind: by destination, of those that rules name.
"""

import asyncio
import itertools
import logging
import time
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple, Protocol

from collector.status.bag_sample import BagSample
from policy.engine import Engine
from policy.errors import CountersDown
from policy.explain.sampled import references_of
from policy.expression import Reference
from policy.quota.tallies import Tally
from policy.snapshot import Snapshot

log = logging.getLogger(__name__)

TICK_S = 1.0
TICKS = 5  # until others are told
CHECKS = "to"  # the key of all checks
NEVER = Tally()


class Tallies(Protocol):
    async def add(self, counted: Mapping[str, int], at_ms: int) -> None:
        """Raises CountersDown."""


class Learned(NamedTuple):
    """Of the rules in force: since when each version is, what they read, what can be counted."""

    begun_s: Mapping[str, float]
    reads: frozenset[Reference]
    counted: Collection[str]


class Activity:
    """Used on the loop of the checks. `since_s`: when this process began to count."""

    def __init__(
        self,
        engine: Engine,
        sample: BagSample,
        tallies: Tallies,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.since_s = clock()
        self.clock = clock
        self._engine = engine
        self._sample = sample
        self._tallies = tallies
        self._here: dict[str, Tally] = {}
        self._untold: dict[str, int] = {}
        self._begun_s: Mapping[str, float] = {}
        self._snapshot: Snapshot | None = None
        self._ticking: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._ticking = asyncio.get_running_loop().create_task(self._tick())

    async def close(self) -> None:
        """Tells the others what they have not been told."""
        if self._ticking:
            self._ticking.cancel()
            await asyncio.gather(self._ticking, return_exceptions=True)
        await self.tell()

    async def _tick(self) -> None:
        for tick in itertools.count():
            self._sample.refill()
            try:
                await self.learn()
                if tick % TICKS == 0:
                    await self.tell()
            except Exception:
                log.exception("what rules match could not be counted")
            await asyncio.sleep(TICK_S)

    async def learn(self) -> None:
        """About the rules in force, when they are others than before."""
        snapshot = self._engine.snapshot
        if snapshot is None or snapshot is self._snapshot:
            return
        found = await asyncio.to_thread(learned, snapshot, self._begun_s, self.clock())
        self._snapshot, self._begun_s = snapshot, found.begun_s
        self._sample.wanted = found.reads
        self._here = {key: self._here[key] for key in self._here.keys() & found.counted}
        self._untold = {key: self._untold[key] for key in self._untold.keys() & found.counted}

    async def tell(self) -> None:
        """All that was counted. What cannot be told now is told with the next."""
        self._count()
        untold, self._untold = self._untold, {}
        if not untold:
            return
        try:
            await self._tallies.add(untold, round(self.clock() * 1000))
        except CountersDown:
            self._add(untold)

    def _count(self) -> None:
        counts = self._engine.take_counts()
        about = dict.fromkeys(map(checks_to, counts.asked), 1)
        grown = counts.matched | about | ({CHECKS: 1} if about else {})
        self._add(grown)
        now_ms = round(self.clock() * 1000)
        for key, more in grown.items():
            self._here[key] = Tally(self.here(key).times + more, now_ms)

    def _add(self, counted: Mapping[str, int]) -> None:
        for key, more in counted.items():
            self._untold[key] = self._untold.get(key, 0) + more

    def here(self, key: str) -> Tally:
        """What was counted in this process of a `rule@version`, or of CHECKS, or `checks_to`."""
        return self._here.get(key, NEVER)

    def age_s(self, rule_id: str) -> float:
        """For how long it has been in force here; 0 until that is learned."""
        now_s = self.clock()
        return now_s - self._begun_s.get(rule_id, now_s)


def checks_to(destination: str) -> str:
    """The key of checks about a destination that rules name; of all others with ""."""
    return f"{CHECKS}:{destination}"


def learned(snapshot: Snapshot, before: Mapping[str, float], now_s: float) -> Learned:
    begun_s = {
        compiled.rule_id: before.get(compiled.rule_id, now_s)
        for compiled in snapshot.rules.values()
    }
    about = {CHECKS, checks_to(""), *map(checks_to, snapshot.destinations)}
    return Learned(begun_s, references_of(snapshot), about | begun_s.keys())
