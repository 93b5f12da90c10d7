"""The PyPI package `limits` and our windows agree, where they mean the same.

Where they do not:

| | `limits` | here |
|---|---|---|
| a fixed window begins | with the first hit | at a multiple of the window since 1970 |
| a refused hit of a fixed window | is counted, unless it was tested before | takes nothing |
| a moving window counts | each hit for itself, to the very end of its window | by ticks |
| a sliding window counter | estimates from two windows | there is none |

So hits come here on whole ticks, the first of a fixed window at its start, tested before.
"""

import importlib.util
import random
from typing import Any

import pytest
from limits import RateLimitItemPerSecond
from limits.storage import Storage
from limits.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter

from policy.quota import Quota, Take
from policy.quota.memory import MemoryCounters
from tests.policy.counted import SECOND, Clock

WINDOW_S = 10
LIMITS = [1, 3, 10, 100]


class Time:
    """A module `time` that shows a clock: a little fast, for what is a whole window old counts
    there and here no more."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def time(self) -> float:
        return self._clock.now_us / SECOND * (1 + 1e-6)


def storage(clock: Clock) -> Storage:
    """Theirs, on our clock: of a copy of the module that nobody else has."""
    spec = importlib.util.find_spec("limits.storage.memory")
    assert spec
    assert spec.loader
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.time = Time(clock)
    made: Storage = module.MemoryStorage()
    return made


@pytest.mark.parametrize("limit", LIMITS)
def test_a_moving_window_agrees(limit: int) -> None:
    clock, dice = Clock(), random.Random(limit)
    ours, theirs = MemoryCounters(clock), MovingWindowRateLimiter(storage(clock))
    item = RateLimitItemPerSecond(limit, WINDOW_S)
    quota = Quota("rolling-window", limit, WINDOW_S * SECOND, limit, SECOND)
    for _ in range(600):
        clock.now_us += dice.choice([0, 0, 1, 1, 2, 9, 11]) * SECOND
        amount = dice.choice([1, 1, 2, limit])
        grant = ours.charge_now((Take("k", quota, amount),))[0]
        assert grant.granted == theirs.hit(item, "k", cost=amount)
        assert grant.remaining == theirs.get_window_stats(item, "k").remaining


@pytest.mark.parametrize("limit", LIMITS)
def test_a_fixed_window_agrees(limit: int) -> None:
    clock, dice = Clock(), random.Random(limit)
    ours, theirs = MemoryCounters(clock), FixedWindowRateLimiter(storage(clock))
    item = RateLimitItemPerSecond(limit, WINDOW_S)
    quota = Quota("fixed-window", limit, WINDOW_S * SECOND, limit)
    for _ in range(100):
        clock.now_us += dice.choice([1, 1, 3]) * WINDOW_S * SECOND
        for offset in range(dice.randrange(1, WINDOW_S)):
            clock.now_us += SECOND if offset else 0
            amount = dice.choice([1, 1, 2, limit]) if offset else 1
            grant = ours.charge_now((Take("k", quota, amount),))[0]
            granted = theirs.test(item, "k", cost=amount) and theirs.hit(item, "k", cost=amount)
            assert grant.granted == granted
            assert grant.remaining == theirs.get_window_stats(item, "k").remaining
        clock.now_us -= clock.now_us % (WINDOW_S * SECOND)
