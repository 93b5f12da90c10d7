"""Every algorithm in every counter store: one contract."""

import asyncio
import math
import random
import uuid
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.errors import InvalidRule
from policy.quota import ALGORITHMS, Dedup, Grant, Quota, Take
from policy.quota.counters import MemoryCounters, RedisCounters
from policy.quota.rolling_window import tick_of
from tests.policy.counted import NOON_US, SECOND, Clock, Counted


@pytest.fixture(params=list(ALGORITHMS))
def algorithm(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def per_second(algorithm: str, limit: int) -> Quota:
    return Quota(algorithm, limit, SECOND, limit)


def test_the_limit_passes_and_no_more(counters: Counted, algorithm: str) -> None:
    quota = per_second(algorithm, 3)
    assert [counters.take(quota).granted for _ in range(5)] == [True, True, True, False, False]


def test_what_remains_counts_down(counters: Counted, algorithm: str) -> None:
    quota = per_second(algorithm, 10)
    assert [counters.take(quota, amount).remaining for amount in (1, 4, 5)] == [9, 5, 0]


def test_a_refused_request_takes_nothing(counters: Counted, algorithm: str) -> None:
    quota = per_second(algorithm, 10)
    counters.take(quota, 8)
    refused = counters.take(quota, 5)
    assert (refused.granted, refused.remaining) == (False, 2)
    assert counters.take(quota, 2).granted


def test_zero_asks_without_taking(counters: Counted, algorithm: str) -> None:
    quota = per_second(algorithm, 1)
    assert counters.take(quota, 0) == Grant(True, 1, counters.take(quota, 0).reset_us, 0, 0)
    assert counters.take(quota).granted
    assert counters.take(quota, 0).granted


def test_the_same_request_passes_after_the_time_it_was_told(
    counters: Counted, algorithm: str
) -> None:
    quota = per_second(algorithm, 7)
    counters.take(quota, 6)
    refused = counters.take(quota, 3)
    counters.clock.now_us += refused.retry_after_us - 1
    assert not counters.take(quota, 3).granted
    counters.clock.now_us += 1
    assert counters.take(quota, 3).granted


def test_the_quota_is_whole_after_the_time_it_was_told(counters: Counted, algorithm: str) -> None:
    quota = per_second(algorithm, 7)
    granted = counters.take(quota, 5)
    counters.clock.now_us += granted.reset_us
    assert counters.take(quota, 7).granted


def test_more_than_ever_passes_is_told_so(counters: Counted, algorithm: str) -> None:
    quota = per_second(algorithm, 3)
    assert counters.take(quota, 4) == counters.take(quota, 2**52)
    assert counters.take(quota, 4).retry_after_us == -1


def test_keys_do_not_share(counters: Counted, algorithm: str) -> None:
    quota = per_second(algorithm, 1)
    assert counters.take(quota, key="a").granted
    assert counters.take(quota, key="b").granted
    assert not counters.take(quota, key="a").granted


def test_of_several_all_are_charged_or_none(counters: Counted, algorithm: str) -> None:
    wide, narrow = per_second(algorithm, 10), per_second(algorithm, 2)
    assert all(grant.granted for grant in counters.take_all(("w", wide, 2), ("n", narrow, 2)))
    both = counters.take_all(("w", wide, 1), ("n", narrow, 1))
    assert [grant.granted for grant in both] == [True, False]
    assert counters.take(wide, 8, key="w").granted


def test_best_effort_grants_what_is_left(counters: Counted, algorithm: str) -> None:
    quota = per_second(algorithm, 10)
    amounts = [counters.take(quota, 4, best_effort=True).amount for _ in range(4)]
    assert amounts == [4, 4, 2, 0]
    refused = counters.take(quota, 4, best_effort=True)
    assert (refused.granted, refused.remaining) == (False, 0)
    assert refused.retry_after_us > 0


def test_best_effort_grants_of_too_much_what_ever_passes(counters: Counted, algorithm: str) -> None:
    quota = per_second(algorithm, 10)
    granted = counters.take(quota, 2**52, best_effort=True)
    assert (granted.granted, granted.amount, granted.remaining) == (True, 10, 0)


def test_best_effort_grants_of_several_what_all_can(counters: Counted, algorithm: str) -> None:
    wide, narrow = per_second(algorithm, 10), per_second(algorithm, 3)
    both = counters.take_all(("w", wide, 5), ("n", narrow, 5), best_effort=True)
    assert [(grant.amount, grant.remaining) for grant in both] == [(3, 7), (3, 0)]
    both = counters.take_all(("w", wide, 5), ("n", narrow, 5), best_effort=True)
    assert [grant.granted for grant in both] == [True, False]
    assert counters.take(wide, 7, key="w").granted


def test_all_or_nothing_grants_all_or_nothing(counters: Counted, algorithm: str) -> None:
    quota = per_second(algorithm, 10)
    assert [counters.take(quota, amount).amount for amount in (6, 6, 4)] == [6, 0, 4]


def test_an_id_is_charged_once(counters: Counted, algorithm: str) -> None:
    quota, retried = per_second(algorithm, 10), Dedup("a", "1")
    first = counters.take(quota, 4, dedup=retried)
    counters.clock.now_us += 1_000
    second = counters.take(quota, 4, dedup=retried)
    assert second == first._replace(reset_us=first.reset_us - 1_000)
    assert counters.take(quota, 0).remaining == 6
    assert counters.take(quota, 4, dedup=Dedup("a", "2")).remaining == 2


def test_an_id_is_its_callers_and_its_counters(counters: Counted, algorithm: str) -> None:
    quota = per_second(algorithm, 10)
    for dedup in (Dedup("a", "bc"), Dedup("ab", "c"), Dedup("b", "bc")):
        counters.take(quota, 2, dedup=dedup)
    assert counters.take(quota, 0).remaining == 4
    assert counters.take(quota, 2, key="other", dedup=Dedup("a", "bc")).remaining == 8


def test_an_id_is_forgotten_after_a_minute(counters: Counted, algorithm: str) -> None:
    minutes = 10 * 60 * SECOND
    quota, retried = Quota(algorithm, 10, minutes, 10), Dedup("a", "1")
    assert counters.take(quota, 9, dedup=retried).amount == 9
    counters.clock.now_us += 60 * SECOND - 1
    assert counters.take(quota, 9, dedup=retried).amount == 9
    counters.clock.now_us += 1
    assert not counters.take(quota, 9, dedup=retried).granted


def test_a_refused_id_may_try_again(counters: Counted, algorithm: str) -> None:
    quota, retried = per_second(algorithm, 10), Dedup("a", "1")
    counters.take(quota, 10)
    refused = counters.take(quota, 5, dedup=retried)
    assert not refused.granted
    counters.clock.now_us += refused.retry_after_us
    assert counters.take(quota, 5, dedup=retried).granted


def test_an_id_keeps_a_best_effort_grant_of_several(counters: Counted, algorithm: str) -> None:
    wide, narrow = per_second(algorithm, 10), per_second(algorithm, 3)
    both = ("w", wide, 5), ("n", narrow, 5)
    first = counters.take_all(*both, best_effort=True, dedup=Dedup("a", "1"))
    assert counters.take_all(*both, best_effort=True, dedup=Dedup("a", "1")) == first
    assert counters.take(wide, 0, key="w").remaining == 7


def test_a_raised_limit_counts_at_once(counters: Counted, algorithm: str) -> None:
    counters.take(per_second(algorithm, 2), 2)
    counters.clock.now_us += SECOND // 2
    assert counters.take(per_second(algorithm, 100), 10).granted


def test_a_lowered_limit_counts_at_once_and_recovers(counters: Counted, algorithm: str) -> None:
    counters.take(per_second(algorithm, 100), 100)
    lower = per_second(algorithm, 3)
    assert counters.take(lower).remaining == 0
    counters.clock.now_us += SECOND
    assert counters.take(lower, 3).granted


def test_a_clock_that_steps_back_costs_at_most_one_window(
    counters: Counted, algorithm: str
) -> None:
    quota = per_second(algorithm, 2)
    counters.take(quota, 2)
    counters.clock.now_us -= 3600 * SECOND
    counters.take(quota)
    counters.clock.now_us += SECOND
    assert counters.take(quota).granted


def test_large_and_crooked_quotas_are_exact(counters: Counted) -> None:
    day = 86_400 * SECOND
    quota = Quota("token-bucket", 999_983, day, 999_983)
    assert counters.take(quota, 999_983).remaining == 0
    counters.clock.now_us += day - 1
    assert counters.take(quota, 999_983).granted is False
    counters.clock.now_us += 1
    assert counters.take(quota, 999_983).granted


def test_a_fixed_window_starts_again_at_its_multiple(counters: Counted) -> None:
    quota = per_second("fixed-window", 2)
    counters.clock.now_us = NOON_US + SECOND - 1
    assert counters.take(quota, 2).reset_us == 1
    assert not counters.take(quota).granted
    counters.clock.now_us += 1
    assert counters.take(quota, 2).reset_us == SECOND


def test_a_token_bucket_refills_steadily_and_no_faster(counters: Counted) -> None:
    quota = Quota("token-bucket", 3, SECOND, 3)
    passed = 0
    for step in range(601):
        counters.clock.now_us = NOON_US + step * 10_000
        passed += counters.take(quota).granted
    assert passed == 3 + 18  # 6 seconds at exactly 3 a second, though a third is no whole µs


def test_a_rolling_window_gives_back_tick_by_tick(counters: Counted) -> None:
    quota = Quota("rolling-window", 5, SECOND, 5, SECOND // 4)
    for _ in range(4):
        counters.clock.now_us += SECOND // 4
        assert counters.take(quota).granted
    refused = counters.take(quota, 2)
    assert (refused.remaining, refused.retry_after_us) == (1, SECOND // 4)
    refused = counters.take(quota, 4)
    assert (refused.retry_after_us, refused.reset_us) == (SECOND * 3 // 4, SECOND)


def test_a_rolling_window_lets_no_boundary_double_it(counters: Counted) -> None:
    quota = per_second("rolling-window", 2)
    counters.clock.now_us += SECOND - 1
    assert counters.take(quota, 2).granted
    counters.clock.now_us += 1
    assert not counters.take(quota).granted


@pytest.mark.parametrize("before", [3_000, 7_000, 250_000])
def test_another_tick_or_window_forgets_nothing_it_still_covers(
    counters: Counted, before: int
) -> None:
    limit, tick = 40, 10_000
    narrow = Quota("rolling-window", limit, SECOND, limit, before)
    for _ in range(20):
        counters.clock.now_us += 13_000
        assert counters.take(narrow).granted
    wide = Quota("rolling-window", limit, 2 * SECOND, limit, tick)
    assert counters.take(wide, 0).remaining == limit - 20
    counters.clock.now_us += 2 * SECOND
    assert counters.take(wide, limit).granted


def test_a_rolling_window_has_mixers_ticks_or_a_hundred() -> None:
    widths = {SECOND: 100_000, 60 * SECOND: 600_000, 50_000: 50_000, 10_000_001: 100_001}
    for window, tick in widths.items():
        assert tick_of(Quota("rolling-window", 1, window, 1)) == tick


def test_a_smaller_burst_forgives_the_debt_beyond_it(counters: Counted) -> None:
    counters.take(Quota("token-bucket", 10, SECOND, 600), 600)
    smaller = Quota("token-bucket", 10, SECOND, 10)
    assert not counters.take(smaller).granted
    counters.clock.now_us += SECOND
    assert counters.take(smaller, 10).granted


def test_a_burst_is_apart_from_the_rate(counters: Counted) -> None:
    quota = Quota("token-bucket", 10, SECOND, 25)
    assert counters.take(quota, 25).granted
    assert counters.take(quota).retry_after_us == SECOND // 10


@pytest.mark.parametrize("limit", [1, 3, 10, 600_000, 999_983])
@pytest.mark.parametrize("window_us", [1, 777_777, SECOND, 86_400 * SECOND])
def test_memory_and_redis_agree(algorithm: str, limit: int, window_us: int, redis_url: str) -> None:
    clock, dice = Clock(), random.Random(limit * window_us)
    quota = Quota(algorithm, limit, window_us, limit)
    key = uuid.uuid4().hex

    async def compare() -> None:
        memory, shared = MemoryCounters(clock), RedisCounters(redis_url, clock_us=clock)
        for _ in range(100):
            clock.now_us += dice.choice([0, 1, 7, dice.randrange(2 * window_us)])
            amounts = [0, 1, 2, limit // 3, limit, limit + 1]
            takes = tuple(Take(key + name, quota, dice.choice(amounts)) for name in "ab")
            best = dice.random() < 0.3
            dedup = dice.choice([None, Dedup("a", key + dice.choice("xy"))])
            assert memory.charge_now(takes, best_effort=best, dedup=dedup) == await shared.charge(
                takes, 5, best_effort=best, dedup=dedup
            )
        await shared.close()

    asyncio.run(compare())


class Model:
    """Every algorithm in the plainest way: tokens as fractions, grants in a list."""

    def __init__(self, quota: Quota) -> None:
        self.quota = quota
        self.tokens = Fraction(quota.burst)
        self.at_us = 0
        self.grants: list[tuple[int, int]] = []

    def take(self, amount: int, now_us: int) -> tuple[bool, int]:
        quota = self.quota
        if quota.algorithm == "fixed-window":
            window = now_us // quota.window_us
            left = quota.limit - sum(took for at, took in self.grants if at == window)
            if amount <= left:
                self.grants.append((window, amount))
            return amount <= left, left - amount if amount <= left else left
        if quota.algorithm == "rolling-window":
            tick = now_us // quota.tick_us
            ticks = math.ceil(Fraction(quota.window_us, quota.tick_us))
            left = quota.limit - sum(took for at, took in self.grants if at > tick - ticks)
            if amount <= left:
                self.grants.append((tick, amount))
            return amount <= left, left - amount if amount <= left else left
        refill = Fraction((now_us - self.at_us) * quota.limit, quota.window_us)
        self.tokens, self.at_us = min(self.tokens + refill, Fraction(quota.burst)), now_us
        if amount <= self.tokens:
            self.tokens -= amount
            return True, int(self.tokens)
        return False, int(self.tokens)


@settings(deadline=None, max_examples=200, derandomize=True)
@given(
    name=st.sampled_from(list(ALGORITHMS)),
    limit=st.integers(1, 10**6),
    window_us=st.integers(1, 10**11),
    burst=st.integers(1, 10**6),
    ticks=st.integers(1, 600),
    steps=st.lists(st.tuples(st.integers(0, 10**10), st.integers(0, 10**6)), max_size=40),
)
def test_an_algorithm_does_what_its_model_does(
    name: str, limit: int, window_us: int, burst: int, ticks: int, steps: list[tuple[int, int]]
) -> None:
    tick_us = math.ceil(window_us / ticks) if name == "rolling-window" else 0
    quota = Quota(name, limit, window_us, burst if name == "token-bucket" else limit, tick_us)
    try:
        ALGORITHMS[name].check(quota)
    except InvalidRule:
        return
    clock, model = Clock(), Model(quota)
    counters = MemoryCounters(clock)
    model.at_us = clock.now_us
    for wait_us, amount in steps:
        clock.now_us += wait_us
        grant = counters.charge_now((Take("k", quota, amount % (limit + 2)),))[0]
        assert (grant.granted, grant.remaining) == model.take(amount % (limit + 2), clock.now_us)


def test_memory_forgets_what_has_run_out() -> None:
    clock = Clock()
    counters = MemoryCounters(clock)
    quota = per_second("token-bucket", 1)
    for number in range(10_000):
        clock.now_us += SECOND
        counters.charge_now((Take(str(number), quota, 1),))
    assert len(counters) < 5_000


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


def test_memory_forgets_ids() -> None:
    clock = Clock()
    counters = MemoryCounters(clock)
    for number in range(10_000):
        clock.now_us += 60 * SECOND
        take = (Take("k", per_second("token-bucket", 1), 1),)
        counters.charge_now(take, dedup=Dedup("a", str(number)))
    assert len(counters) < 5_000
