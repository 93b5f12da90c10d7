"""Parts of quotas taken in advance: how much is held, how much is admitted, what becomes of it."""

import asyncio
import random
import subprocess
import sys
import uuid
from bisect import bisect_left
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest

from policy.errors import CountersDown
from policy.quota import ALGORITHMS, Dedup, Grant, Quota, Take
from policy.quota.counters import MemoryCounters, RedisCounters
from policy.quota.keys import quota_key
from policy.quota.leased import LeasedCounters
from tests.conftest import ValkeyProcess
from tests.policy.counted import NOON_US, SECOND, Clock
from tests.waiting import eventually, soon

LIMIT = 10_000
SHARE = LIMIT // 100
DAY = 86_400 * SECOND
MANY = Quota("fixed-window", LIMIT, DAY, LIMIT)
LEASED = [name for name, algorithm in ALGORITHMS.items() if algorithm.lease_us]


def key_of(quota: Quota, value: str = "k") -> str:
    return quota_key("calm", "0", quota.algorithm, [value])


@dataclass
class Collectors:
    """Several, over shared counters in memory, on one clock that the test sets."""

    count: int = 1
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.shared = MemoryCounters(self.clock)
        self.leased = [
            LeasedCounters(self.shared, lambda: self.clock.now_us / SECOND)
            for _ in range(self.count)
        ]

    async def charge(self, quota: Quota, amount: int = 1, by: int = 0, **how: Any) -> Grant:
        take = Take(key_of(quota), quota, amount, leased=True)
        grant = (await self.leased[by].charge((take,), 1, **how))[0]
        await asyncio.sleep(0)  # what is taken in advance is there after one turn
        return grant

    async def warm(self, quota: Quota) -> int:
        """So much use of late that as much is held as may be. How much that was."""
        for charges in range(1, 1_000):
            assert (await self.charge(quota)).granted
            if self.held == SHARE:
                return charges
        raise AssertionError(self.held)

    async def counted(self, quota: Quota) -> int:
        peeked = await self.shared.peek((Take(key_of(quota), quota, 0),), 1)
        return quota.burst - peeked[0].remaining

    @property
    def held(self) -> int:
        return sum(sum(one.outstanding.values()) for one in self.leased)

    async def give_back(self) -> None:
        for one in self.leased:
            await one.give_back()


def of(name: str, limit: int = LIMIT) -> Quota:
    if name == "calendar-window":
        return Quota(name, limit, 0, limit, unit="day")
    return Quota(name, limit, DAY, limit)


@pytest.fixture(params=LEASED)
def quota(request: pytest.FixtureRequest) -> Quota:
    return of(request.param)


def run(story: Callable[[Collectors], Coroutine[Any, Any, None]], count: int = 1) -> None:
    asyncio.run(story(Collectors(count)))


def test_all_that_is_admitted_was_counted_before(quota: Quota) -> None:
    async def story(made: Collectors) -> None:
        for charged in range(1, 500):
            assert (await made.charge(quota)).granted
            assert await made.counted(quota) == charged + made.held

    run(story)


