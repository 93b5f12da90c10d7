"""Counters in memory forget what has run out."""

from policy.quota import Dedup, Quota, Take
from policy.quota.memory import MemoryCounters
from tests.policy.counted import SECOND, Clock, usual


def test_memory_forgets_what_has_run_out() -> None:
    clock = Clock()
    counters = MemoryCounters(clock)
    quota = usual("token-bucket", 1)
    for number in range(10_000):
        clock.now_us += SECOND
        counters.charge_now((Take(str(number), quota, 1),))
    assert len(counters) < 5_000


def test_memory_forgets_ids() -> None:
    clock = Clock()
    counters = MemoryCounters(clock)
    for number in range(10_000):
        clock.now_us += 60 * SECOND
        take = (Take("k", usual("token-bucket", 1), 1),)
        counters.charge_now(take, dedup=Dedup("a", str(number)))
    assert len(counters) < 5_000


def test_memory_forgets_leases_that_expired() -> None:
    clock = Clock()
    counters = MemoryCounters(clock)
    quota = Quota("concurrency", 10**6, SECOND, 10**6)
    for number in range(10_000):
        clock.now_us += SECOND
        counters.charge_now((Take("k", quota, 1),), lease=str(number))
    assert len(counters) < 5_000
