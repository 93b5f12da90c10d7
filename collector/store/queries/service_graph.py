"""Which service calls which, how often, how badly, how slowly."""

from typing import NamedTuple

from collector.store.client import Store
from collector.store.queries.rollups import window
from collector.store.span_edges import span_edges

# A call is told of by the sidecar at its destination, by the one at its source, by both, by spans
# of both ends, or by its caller's span alone. The best teller of an edge is heard alone (LIMIT 1
# BY): what two tell is never added. What makes spans a call: see collector/store/matching.py.
# Percentiles: see migrations/clickhouse/0002_edges.sql for the buckets. They are told of the rows'
# buckets as they stand, which costs a third of adding maps up first (sumMap) and then asking.
SQL = """
WITH arrayMap(bucket -> exp2((bucket + 0.5) / 8) / 1000, buckets) AS percentiles_ms
SELECT
    source,
    destination,
    transform(teller, [1, 2], ['source', 'destination'], 'spans') AS reporter,
    requests,
    errors,
    denied,
    percentiles_ms[1] AS p50_ms,
    percentiles_ms[2] AS p95_ms,
    percentiles_ms[3] AS p99_ms,
    if(peer_kind = 'from queue', 'queue', '') AS source_kind,
    if(peer_kind = 'from queue', '', peer_kind) AS destination_kind
FROM
(
    SELECT *
    FROM
    (
        SELECT
            source,
            destination,
            toInt8(reporter) AS teller,
            '' AS peer_kind,
            sum(requests) AS requests,
            sum(errors) AS errors,
            sum(denied) AS denied,
            quantilesExactWeightedArray(0.5, 0.95, 0.99)(
                mapKeys(latency), mapValues(latency)
            ) AS buckets
        FROM {rollup}
        WHERE toStartOfHour(time) >= toStartOfHour(toDateTime(%(start_s)s))
            AND time >= toDateTime(%(start_s)s) AND time < toDateTime(%(end_s)s)
        GROUP BY source, destination, teller
        UNION ALL
        SELECT
            source,
            destination,
            toInt8(if(peer_kind = '', 0, -1)) AS teller,
            peer_kind,
            sum(requests) AS requests,
            sum(errors) AS errors,
            0. AS denied,
            quantilesExactWeightedArray(0.5, 0.95, 0.99)(
                mapKeys(latency), mapValues(latency)
            ) AS buckets
        FROM ({span_edges})
        WHERE source != ''
        GROUP BY source, destination, peer_kind
    )
    ORDER BY teller DESC, requests DESC
    LIMIT 1 BY source, destination
)
ORDER BY requests DESC, source, destination
LIMIT %(limit)s
"""


class Edge(NamedTuple):
    """Calls from one service to another. `reporter`: destination, source, or spans.

    A kind is database, queue or host, of an end that is known only by what the other calls it; of a
    service it is empty.
    """

    source: str
    destination: str
    reporter: str
    requests: float
    errors: float
    denied: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    source_kind: str = ""
    destination_kind: str = ""


def service_graph(store: Store, start_ns: int, end_ns: int, limit: int = 500) -> list[Edge]:
    """The busiest `limit` edges of [start_ns, end_ns), widened to whole rows of the rollup.

    Most requests first. Denied requests are counted as such, not as errors. Raises StoreDown.
    """
    asked = window(start_ns, end_ns)
    told, params = span_edges(store, asked)
    sql = SQL.format(rollup=asked.rollup.edges, span_edges=told)
    return [Edge(*row) for row in store.rows(sql, {**params, "limit": limit})]
