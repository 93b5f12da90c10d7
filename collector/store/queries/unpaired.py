"""Calls that spans tell of and of which one end is not known, by service and reason."""

from typing import NamedTuple

from collector.store.client import Store
from collector.store.matching import CALLS
from collector.store.open_minutes import NONE
from collector.store.queries.rollups import window
from collector.store.span_edges import open_ones

# What a `reason` of collector/store/matching.py means.
WHY = {
    "caller_missing": "a parent is named and its span is not there: not sampled, lost, or late",
    "no_peer": "nobody answered, and the span names neither a service, a host nor a queue",
}

SETTLED = """
SELECT service, reason, u.spans AS spans
FROM unpaired_spans AS u
WHERE toStartOfHour(time) >= toStartOfHour(toDateTime(%(start_s)s))
    AND time >= toStartOfMinute(toDateTime(%(start_s)s)) AND time < toDateTime(%(end_s)s)
    AND time NOT IN %(minutes)s
    AND (time, version) IN
    (
        SELECT time, max(version)
        FROM edge_settlements
        WHERE grain = '1m' AND time >= toStartOfMinute(toDateTime(%(start_s)s))
            AND time < toDateTime(%(end_s)s)
        GROUP BY time
    )
"""

MATCHED = (
    """
UNION ALL
SELECT if(destination = '', source, destination) AS service, reason, weight * %(every)s AS spans
FROM
("""
    + CALLS.format(spans="half_edges")
    + """)
WHERE reason != ''
"""
)

SQL = """
SELECT service, reason, sum(spans) AS calls
FROM ({unpaired})
GROUP BY service, reason
ORDER BY calls DESC, service, reason
LIMIT %(limit)s
"""


class Unpaired(NamedTuple):
    """`service`: whose span it is. `reason`: a key of `WHY`."""

    service: str
    reason: str
    calls: float


def unpaired(store: Store, start_ns: int, end_ns: int, limit: int = 100) -> list[Unpaired]:
    """Of [start_ns, end_ns) in whole minutes, most calls first; 30 days back. Raises StoreDown."""
    asked = window(start_ns, end_ns)
    params = {**asked.params, "minutes": NONE, "limit": limit, **open_ones(store, asked)}
    parts = SETTLED if params["minutes"] == NONE else SETTLED + MATCHED
    return [Unpaired(*row) for row in store.rows(SQL.format(unpaired=parts), params)]