def test_what_is_held_is_used_without_asking(quota: Quota) -> None:
    async def story(made: Collectors) -> None:
        await made.warm(quota)
        counted = await made.counted(quota)
        for _ in range(SHARE // 2):
            assert (await made.charge(quota)).granted
        assert (made.held, await made.counted(quota)) == (SHARE // 2, counted)

    run(story)


def test_at_most_a_hundredth_of_the_limit_is_held(quota: Quota) -> None:
    async def story(made: Collectors) -> None:
        most = 0
        for _ in range(1_000):
            await made.charge(quota)
            most = max(most, made.held)
        assert most == SHARE

    run(story)


def test_as_much_is_held_as_was_used_of_late(quota: Quota) -> None:
    """Ten in a tenth of a second, though a hundred may be held."""

    async def story(made: Collectors) -> None:
        most = 0
        for _ in range(200):
            made.clock.now_us += SECOND // 100
            await made.charge(quota)
            most = max(most, made.held)
        assert 5 <= most <= 11

    run(story)


@pytest.mark.parametrize("charges", [1, 20])
def test_who_asks_seldom_holds_nothing(quota: Quota, charges: int) -> None:
    async def story(made: Collectors) -> None:
        for number in range(1, charges + 1):
            made.clock.now_us += SECOND // 5
            await made.charge(quota)
            assert made.held == 0
            assert await made.counted(quota) == number

    run(story)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_nothing_is_held_of_a_small_limit_nor_of_requests_in_flight(name: str) -> None:
    quota = of(name, LIMIT if name == "concurrency" else 199)

    async def story(made: Collectors) -> None:
        for number in range(1, 150):
            await made.charge(quota)
            assert (made.held, await made.counted(quota)) == (0, number)

    run(story)


def test_a_take_that_may_not_be_leased_is_asked_for_itself() -> None:
    async def story(made: Collectors) -> None:
        for number in range(1, 200):
            await made.leased[0].charge((Take(key_of(MANY), MANY, 1),), 1)
            assert (made.held, await made.counted(MANY)) == (0, number)

    run(story)


@pytest.mark.parametrize("how", [{"best_effort": True}, {"dedup": Dedup("a", "1")}])
def test_ids_and_best_effort_are_passed_on(how: dict[str, Any]) -> None:
    async def story(made: Collectors) -> None:
        await made.warm(MANY)
        held, counted = made.held, await made.counted(MANY)
        for _ in range(2):
            assert (await made.charge(MANY, 3, **how)).amount == 3
        assert made.held == held
        assert await made.counted(MANY) == counted + (3 if "dedup" in how else 6)

    run(story)


def test_more_than_is_held_is_asked_for_whole() -> None:
    async def story(made: Collectors) -> None:
        await made.warm(MANY)
        held, counted = made.held, await made.counted(MANY)
        assert (await made.charge(MANY, held + 1)).granted
        assert (made.held, await made.counted(MANY)) == (held, counted + held + 1)

    run(story)


def test_a_refused_group_takes_nothing_of_what_is_held() -> None:
    small = Quota("fixed-window", 1, DAY, 1)
    takes = Take(key_of(MANY), MANY, 1, leased=True), Take(key_of(small, "other"), small, 1)

    async def story(made: Collectors) -> None:
        await made.warm(MANY)
        held = made.held
        both = await made.leased[0].charge(takes, 1)
        assert ([grant.granted for grant in both], made.held) == ([True, True], held - 1)
        both = await made.leased[0].charge(takes, 1)
        assert ([grant.granted for grant in both], made.held) == ([True, False], held - 1)

    run(story)


def test_what_is_held_is_given_back_at_the_end(quota: Quota) -> None:
    async def story(made: Collectors) -> None:
        charged = await made.warm(quota)
        assert made.held
        await made.give_back()
        assert (made.held, await made.counted(quota)) == (0, charged)

    run(story)


def test_a_changed_limit_gives_back_what_was_held_of_the_old(quota: Quota) -> None:
    async def story(made: Collectors) -> None:
        charged = await made.warm(quota)
        await made.charge(of(quota.algorithm, 2 * LIMIT))
        await asyncio.sleep(0)
        assert (made.held, await made.counted(quota)) == (0, charged + 1)

    run(story)


def test_a_reset_counter_forgets_what_is_held_of_it() -> None:
    async def story(made: Collectors) -> None:
        await made.warm(MANY)
        await made.leased[0].reset([key_of(MANY)])
        assert (made.held, await made.counted(MANY)) == (0, 0)

    run(story)


def test_what_is_not_used_is_given_back_after_a_second(redis_url: str) -> None:
    take = (Take(quota_key(uuid.uuid4().hex, "0", MANY.algorithm, []), MANY, 1, leased=True),)

    async def story() -> None:
        shared = RedisCounters(redis_url)
        counters = LeasedCounters(shared)
        charged = 0
        while not counters.outstanding:
            await counters.charge(take, 5)
            charged += 1
        left = LIMIT - charged

        async def given_back() -> bool:
            return (await shared.peek((take[0]._replace(amount=0),), 5))[0].remaining == left

        await soon(given_back)
        assert not counters.outstanding
        await shared.close()

    asyncio.run(story())


def test_a_window_that_ended_ends_what_was_held_in_it() -> None:
    """Its end has come, or been near: not one of the old window is admitted in the new."""
    quota = Quota("fixed-window", LIMIT, 10 * SECOND, LIMIT)

    async def story(made: Collectors) -> None:
        made.clock.now_us = NOON_US + 10 * SECOND - 1
        await made.warm(quota)
        assert made.held
        made.clock.now_us += 1
        assert made.held == 0
        granted = 0
        for _ in range(LIMIT + 500):
            granted += (await made.charge(quota)).granted
        assert granted == LIMIT
        await made.give_back()
        assert await made.counted(quota) == LIMIT

    run(story)


def test_what_came_too_late_is_not_given_back_to_the_next_window() -> None:
    quota = Quota("fixed-window", LIMIT, SECOND, LIMIT)

    async def story(made: Collectors) -> None:
        await made.warm(quota)
        assert made.held
        made.clock.now_us += SECOND
        await made.shared.charge((Take(key_of(quota), quota, 500),), 1)
        await made.give_back()
        assert await made.counted(quota) == 500

    run(story)


class Gate(MemoryCounters):
    """Answers who makes do with less only when it is opened."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.opened = asyncio.Event()
        self.waiting = 0

    async def charge(self, takes: tuple[Take, ...], deadline_s: float, **how: Any) -> list[Grant]:
        if how.get("best_effort"):
            self.waiting += 1
            await self.opened.wait()
        return await super().charge(takes, deadline_s, **how)


def test_only_one_takes_in_advance_and_nobody_waits_for_it() -> None:
    async def story() -> None:
        gate = Gate(Clock())
        counters = LeasedCounters(gate, lambda: 1.0)
        take = (Take(key_of(MANY), MANY, 1, leased=True),)
        for _ in range(10):
            answers = await asyncio.gather(*(counters.charge(take, 1) for _ in range(20)))
            assert all(grants[0].granted for grants in answers)
        assert gate.waiting == 1
        gate.opened.set()
        await counters.give_back()
        assert (await gate.peek(take, 1))[0].remaining == LIMIT - 201

    asyncio.run(story())


@dataclass
class Bound:
    """Of any time: no more is admitted than may be counted in it, and was held at its beginning."""

    quota: Quota
    admitted: list[tuple[int, int]] = field(default_factory=list)
    held: list[tuple[int, int]] = field(default_factory=list)

    def check(self) -> None:
        quota = self.quota
        times = [at for at, _ in self.admitted]
        sums = [0, *accumulate(amount for _, amount in self.admitted)]

        def between(first: int, last: int) -> int:
            return sums[bisect_left(times, last)] - sums[bisect_left(times, first)]

        for since, held in self.held[::7]:
            if quota.algorithm == "token-bucket":
                for until in times[bisect_left(times, since) :: 50]:
                    filled = (until - since) * quota.limit // quota.window_us
                    assert between(since, until + 1) <= quota.burst + filled + held
            else:
                first = since - since % (quota.tick_us or quota.window_us)
                assert between(first, first + quota.window_us) <= quota.limit


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", ["token-bucket", "fixed-window", "rolling-window"])
def test_several_collectors_admit_no_more_than_was_counted_and_held(name: str, seed: int) -> None:
    tick = SECOND // 5 if name == "rolling-window" else 0
    quota = Quota(name, 1_000, 2 * SECOND, 1_000, tick)
    dice, bound = random.Random(seed), Bound(quota)

    async def story(made: Collectors) -> None:
        for _ in range(1_500):
            made.clock.now_us += dice.choice([0, 0, 1_000, 3_000, dice.randrange(100_000)])
            by = dice.randrange(3)
            bound.held.append((made.clock.now_us, made.held))
            assert made.held <= 3 * (quota.limit // 100)
            for _ in range(dice.choice([1, 5, 20])):
                amount = dice.choice([1, 1, 2, 5])
                if (await made.charge(quota, amount, by)).granted:
                    bound.admitted.append((made.clock.now_us, amount))
            if dice.random() < 0.01:  # started again, by kill or in peace
                if dice.random() < 0.5:
                    await made.leased[by].give_back()
                made.leased[by] = LeasedCounters(made.shared, lambda: made.clock.now_us / SECOND)

    run(story, count=3)
    bound.check()
    assert sum(amount for _, amount in bound.admitted) > 5 * quota.limit


def test_what_is_held_is_used_while_the_server_is_away(valkey: ValkeyProcess) -> None:
    take = Take(key_of(MANY), MANY, 1, leased=True)
    other = Take(key_of(MANY, "other"), MANY, 1)

    async def story() -> tuple[int, int]:
        shared = RedisCounters(valkey.url)
        await shared.check_server()
        counters = LeasedCounters(shared)
        while counters.outstanding.get("calm", 0) < SHARE // 2:
            await counters.charge((take,), 5)
        valkey.kill()
        held = counters.outstanding["calm"]
        with pytest.raises(CountersDown):
            await counters.charge((take, other), 5)
        assert counters.outstanding["calm"] == held
        granted = 0
        with suppress(CountersDown):
            while granted <= held:
                granted += (await counters.charge((take,), 5))[0].granted
        await counters.give_back()
        await shared.close()
        return held, granted

    held, granted = asyncio.run(story())
    assert 0 < granted <= held


@pytest.mark.parametrize("algorithm", ["fixed-window", "token-bucket"])
def test_killed_collectors_admit_no_more_than_the_limit(
    algorithm: str, redis_url: str, tmp_path: Path
) -> None:
    """Three processes; one is killed -9 in the midst of it. What it held is lost, and no more."""
    limit, window = 20_000, 366 * DAY
    file = tmp_path / uuid.uuid4().hex
    file.touch()
    command = [sys.executable, "-m", "tests.policy.leasing", redis_url, str(file), algorithm]
    collectors = [subprocess.Popen([*command, str(limit), str(window)]) for _ in range(3)]
    eventually(lambda: file.stat().st_size > limit // 4)
    collectors[0].kill()
    assert [one.wait(60) for one in collectors] == [-9, 0, 0]
    admitted = file.stat().st_size
    filled = 60 * SECOND * limit // window if algorithm == "token-bucket" else 0
    assert limit - 3 * limit // 100 <= admitted <= limit + filled
