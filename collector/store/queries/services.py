"""Which services were heard of in a window, as caller or called."""

from typing import NamedTuple

from collector.store.client import Store
from collector.store.queries.rollups import window

SQL = """
SELECT
    service,
    max(called) AS called
FROM
(
    SELECT source AS service, 0 AS called
    FROM {rollup}
    WHERE toStartOfHour(time) >= toStartOfHour(toDateTime(%(start_s)s))
        AND time >= toDateTime(%(start_s)s) AND time < toDateTime(%(end_s)s)
    GROUP BY service
    UNION ALL
    SELECT destination AS service, 1 AS called
    FROM {rollup}
    WHERE toStartOfHour(time) >= toStartOfHour(toDateTime(%(start_s)s))
        AND time >= toDateTime(%(start_s)s) AND time < toDateTime(%(end_s)s)
    GROUP BY service
    UNION ALL
    SELECT service, max(kind IN (2, 5)) AS called
    FROM {operations}
    WHERE toStartOfHour(time) >= toStartOfHour(toDateTime(%(start_s)s))
        AND time >= toDateTime(%(start_s)s) AND time < toDateTime(%(end_s)s)
    GROUP BY service
)
GROUP BY service
ORDER BY service
LIMIT 2000
"""


class Service(NamedTuple):
    """`called`: it answered requests; else it is known only as a caller."""

    name: str
    called: bool


def services(store: Store, start_ns: int, end_ns: int) -> list[Service]:
    """Those of the window, widened to whole rows of the rollup, by name. Raises StoreDown."""
    asked = window(start_ns, end_ns)
    sql = SQL.format(rollup=asked.rollup.edges, operations=asked.rollup.operations)
    rows = store.rows(sql, asked.params)
    return [Service(name, bool(called)) for name, called in rows]
