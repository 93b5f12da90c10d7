"""Calendar windows: periods of a time zone's clock, also where that is set."""

import asyncio
import subprocess
import sys
import uuid
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.quota import Quota, Take
from policy.quota.counters import RedisCounters
from policy.quota.periods import around, known_zones, period, shown, zone_of
from tests.policy.counted import SECOND, Counted

HOUR = 3_600 * SECOND


def at_us(text: str) -> int:
    """Of an instant in ISO 8601, with its offset."""
    return round(datetime.fromisoformat(text).timestamp()) * SECOND


@pytest.mark.parametrize(
    ("unit", "zone", "now", "start", "end"),
    [
        ("minute", "UTC", "2026-05-04T10:20:59Z", "2026-05-04T10:20:00Z", "2026-05-04T10:21:00Z"),
        ("hour", "UTC", "2026-05-04T10:00:00Z", "2026-05-04T10:00:00Z", "2026-05-04T11:00:00Z"),
        ("hour", "Asia/Kathmandu", "2026-05-04T10:20:00+05:45", "2026-05-04T10:00:00+05:45",
         "2026-05-04T11:00:00+05:45"),
        ("day", "Europe/Berlin", "2026-03-29T12:00:00+02:00", "2026-03-29T00:00:00+01:00",
         "2026-03-30T00:00:00+02:00"),
        ("day", "Europe/Berlin", "2026-10-25T02:30:00+01:00", "2026-10-25T00:00:00+02:00",
         "2026-10-26T00:00:00+01:00"),
        ("week", "Europe/Berlin", "2026-10-25T23:59:59+01:00", "2026-10-19T00:00:00+02:00",
         "2026-10-26T00:00:00+01:00"),
        ("week", "UTC", "2027-01-01T00:00:00Z", "2026-12-28T00:00:00Z", "2027-01-04T00:00:00Z"),
        ("month", "America/New_York", "2028-02-29T23:00:00-05:00", "2028-02-01T00:00:00-05:00",
         "2028-03-01T00:00:00-05:00"),
        ("month", "UTC", "2026-12-31T23:59:59Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ("year", "Pacific/Auckland", "2026-01-01T00:00:00+13:00", "2026-01-01T00:00:00+13:00",
         "2027-01-01T00:00:00+13:00"),
        # Its clocks went from 24:00 to 1:00: the day begins at 1:00.
        ("day", "America/Sao_Paulo", "2018-11-04T01:00:00-02:00", "2018-11-04T01:00:00-02:00",
         "2018-11-05T00:00:00-02:00"),
        # Its clocks were set back from 0:01 to 23:01: the day that had begun went on.
        ("day", "America/Goose_Bay", "2010-11-06T23:30:00-04:00", "2010-11-07T00:00:00-03:00",
         "2010-11-08T00:00:00-04:00"),
        # It left out a day.
        ("day", "Pacific/Apia", "2011-12-29T23:00:00-10:00", "2011-12-29T00:00:00-10:00",
         "2011-12-31T00:00:00+14:00"),
        # Half an hour is set back: the day's last hour is the shorter.
        ("hour", "Australia/Lord_Howe", "2026-04-05T23:45:00+10:30", "2026-04-05T23:30:00+10:30",
         "2026-04-06T00:00:00+10:30"),
    ],
)  # fmt: skip
def test_a_period_begins_and_ends_by_the_zones_clock(
    unit: str, zone: str, now: str, start: str, end: str
) -> None:
    assert period(unit, zone, at_us(now)) == (at_us(start), at_us(end))


