"""What is peculiar to one algorithm, in every counter store."""

import pytest

from policy.errors import InvalidRule
from policy.quota import ALGORITHMS, Quota
from policy.quota.rolling_window import tick_of
from tests.policy.counted import NOON_US, SECOND, Counted, usual


def test_large_and_crooked_quotas_are_exact(counters: Counted) -> None:
    day = 86_400 * SECOND
    quota = Quota("token-bucket", 999_983, day, 999_983)
    assert counters.take(quota, 999_983).remaining == 0
    counters.clock.now_us += day - 1
    assert counters.take(quota, 999_983).granted is False
    counters.clock.now_us += 1
    assert counters.take(quota, 999_983).granted


def test_a_fixed_window_starts_again_at_its_multiple(counters: Counted) -> None:
    quota = usual("fixed-window", 2)
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
    quota = usual("rolling-window", 2)
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


def test_a_rolling_window_gives_back_what_came_last(counters: Counted) -> None:
    quota = Quota("rolling-window", 10, SECOND, 10, SECOND // 4)
    counters.take(quota, 3)
    counters.clock.now_us += SECOND // 4
    counters.take(quota, 3)
    assert counters.give_back(quota, 4) == 4
    counters.clock.now_us += SECOND * 3 // 4  # the first tick leaves, with the two that are left
    assert counters.used(quota) == 0


def test_a_longer_fixed_window_keeps_what_the_last_shorter_one_counted(counters: Counted) -> None:
    second = Quota("fixed-window", 10, SECOND, 10)
    counters.clock.now_us += SECOND
    counters.take(second, 4)
    minute = Quota("fixed-window", 10, 60 * SECOND, 10)
    assert counters.used(minute) == 4
    counters.take(minute, 1)
    counters.clock.now_us += SECOND
    assert counters.used(second) == 0


@pytest.mark.parametrize(
    ("place", "fields"),
    [
        ("/limit", {"limit": 0}),
        ("/limit", {"limit": -1}),
        ("/limit", {"limit": 10**15 + 1}),
        ("/window", {"window_us": 0}),
        ("/window", {"window_us": -1}),
        ("/window", {"window_us": 367 * 86_400 * SECOND}),
        ("/burst", {"burst": 0}),
        ("/burst", {"burst": -5}),
        ("/tick", {"tick_us": 2 * SECOND}),
        ("/tick", {"tick_us": -1}),
        ("/window", {"unit": "fortnight", "window_us": 0}),
        ("/window", {"unit": "day"}),
    ],
)
def test_what_no_algorithm_can_count_is_refused(place: str, fields: dict[str, int]) -> None:
    usual_fields = {"limit": 10, "window_us": SECOND, "burst": 10}
    with pytest.raises(InvalidRule) as refused:
        Quota("token-bucket", **(usual_fields | fields))
    assert refused.value.place == place


CALENDAR = {"window_us": 0, "unit": "day"}


@pytest.mark.parametrize(
    ("algorithm", "place", "fields"),
    [
        ("fixed-window", "/burst", {"burst": 11}),
        ("fixed-window", "/tick", {"tick_us": 1}),
        ("fixed-window", "/window", CALENDAR),
        ("fixed-window", "/time_zone", {"time_zone": "UTC"}),
        ("rolling-window", "/burst", {"burst": 11}),
        ("rolling-window", "/tick", {"tick_us": SECOND // 601}),
        ("rolling-window", "/window", CALENDAR),
        ("token-bucket", "/tick", {"tick_us": 1}),
        ("token-bucket", "/window", CALENDAR),
        ("token-bucket", "/limit", {"limit": 999_999_999_999_989, "burst": 999_999_999_999_989}),
        ("token-bucket", "/burst", {"limit": 1, "window_us": 31 * 86_400 * SECOND, "burst": 10**6}),
        ("concurrency", "/burst", {"burst": 11}),
        ("concurrency", "/tick", {"tick_us": 1}),
        ("concurrency", "/window", CALENDAR),
        ("calendar-window", "/window", {}),
        ("calendar-window", "/burst", {**CALENDAR, "burst": 11}),
        ("calendar-window", "/tick", {**CALENDAR, "tick_us": 1}),
        ("calendar-window", "/time_zone", {**CALENDAR, "time_zone": "Europe/Bärlin"}),
        ("calendar-window", "/time_zone", {**CALENDAR, "time_zone": "../../etc/passwd"}),
        ("calendar-window", "/time_zone", {**CALENDAR, "time_zone": "Europe"}),
    ],
)
def test_what_an_algorithm_cannot_count_is_refused(
    algorithm: str, place: str, fields: dict[str, int]
) -> None:
    usual_fields = {"limit": 10, "window_us": SECOND, "burst": 10}
    quota = Quota(algorithm, **(usual_fields | fields))
    with pytest.raises(InvalidRule) as refused:
        ALGORITHMS[algorithm].check(quota)
    assert refused.value.place == place
