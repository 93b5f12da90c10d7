"""A sample of the requests that were asked about lately, by destination.

It costs a check one look at a number, unless it is among the first few of its second.
"""

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from typing import NamedTuple

from policy.attributes import AttributeBag, Value
from policy.engine import Engine
from policy.explain.sampled import Sampled, sample_of
from policy.expression import Reference

LOOKS = 256  # checks a second that are looked at
TAKES = 16  # requests a second that are kept
TAKES_OF_ONE = 2  # of one destination
MAX_DESTINATIONS = 128
MAX_OF_ONE = 16  # requests of one destination, the newest


class Taken(NamedTuple):
    at_s: float
    sampled: Sampled


class BagSample:
    """Used on the loop of the checks. `room`: how many checks are still looked at; `look` may be
    called while there is some. `wanted`: what rules read, see `references_of`; without, nothing is
    sampled."""

    def __init__(
        self, engine: Engine, kept_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.room = 0
        self.wanted: frozenset[Reference] = frozenset()
        self._engine = engine
        self._kept_s = kept_s
        self._clock = clock
        self._takes = 0
        self._taken_now: dict[str, int] = {}
        self._taken: OrderedDict[str, deque[Taken]] = OrderedDict()

    def refill(self) -> None:
        """Every second."""
        self.room, self._takes = LOOKS, TAKES
        self._taken_now.clear()

    def look(self, values: Mapping[str, Value]) -> None:
        self.room -= 1
        named = values.get("destination.service")
        destination = named if isinstance(named, str) else ""
        already = self._taken_now.get(destination, 0)
        if already >= TAKES_OF_ONE or not self._takes or not self.wanted:
            return
        self._taken_now[destination] = already + 1
        self._takes -= 1
        derived = self._engine.values_of(AttributeBag(values))
        taken = self._taken.get(destination)
        if taken is None:
            taken = self._taken[destination] = deque(maxlen=MAX_OF_ONE)
            if len(self._taken) > MAX_DESTINATIONS:
                self._taken.popitem(last=False)
        self._taken.move_to_end(destination)
        taken.append(Taken(self._clock(), sample_of(derived, self.wanted)))

    def newest(self) -> list[Sampled]:
        """Those that are not older than they are kept."""
        since_s = self._clock() - self._kept_s
        return [
            each.sampled for taken in self._taken.values() for each in taken if each.at_s >= since_s
        ]
