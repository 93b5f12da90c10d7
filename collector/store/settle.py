"""Settling: the edges of open minutes are matched and written, each time as a new version.

It may be done at any time, and again: rows are in force by the settlement that names their
version, which is written last, and a minute that got spans since is open once more.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from collector.store.client import Store
from collector.store.matching import CALLS, MINUTE_S, matching
from collector.store.open_minutes import (
    HALVES_KEPT_S,
    UNSETTLED,
    OpenMinute,
    open_minutes,
    spanned,
    touched,
    touched_long_ago,
)
from collector.store.settle_hours import settle_hours
from collector.store.span_edges import MATCHED_AT_ONCE

KEPT_S = 7 * 86_400 - 3_600  # spans that are older expire
AHEAD_S = 3_600
SETTLED_AT_ONCE = 1_000_000  # spans; what is left is for the next time
TIMEOUT_S = 300.0
GROWN = 1.5
AGAIN_NS = 30_000_000_000

NEWEST_VERSION = """
SELECT max(version)
FROM edge_settlements
WHERE time >= toDateTime(%(first_s)s)
"""

SPANS = """
SELECT
    toUnixTimestamp(toStartOfMinute(time)) AS minute_s,
    count() AS spans
FROM {spans}
WHERE toStartOfMinute(time) IN %(minutes)s
    AND time >= toDateTime64(%(open_s)s, 9) AND time < toDateTime64(%(open_end_s)s, 9)
GROUP BY minute_s
"""

MATCH = (
    """
INSERT INTO matched_calls (
    version, time, source, destination, peer_kind, counted, reason, wanted, span_id,
    error, weight, duration_ns
)
SETTINGS insert_deduplication_token = %(token)s
SELECT
    %(version)s AS version,
    toDateTime(time) AS time,
    source,
    destination,
    peer_kind,
    counted,
    reason,
    wanted,
    span_id,
    error,
    weight,
    duration_ns
FROM
("""
    + CALLS
    + ")"
)


class Settled(NamedTuple):
    """How many minutes and hours were written, and how many minutes are left for the next time."""

    minutes: int
    hours: int
    left: int


def settle(store: Store, now_ns: int) -> Settled:
    """The newest minutes that are open, as many as one does at once, then hours that have passed.

    Raises StoreDown, StoreError.
    """
    now_s = now_ns // 1_000_000_000
    first_s, end_s = now_s - KEPT_S, now_s + AHEAD_S
    recent_s = (now_s - HALVES_KEPT_S) // MINUTE_S * MINUTE_S
    opened = open_minutes(store, first_s, end_s)
    ((newest,),) = store.rows(NEWEST_VERSION, {"first_s": first_s})
    version = max(now_ns, newest + 1)
    chosen = as_many([each for each in opened if due(each, now_ns)])
    again = touched(store, [each for each in opened if each.minute_s >= recent_s], recent_s, end_s)
    for each in chosen:
        if each.minute_s < recent_s and each.version != UNSETTLED:
            again |= touched_long_ago(store, each.minute_s)
    again -= {each.minute_s for each in opened}
    settle_minutes(store, chosen, sorted(again), recent_s, version)
    hours = settle_hours(store, first_s, now_s, version)
    return Settled(len(chosen) + len(again), hours, len(opened) - len(chosen))


def due(minute: OpenMinute, now_ns: int) -> bool:
    """A minute is settled when it is over; anew half a minute later, or when it has grown by half.

    One that is not over is settled only when it is too big to be matched by whoever asks.
    """
    if minute.version > UNSETTLED:
        grown = minute.spans >= GROWN * minute.basis
        return grown or now_ns - minute.version >= AGAIN_NS
    over = (minute.minute_s + MINUTE_S) * 1_000_000_000 <= now_ns
    return over or minute.spans > MATCHED_AT_ONCE


def as_many(opened: Sequence[OpenMinute]) -> list[OpenMinute]:
    """The newest, one at least, in the order of time."""
    spans = 0
    chosen: list[OpenMinute] = []
    for each in reversed(opened):
        spans += each.spans
        if chosen and spans > SETTLED_AT_ONCE:
            break
        chosen.append(each)
    return chosen[::-1]


def settle_minutes(
    store: Store, chosen: Sequence[OpenMinute], again: Sequence[int], recent_s: int, version: int
) -> None:
    """Each from `half_edges` where that has all its spans, else from `spans`."""
    expected = {each.minute_s: each.spans for each in chosen}
    minutes = sorted({*expected, *again})
    halves = counted(store, "half_edges", [each for each in minutes if each >= recent_s])
    whole = [each for each in halves if halves[each] >= expected.get(each, 0)]
    for run in runs(sorted(whole)):
        settle_run(store, "half_edges", run, halves, version)
    others = sorted(set(minutes) - set(whole))
    in_spans = counted(store, "spans", others)
    for run in runs(others):
        settle_run(store, "spans", run, in_spans, version)


def settle_run(
    store: Store, spans: str, run: Sequence[int], counts: dict[int, int], version: int
) -> None:
    """Minutes that follow each other. `counts` is as before they are matched."""
    token = f"settle:{version}:{run[0]}"
    params = {**matching(run), "version": version, "token": token}
    store.command(MATCH.format(spans=spans), params, timeout_s=TIMEOUT_S)
    settlement: dict[str, list[Any]] = {
        "grain": ["1m"] * len(run),
        "time": list(run),
        "version": [version] * len(run),
        "basis": [counts.get(minute, 0) for minute in run],
    }
    store.insert("edge_settlements", settlement, token=token)


def counted(store: Store, spans: str, minutes: Sequence[int]) -> dict[int, int]:
    """How many spans each of the minutes has in that table."""
    if not minutes:
        return {}
    return dict(store.rows(SPANS.format(spans=spans), spanned(minutes)))


def runs(minutes: Sequence[int]) -> Iterator[list[int]]:
    """Those that follow each other, together."""
    numbered = enumerate(minutes)
    for _, run in groupby(numbered, lambda each: each[1] - each[0] * MINUTE_S):
        yield [minute for _, minute in run]
