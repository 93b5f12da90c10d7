"""How long requests took over time: rates, percentiles, and how many fell in each bucket."""

from collections.abc import Mapping
from typing import NamedTuple

from collector.store.client import Store
from collector.store.queries.rollups import window
from collector.store.span_edges import span_edges

# Who tells of a call is chosen as in service_graph.py, once for the whole window: two clocks put
# a call in different steps. Spans are heard only of a destination nobody reports on; there, a
# server span without a caller is a call from outside, of which the source is empty.
SQL = """
WITH
sumMap(latency) AS counts,
arrayMap(
    bucket -> exp2((bucket + 0.5) / 8) / 1000,
    arrayReduce('quantilesExactWeighted(0.5, 0.95, 0.99)', mapKeys(counts), mapValues(counts))
) AS percentiles_ms
SELECT
    step_s,
    sum(requests) AS requests,
    sum(errors) AS errors,
    sum(denied) AS denied,
    percentiles_ms[1] AS p50_ms,
    percentiles_ms[2] AS p95_ms,
    percentiles_ms[3] AS p99_ms,
    counts
FROM
(
    SELECT
        *,
        max(teller) OVER (PARTITION BY source, destination) AS best_teller,
        max(teller) OVER (PARTITION BY destination) > 0 AS reported
    FROM
    (
        SELECT
            intDiv(toUnixTimestamp(time), %(step_s)s) * %(step_s)s AS step_s,
            source,
            destination,
            toInt8(reporter) AS teller,
            sum(requests) AS requests,
            sum(errors) AS errors,
            sum(denied) AS denied,
            sumMap(latency) AS latency
        FROM {rollup}
        WHERE toStartOfHour(time) >= toStartOfHour(toDateTime(%(start_s)s))
            AND time >= toDateTime(%(start_s)s) AND time < toDateTime(%(end_s)s)
            AND (%(source)s = '' OR source = %(source)s)
            AND (%(destination)s = '' OR destination = %(destination)s)
        GROUP BY step_s, source, destination, teller
        UNION ALL
        SELECT
            intDiv(toUnixTimestamp(time), %(step_s)s) * %(step_s)s AS step_s,
            source,
            destination,
            toInt8(if(peer_kind = '', 0, -1)) AS teller,
            sum(requests) AS requests,
            sum(errors) AS errors,
            0. AS denied,
            sumMap(latency) AS latency
        FROM ({span_edges})
        WHERE (%(source)s = '' OR source = %(source)s)
            AND (%(destination)s = '' OR destination = %(destination)s)
        GROUP BY step_s, source, destination, teller
    )
)
WHERE teller = best_teller AND (teller > 0 OR NOT reported)
GROUP BY step_s
ORDER BY step_s
"""


class Moment(NamedTuple):
    """One step of the time axis that had requests.

    `counts`: requests by bucket b, which holds durations of [2^(b/8), 2^((b+1)/8)) microseconds.
    """

    start_s: int
    requests: float
    errors: float
    denied: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    counts: Mapping[int, int]


class Latency(NamedTuple):
    """`steps`: when each step of the time axis begins, with requests or without."""

    steps: range
    moments: list[Moment]


def latency(
    store: Store, start_ns: int, end_ns: int, source: str = "", destination: str = ""
) -> Latency:
    """Of calls from `source` to `destination` in the window; an empty one stands for any.

    The window is widened to whole rows of the rollup. Raises StoreDown.
    """
    asked = window(start_ns, end_ns)
    told, params = span_edges(store, asked)
    sql = SQL.format(rollup=asked.rollup.edges, span_edges=told)
    params = {**params, "source": source, "destination": destination}
    return Latency(asked.steps, [Moment(*row) for row in store.rows(sql, params)])
