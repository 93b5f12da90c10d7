"""Concurrency: what is granted is held until it is released, or its lease expires."""

from policy.quota import Dedup, Quota
from tests.policy.counted import NOON_US, SECOND, Counted

TWO = Quota("concurrency", 2, 10 * SECOND, 2)
FIVE = Quota("concurrency", 5, 10 * SECOND, 5)


def test_a_released_request_makes_room_at_once(counters: Counted) -> None:
    assert [counters.take(TWO, lease=name).granted for name in "abc"] == [True, True, False]
    assert counters.release("a") == 1
    assert [counters.take(TWO, lease=name).granted for name in "de"] == [True, False]


def test_time_alone_makes_no_room_before_a_lease_expires(counters: Counted) -> None:
    counters.take(TWO, 2, lease="a")
    counters.clock.now_us += 10 * SECOND - 1
    assert not counters.take(TWO).granted
    counters.clock.now_us += 1
    assert counters.take(TWO, 2).granted


def test_an_expired_lease_frees_nobody_elses_room(counters: Counted) -> None:
    counters.take(TWO, lease="a")
    counters.clock.now_us += 10 * SECOND
    counters.take(TWO, 2, lease="b")
    assert counters.release("a") == 0
    assert not counters.take(TWO).granted


def test_a_lease_expires_at_most_a_hundredth_of_the_window_late(counters: Counted) -> None:
    counters.clock.now_us = NOON_US + 1
    granted = counters.take(TWO, lease="a")
    assert granted.reset_us == 10 * SECOND + SECOND // 10 - 1
    counters.clock.now_us += granted.reset_us - 1
    assert counters.used(TWO) == 1
    counters.clock.now_us += 1
    assert counters.used(TWO) == 0


def test_who_is_refused_is_told_when_leases_expire_at_the_latest(counters: Counted) -> None:
    counters.take(FIVE, 2, lease="a")
    counters.clock.now_us += SECOND
    counters.take(FIVE, 3, lease="b")
    retries = [counters.take(FIVE, amount).retry_after_us for amount in (1, 2, 3, 5, 6)]
    assert retries == [9 * SECOND, 9 * SECOND, 10 * SECOND, 10 * SECOND, -1]


def test_an_unknown_lease_holds_nothing(counters: Counted) -> None:
    assert counters.release("nobody") == 0


def test_one_lease_holds_what_several_counters_granted(counters: Counted) -> None:
    window = Quota("fixed-window", 10, 10 * SECOND, 10)
    counters.take_all(("k", TWO, 1), ("other", FIVE, 3), ("window", window, 4), lease="a")
    assert counters.release("a") == 4
    assert [counters.used(TWO), counters.used(FIVE, "other")] == [0, 0]
    assert counters.used(window, "window") == 4


def test_charges_under_one_lease_are_released_together(counters: Counted) -> None:
    counters.take(FIVE, 2, lease="a")
    counters.take(FIVE, 1, "other", lease="a")
    assert counters.release("a") == 3


def test_a_refused_request_holds_nothing(counters: Counted) -> None:
    counters.take(FIVE, 4, lease="a")
    refused = counters.take_all(("k", FIVE, 2), ("other", TWO, 1), lease="b")
    assert [grant.granted for grant in refused] == [False, True]
    assert counters.release("b") == 0
    assert counters.used(FIVE) == 4


def test_a_lease_holds_what_best_effort_granted(counters: Counted) -> None:
    counters.take(FIVE, 3, lease="a")
    assert counters.take(FIVE, 4, best_effort=True, lease="b").amount == 2
    assert counters.release("b") == 2


def test_a_retry_holds_what_the_first_try_does_and_either_releases_it_once(
    counters: Counted,
) -> None:
    for name in ("first", "retry"):
        assert counters.take(TWO, 2, dedup=Dedup("a", "1"), lease=name).amount == 2
    assert [counters.release(name) for name in ("retry", "first", "retry")] == [2, 0, 0]
    assert counters.used(TWO) == 0
    assert counters.take(TWO, 2, dedup=Dedup("a", "2"), lease="other").granted
    counters.take(TWO, 2, dedup=Dedup("a", "2"), lease="again")
    assert [counters.release(name) for name in ("other", "again")] == [2, 0]


def test_a_retry_under_the_same_lease_is_released_once(counters: Counted) -> None:
    for _ in range(2):
        counters.take(FIVE, 2, dedup=Dedup("a", "1"), lease="a")
    assert [counters.release("a") for _ in range(2)] == [2, 0]


def test_leases_outlive_a_change_of_the_limit(counters: Counted) -> None:
    counters.take(FIVE, 4, lease="a")
    assert not counters.take(TWO, lease="b").granted
    assert counters.release("a") == 4
    assert counters.take(TWO, 2).granted


def test_a_longer_lease_is_released_after_shorter_ones_came(counters: Counted) -> None:
    short = Quota("concurrency", 5, 2 * SECOND, 5)
    counters.take(FIVE, 1, lease="long")
    counters.take(short, 1, lease="short")
    counters.take(FIVE, 1, lease="long again")
    assert [counters.release(name) for name in ("short", "long again")] == [1, 1]
    assert counters.used(FIVE) == 1  # the first was cut short, and expires with the shorter one
    counters.clock.now_us += 2 * SECOND
    assert counters.used(FIVE) == 0


def test_what_a_reset_counter_forgot_is_not_released_from_later_ones(counters: Counted) -> None:
    counters.take(TWO, 2, lease="before")
    counters.reset(TWO, "k")
    counters.clock.now_us += SECOND
    counters.take(TWO, 2, lease="after")
    assert counters.release("before") == 0
    assert not counters.take(TWO).granted