def test_days_last_as_long_as_the_clock_makes_them() -> None:
    lengths = {
        day: period("day", "Europe/Berlin", at_us(f"{day}T12:00:00+01:00"))
        for day in ("2026-03-28", "2026-03-29", "2026-10-25")
    }
    assert [(end - start) // HOUR for start, end in lengths.values()] == [24, 23, 25]


def test_a_day_of_25_hours_has_25_hours() -> None:
    start, end = period("day", "Europe/Berlin", at_us("2026-10-25T12:00:00+01:00"))
    starts = {period("hour", "Europe/Berlin", at).start_us for at in range(start, end, HOUR // 4)}
    assert sorted(starts) == list(range(start, end, HOUR))


MOMENTS_S = st.integers(
    at_us("1975-01-01T00:00:00Z") // SECOND, at_us("2060-01-01T00:00:00Z") // SECOND
)
UNITS = ("minute", "hour", "day", "week", "month", "year")


@given(zone=st.sampled_from(sorted(known_zones())), unit=st.sampled_from(UNITS), now_s=MOMENTS_S)
def test_periods_follow_on_each_other_without_a_gap(zone: str, unit: str, now_s: int) -> None:
    now_us = now_s * SECOND
    before, start, end, after = around(unit, zone, now_us)
    assert before < start <= now_us < end < after
    for first, last in pairwise((before, start, end, after)):
        for inside in (first, (first + last) // 2, last - 1):
            assert period(unit, zone, inside) == (first, last)


@given(zone=st.sampled_from(sorted(known_zones())), now_s=MOMENTS_S)
def test_a_day_begins_when_the_clock_first_shows_it(zone: str, now_s: int) -> None:
    start, _ = period("day", zone, now_s * SECOND)
    first = shown(zone_of(zone), start // SECOND)
    before = shown(zone_of(zone), start // SECOND - 1)
    assert before.date() < first.date()
    assert first.date() - before.date() <= timedelta(days=2)


def test_a_counter_starts_again_at_the_zones_midnight(counters: Counted) -> None:
    quota = Quota("calendar-window", 2, 0, 2, unit="day", time_zone="Europe/Berlin")
    counters.clock.now_us = at_us("2026-03-29T00:00:00+01:00")
    assert counters.take(quota, 2).reset_us == 23 * HOUR
    counters.clock.now_us = at_us("2026-03-29T23:59:59+02:00")
    assert counters.take(quota).retry_after_us == SECOND
    counters.clock.now_us += SECOND
    assert counters.take(quota, 2).reset_us == 24 * HOUR


def test_a_longer_period_keeps_what_the_last_shorter_one_counted(counters: Counted) -> None:
    day, month = (Quota("calendar-window", 9, 0, 9, unit=unit) for unit in ("day", "month"))
    counters.clock.now_us = at_us("2026-05-04T10:00:00Z")
    counters.take(day, 4)
    assert counters.used(month) == 4
    counters.clock.now_us = at_us("2026-05-05T10:00:00Z")
    assert (counters.used(month), counters.used(day)) == (4, 0)


def test_zones_that_disagree_on_when_a_period_began_forget_nothing_by_turns(
    counters: Counted,
) -> None:
    here, there = (
        Quota("calendar-window", 9, 0, 9, unit="day", time_zone=zone)
        for zone in ("Europe/London", "Europe/Berlin")
    )
    counters.clock.now_us = at_us("2026-01-04T12:00:00Z")
    for _ in range(3):
        counters.take(here)
        counters.take(there)
    assert counters.used(there) == 6


def test_a_zone_is_the_packages_and_not_the_machines() -> None:
    """The machine's own would be tried first, and may be older, or none."""
    code = (
        "from policy.quota.periods import period; import sys;"
        "print(period('day', 'Europe/Berlin', int(sys.argv[1])).start_us)"
    )
    now = at_us("2026-07-01T12:00:00+02:00")
    command = [sys.executable, "-c", code, str(now)]
    found = subprocess.run(
        command, env={"PYTHONTZPATH": ""}, check=True, capture_output=True, text=True
    )
    assert int(found.stdout) == at_us("2026-07-01T00:00:00+02:00")


def test_the_servers_clock_decides_which_period_it_is(redis_url: str) -> None:
    """A collector whose clock is years behind finds out, and asks again."""
    quota = Quota("calendar-window", 3, 0, 3, unit="year")
    takes = (Take(uuid.uuid4().hex, quota, 1),)

    async def run() -> tuple[list[int], int]:
        right, wrong = RedisCounters(redis_url), RedisCounters(redis_url)
        wrong._ahead_us = -5 * 365 * 24 * HOUR
        left = [
            (await counters.charge(takes, 5))[0].remaining for counters in (right, wrong, wrong)
        ]
        await wrong.close()
        await right.close()
        return left, wrong._ahead_us

    left, ahead_us = asyncio.run(run())
    assert left == [2, 1, 0]
    assert abs(ahead_us) < HOUR
