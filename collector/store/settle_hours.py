"""Hours that have passed, made of their minutes, and anew when one of these was settled anew."""

from collector.store.client import Store

HOUR_S = 3_600
LATE_S = 120  # how long after its end an hour is made: most of what is late has come by then
HOURS_AT_ONCE = 24

# Those whose minutes are not what they were made of.
OPEN_HOURS = """
SELECT toUnixTimestamp(minutes.hour) AS hour_s, minutes.basis AS basis
FROM
(
    SELECT toStartOfHour(time) AS hour, sum(version) AS basis
    FROM
    (
        SELECT time, max(s.version) AS version
        FROM edge_settlements AS s
        WHERE grain = '1m' AND time >= toDateTime(%(first_s)s) AND time < toDateTime(%(end_s)s)
        GROUP BY time
    )
    GROUP BY hour
) AS minutes
LEFT ANY JOIN
(
    SELECT time AS hour, argMax(s.basis, s.version) AS basis
    FROM edge_settlements AS s
    WHERE grain = '1h' AND time >= toDateTime(%(first_s)s) AND time < toDateTime(%(end_s)s)
    GROUP BY time
) AS hours
ON minutes.hour = hours.hour
WHERE minutes.basis != hours.basis
ORDER BY hour_s DESC
LIMIT %(limit)s
"""

ROLL_UP = """
INSERT INTO span_edges_1h (
    time, version, source, destination, peer_kind, requests, errors, duration_ns, latency
)
SETTINGS insert_deduplication_token = %(token)s
SELECT
    toDateTime(%(hour_s)s) AS time,
    %(version)s AS version,
    source,
    destination,
    peer_kind,
    sum(m.requests) AS requests,
    sum(m.errors) AS errors,
    sum(m.duration_ns) AS duration_ns,
    sumMap(m.latency) AS latency
FROM span_edges_1m AS m
WHERE toStartOfHour(m.time) = toDateTime(%(hour_s)s)
    AND (m.time, m.version) IN
    (
        SELECT time, max(version)
        FROM edge_settlements
        WHERE grain = '1m' AND toStartOfHour(time) = toDateTime(%(hour_s)s)
        GROUP BY time
    )
GROUP BY source, destination, peer_kind
"""


def settle_hours(store: Store, first_s: int, now_s: int, version: int) -> int:
    """The newest that are due, in [first_s, now_s); how many. Raises StoreDown, StoreError."""
    params = {
        "first_s": -(-first_s // HOUR_S) * HOUR_S,
        "end_s": (now_s - LATE_S) // HOUR_S * HOUR_S,
        "limit": HOURS_AT_ONCE,
    }
    due = store.rows(OPEN_HOURS, params)
    for hour_s, basis in due:
        token = f"settle:{version}:{hour_s}:1h"
        made = {"hour_s": hour_s, "version": version, "token": token}
        store.command(ROLL_UP, made)
        settlement = {"grain": ["1h"], "time": [hour_s], "version": [version], "basis": [basis]}
        store.insert("edge_settlements", settlement, token=token)
    return len(due)
