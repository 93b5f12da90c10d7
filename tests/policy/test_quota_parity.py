"""What counters in memory say, those in Redis say to the digit: random operations on both."""

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from policy.errors import InvalidRule
from policy.quota import ALGORITHMS, Counters, Dedup, Quota, Take
from policy.quota.counters import MemoryCounters, RedisCounters
from policy.quota.keys import quota_key
from tests.policy.counted import SECOND, Clock

LIMITS = [1, 3, 10, 600_000, 999_983, 10**15]
DAY = 86_400 * SECOND
ZONE = "Australia/Lord_Howe"  # its clocks are set by half an hour

Operation = Callable[[Counters], Awaitable[Any]]


def quotas(algorithm: str) -> list[Quota]:
    """Of all sizes, as far as they can be counted."""
    if algorithm == "calendar-window":
        units = ("minute", "hour", "day", "month")
        return [
            Quota(algorithm, n, 0, n, unit=unit, time_zone=ZONE) for n in LIMITS for unit in units
        ]
    found = []
    for limit in LIMITS:
        for window_us in (1, 777_777, SECOND, DAY):
            quota = Quota(algorithm, limit, window_us, limit)
            try:
                ALGORITHMS[algorithm].check(quota)
            except InvalidRule:
                continue
            found.append(quota)
    return found


class Dice:
    """Operations on three counters of one quota, or of one that was changed a little."""

    def __init__(self, quota: Quota, seed: int) -> None:
        self.quota = quota
        self.key = uuid.uuid4().hex
        self.random = random.Random(seed)
        self.slots = [0]

    def step_us(self) -> int:
        window = self.quota.window_us
        steps = [0, 0, 1, 7, self.random.randrange(2 * window), -self.random.randrange(window)]
        return self.random.choice(steps)

    def take(self) -> Take:
        roll, limit = self.random, self.quota.limit
        amounts = [0, 1, 2, limit // 3, limit, limit + 1, -1, -2, -(limit // 2), -(2**52)]
        quota, key = self.quota, quota_key(self.key, "0", self.quota.algorithm, roll.choice("abc"))
        if roll.random() < 0.05:
            other = max(limit // 2, 1)
            quota = replace(
                quota, limit=other, burst=other, window_us=0 if quota.unit else quota.window_us
            )
        return Take(key, quota, roll.choice(amounts), slot=roll.choice(self.slots))

    def operation(self) -> Operation:
        roll = self.random
        takes = tuple(self.take() for _ in range(roll.choice([1, 1, 2])))
        lease = self.key + roll.choice("xyz")
        if len({take.key for take in takes}) < len(takes):
            takes = takes[:1]
        match roll.randrange(12):
            case 0:
                return lambda counters: counters.peek(takes, 5)
            case 1 | 2:
                return lambda counters: counters.release(lease, 5)
            case 3:
                return lambda counters: counters.usage(self.key, {"0": self.quota}, within_s=5)
            case 4 if roll.random() < 0.3:
                return lambda counters: counters.reset([takes[0].key], 5)
        best = roll.random() < 0.3
        dedup = roll.choice([None, None, Dedup("a", self.key + roll.choice("vw"))])
        held = roll.choice(["", lease])
        return lambda counters: counters.charge(takes, 5, best_effort=best, dedup=dedup, lease=held)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_memory_and_redis_agree(algorithm: str, redis_url: str) -> None:
    async def compare(quota: Quota, seed: int) -> None:
        clock, dice = Clock(), Dice(quota, seed)
        memory, shared = MemoryCounters(clock), RedisCounters(redis_url, clock_us=clock)
        for number in range(80):
            clock.now_us += dice.step_us()
            operation = dice.operation()
            expected = await operation(memory)
            assert await operation(shared) == expected, f"operation {number} on {quota}"
            if isinstance(expected, list):
                dice.slots += [grant.slot for grant in expected]
        await shared.close()

    for seed, quota in enumerate(quotas(algorithm)):
        asyncio.run(compare(quota, seed))


def test_a_full_rolling_window_agrees_in_memory_and_redis(redis_url: str) -> None:
    clock, dice = Clock(), random.Random(7)
    quota = Quota("rolling-window", 10**15, 60 * SECOND, 10**15, SECOND // 10)
    key = uuid.uuid4().hex

    async def compare() -> None:
        memory, shared = MemoryCounters(clock), RedisCounters(redis_url, clock_us=clock)
        for _ in range(700):
            clock.now_us += dice.choice([SECOND // 10, SECOND // 10, -SECOND, 3 * SECOND // 10])
            take = (Take(key, quota, dice.randrange(10**13)),)
            assert memory.charge_now(take) == await shared.charge(take, 5)
        await shared.close()

    asyncio.run(compare())
