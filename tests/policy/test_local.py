"""A collector that counts by itself counts with its part of the limit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.quota import ALGORITHMS, Quota, Take
from policy.quota.keys import quota_key
from policy.quota.local import LocalCounters
from policy.quota.memory import MemoryCounters
from tests.policy.counted import NOON_US

HOUR = 3_600_000_000


def made(algorithm: str, limit: int) -> Quota:
    if algorithm == "calendar-window":
        return Quota(algorithm, limit, 0, limit, unit="day")
    return Quota(algorithm, limit, HOUR, limit)


def admitted(quota: Quota, live: int, asked: int) -> int:
    """Of single takes, by all of so many collectors together, at one moment."""
    take, passed = Take(quota_key("q", "0", quota.algorithm, []), quota, 1), 0
    for _ in range(live):
        counters = LocalCounters(lambda: live, MemoryCounters(lambda: NOON_US))
        for _ in range(asked):
            passed += counters.charge_now((take,))[0].granted
    return passed


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@given(limit=st.integers(1, 60), live=st.integers(1, 8))
def test_all_together_admit_the_limit_or_one_each(algorithm: str, limit: int, live: int) -> None:
    assert admitted(made(algorithm, limit), live, limit + 1) == max(limit // live, 1) * live


def test_a_take_is_looked_at_with_the_part_that_it_would_be_charged_with() -> None:
    quota = made("token-bucket", 100)
    take = Take(quota_key("q", "0", quota.algorithm, []), quota, 26)
    counters = LocalCounters(lambda: 4, MemoryCounters(lambda: NOON_US))
    assert counters.peek_now((take,)) == counters.charge_now((take,))
    assert not counters.peek_now((take,))[0].granted
    assert counters.charge_now((take._replace(amount=25),))[0].granted


def test_one_that_is_not_alone_any_more_has_less_and_what_it_used_is_used() -> None:
    live = 1
    counters = LocalCounters(lambda: live, MemoryCounters(lambda: NOON_US))
    quota = made("fixed-window", 100)
    take = Take(quota_key("q", "0", quota.algorithm, []), quota, 30)
    assert counters.charge_now((take,))[0].remaining == 70
    live = 2
    assert counters.charge_now((take._replace(amount=20),))[0].remaining == 0
    assert not counters.charge_now((take._replace(amount=1),))[0].granted
