"""The edges that spans tell of: settled minutes as their rollups have them, open ones matched."""

import time

from collector.store.client import Store
from collector.store.matching import CALLS, LOOK_BACK, MINUTE_S, matching
from collector.store.open_minutes import (
    HALVES_KEPT_S,
    NONE,
    UNSETTLED,
    OpenMinute,
    open_minutes,
    touched,
)
from collector.store.queries.rollups import HOUR_S, Window

# How many spans a question matches itself. Of more, minutes that were settled are told as they
# were then, seconds ago. Those that never were are matched all the same, up to a second's
# work, and beyond that one trace in so many counts for all.
MATCHED_AT_ONCE = 20_000
MATCHED_AT_MOST = 200_000
LOOKED_THROUGH = 1_000_000  # spans before theirs, for callers

SETTLED = """
SELECT time, source, destination, peer_kind, requests, errors, latency
FROM {rollup}
WHERE toStartOfHour(time) >= toStartOfHour(toDateTime(%(start_s)s))
    AND time >= toDateTime(%(start_s)s) AND time < toDateTime(%(end_s)s)
    AND (toStartOfMinute(time), version) IN
    (
        SELECT time, max(version)
        FROM edge_settlements
        WHERE grain = '1m' AND time >= toStartOfMinute(toDateTime(%(start_s)s))
            AND time < toDateTime(%(end_s)s)
        GROUP BY time
    )
    AND toStartOfMinute(time) NOT IN %(minutes)s
"""

# An hour holds while its minutes are those it was made of; else its minutes tell.
SETTLED_HOURS = """
WITH
minutes AS
(
    SELECT time, max(s.version) AS version
    FROM edge_settlements AS s
    WHERE grain = '1m' AND time >= toDateTime(%(start_s)s) AND time < toDateTime(%(end_s)s)
    GROUP BY time
),
hours AS
(
    SELECT hours.time AS time, hours.version AS version
    FROM
    (
        SELECT time, max(s.version) AS version, argMax(s.basis, s.version) AS basis
        FROM edge_settlements AS s
        WHERE grain = '1h' AND time >= toDateTime(%(start_s)s) AND time < toDateTime(%(end_s)s)
        GROUP BY time
    ) AS hours
    LEFT ANY JOIN
    (
        SELECT toStartOfHour(time) AS time, sum(version) AS basis
        FROM minutes
        GROUP BY time
    ) AS whole
    ON hours.time = whole.time
    WHERE hours.basis = whole.basis
        AND hours.time NOT IN %(open_hours)s
)
SELECT time, source, destination, peer_kind, requests, errors, latency
FROM span_edges_1h
WHERE time >= toDateTime(%(start_s)s) AND time < toDateTime(%(end_s)s)
    AND (time, version) IN (SELECT time, version FROM hours)
UNION ALL
SELECT time, source, destination, peer_kind, requests, errors, latency
FROM span_edges_1m
WHERE toStartOfHour(time) >= toStartOfHour(toDateTime(%(start_s)s))
    AND time >= toDateTime(%(start_s)s) AND time < toDateTime(%(end_s)s)
    AND (time, version) IN (SELECT time, version FROM minutes)
    AND toStartOfHour(time) NOT IN (SELECT time FROM hours)
    AND time NOT IN %(minutes)s
"""

MATCHED = (
    """
UNION ALL
SELECT
    toDateTime(time) AS time,
    source,
    destination,
    peer_kind,
    weight * %(every)s AS requests,
    error * weight * %(every)s AS errors,
    map(
        toUInt8(least(
            255,
            greatest(0, toInt64(floor(log2(greatest(duration_ns, 1000) / 1000.) * 8)))
        )),
        toUInt64(round(weight * %(every)s))
    ) AS latency
FROM
("""
    + CALLS.format(spans="half_edges")
    + """)
WHERE counted
    AND time >= toDateTime64(%(start_s)s, 9) AND time < toDateTime64(%(end_s)s, 9)
"""
)

REOPENED = """
SELECT
    toUnixTimestamp(minute) AS minute_s,
    sum(spans) AS spans,
    max(shared) AS shared,
    2 AS version,
    spans AS basis
FROM span_minutes
WHERE toUnixTimestamp(minute) IN %(minutes)s
GROUP BY minute
"""

BEFORE = """
SELECT toUnixTimestamp(minute) AS minute_s, sum(spans) AS spans
FROM span_minutes
WHERE minute >= toDateTime(%(first_s)s) AND minute < toDateTime(%(end_s)s)
GROUP BY minute
ORDER BY minute_s DESC
"""


def to_match(store: Store, asked: Window) -> list[OpenMinute]:
    """Minutes of the window to be matched by whoever asks."""
    first_s = asked.start_s // MINUTE_S * MINUTE_S
    first_s = max(first_s, int(time.time()) - HALVES_KEPT_S)
    reach_s = LOOK_BACK * MINUTE_S
    opened = open_minutes(store, first_s - reach_s, asked.end_s + reach_s)
    here = [each for each in opened if first_s <= each.minute_s < asked.end_s]
    also = touched(store, opened, first_s, asked.end_s)
    if also:
        here += reopened(store, also)
    if sum(each.spans for each in here) > MATCHED_AT_ONCE:
        here = [each for each in here if each.version <= UNSETTLED]
    return sorted(here)


def reopened(store: Store, minutes: set[int]) -> list[OpenMinute]:
    params = {"minutes": tuple(minutes)}
    return [OpenMinute(*row) for row in store.rows(REOPENED, params)]


def look_back(store: Store, first_s: int) -> int:
    """How many minutes are looked through for callers: an hour, if there is not too much in it."""
    rows = store.rows(BEFORE, {"first_s": first_s - LOOK_BACK * MINUTE_S, "end_s": first_s})
    looked = 0
    for minute_s, spans in rows:
        looked += spans
        if looked > LOOKED_THROUGH:
            return max(1, (first_s - int(minute_s)) // MINUTE_S - 1)
    return LOOK_BACK


def span_edges(store: Store, asked: Window) -> tuple[str, dict[str, object]]:
    """A subquery of the rows of the window, and its parameters; several rows may be of one edge.

    Columns: time, source (empty: not known), destination, peer_kind, requests, errors, latency.
    Raises StoreDown.
    """
    found = open_ones(store, asked)
    by_hour = asked.rollup.grain == "1h"
    settled = SETTLED_HOURS if by_hour else SETTLED.format(rollup=f"span_{asked.rollup.edges}")
    if not found:
        return settled, {**asked.params, "minutes": NONE, "open_hours": NONE}
    return settled + MATCHED, {**asked.params, **found}


def open_ones(store: Store, asked: Window) -> dict[str, object]:
    """Parameters of `CALLS` for what is to be matched, and `open_hours`; empty when nothing is."""
    minutes = to_match(store, asked)
    if not minutes:
        return {}
    starts = [each.minute_s for each in minutes]
    every = -(-sum(each.spans for each in minutes) // MATCHED_AT_MOST)
    open_hours = tuple({start // HOUR_S * HOUR_S for start in starts})
    return {"open_hours": open_hours, **matching(starts, every, look_back(store, starts[0]))}
