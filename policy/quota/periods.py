"""Calendar periods in a time zone: the day, say, that an instant lies in.

A day begins at the first instant at which the zone's clock shows its date, and lasts 23, 24 or 25
hours, or whatever the zone's rules make of it. A week begins with Monday (ISO 8601), a month and a
year with their first day. Hours and minutes are counted from the beginning of the day, and are as
long as ever. Zones are those of PyPI's `tzdata`, whatever the machine has, so that all collectors
agree.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple
from zoneinfo import ZoneInfo

from policy.errors import InvalidRule

SECOND_US = 1_000_000
EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  # of no zone: what a zone's clock shows
PARTS_S = {"minute": 60, "hour": 3_600}


class Period(NamedTuple):
    """From `start_us`, and before `end_us`."""

    start_us: int
    end_us: int


@lru_cache(maxsize=1)
def known_zones() -> frozenset[str]:
    return frozenset((files("tzdata") / "zones").read_text("ascii").split())


@lru_cache(maxsize=1024)
def zone_of(name: str) -> ZoneInfo:
    """Raises InvalidRule."""
    if name not in known_zones():
        raise InvalidRule("/time_zone", f"{name!r} is no IANA time zone, such as Europe/Berlin")
    with (files("tzdata") / "zoneinfo").joinpath(*name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def around(unit: str, zone: str, now_us: int) -> tuple[int, int, int, int]:
    """The starts of the period before, of the one that holds `now_us`, and of the two after."""
    return around_second(unit, zone, now_us // SECOND_US)


def period(unit: str, zone: str, now_us: int) -> Period:
    _, start, end, _ = around(unit, zone, now_us)
    return Period(start, end)


@lru_cache(maxsize=1024)
def around_second(unit: str, zone: str, now_s: int) -> tuple[int, int, int, int]:
    """No zone's rules know parts of a second."""
    find = part_at if unit in PARTS_S else days_at
    start, end = find(unit, zone_of(zone), now_s)
    before, _ = find(unit, zone_of(zone), start - 1)
    _, after = find(unit, zone_of(zone), end)
    return before * SECOND_US, start * SECOND_US, end * SECOND_US, after * SECOND_US


def part_at(unit: str, zone: ZoneInfo, now_s: int) -> tuple[int, int]:
    day, next_day = days_at("day", zone, now_s)
    length = PARTS_S[unit]
    start = now_s - (now_s - day) % length
    return start, min(start + length, next_day)


def days_at(unit: str, zone: ZoneInfo, now_s: int) -> tuple[int, int]:
    """In whole days. A clock set back over midnight shows a date that had ended again: it has
    ended all the same."""
    first = FIRST[unit](shown(zone, now_s).date())
    following = NEXT[unit](first)
    while begins(zone, following) <= now_s:
        first, following = following, NEXT[unit](following)
    return begins(zone, first), begins(zone, following)


def shown(zone: ZoneInfo, at_s: int) -> datetime:
    """By the zone's clock."""
    return datetime.fromtimestamp(at_s, zone).replace(tzinfo=None)


@lru_cache(maxsize=1024)
def begins(zone: ZoneInfo, day: date) -> int:
    """The first second at which the clock shows this day or, where it is skipped, a later one."""
    midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001
    # In a gap the one takes the offset before it, the other the one after: both lie around it.
    late = second(midnight.replace(tzinfo=zone, fold=0))
    early = second(midnight.replace(tzinfo=zone, fold=1))
    if early >= late:
        return late
    while late - early > 1:
        middle = (early + late) // 2
        if shown(zone, middle) >= midnight:
            late = middle
        else:
            early = middle
    return late


def second(moment: datetime) -> int:
    return (moment.astimezone(UTC).replace(tzinfo=None) - EPOCH) // timedelta(seconds=1)


def next_month(first: date) -> date:
    return date(first.year + first.month // 12, first.month % 12 + 1, 1)


FIRST: dict[str, Callable[[date], date]] = {
    "day": lambda day: day,
    "week": lambda day: day - timedelta(days=day.weekday()),
    "month": lambda day: day.replace(day=1),
    "year": lambda day: day.replace(month=1, day=1),
}
NEXT: dict[str, Callable[[date], date]] = {
    "day": lambda day: day + timedelta(days=1),
    "week": lambda day: day + timedelta(days=7),
    "month": next_month,
    "year": lambda day: date(day.year + 1, 1, 1),
}
