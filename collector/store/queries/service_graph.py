"""Which service calls which, how often, how badly, how slowly."""

from typing import NamedTuple

from collector.store.client import Store
from collector.store.queries.rollups import window

# A call is told of by the sidecar at its destination, by the one at its source, by both, or only
# by spans. The best teller of an edge is heard alone (LIMIT 1 BY): what two tell is never added.
# A span whose parent belongs to another service is a call between the two, but for the caller's own
# kinds, client and producer, and for checks, which weigh nothing. A shared span's caller has the
# same id, not the parent's; and what has a shared span for a parent was called by its server.
# Callers are looked for an hour further back than calls: a parent starts before its child. Of more
# than 2 million spans one trace in `every` is read, and counts for that many.
# toDateTime64, since a DateTime64 compared with a DateTime loses its fraction, and rows an end's
# second. Percentiles: see migrations/clickhouse/0002_edges.sql for the buckets.
SQL = """
WITH
(
    SELECT greatest(1, toUInt64(ceil(count() / 2000000)))
    FROM spans
    WHERE toStartOfFiveMinutes(time) >= toStartOfFiveMinutes(toDateTime(%(start_s)s))
        AND time >= toDateTime64(%(start_s)s, 9) AND time < toDateTime64(%(end_s)s, 9)
) AS every,
arrayMap(
    bucket -> exp2((bucket + 0.5) / 8) / 1000,
    arrayReduce('quantilesExactWeighted(0.5, 0.95, 0.99)', mapKeys(latency), mapValues(latency))
) AS percentiles_ms
SELECT
    source,
    destination,
    transform(teller, [1, 2], ['source', 'destination'], 'spans') AS reporter,
    requests,
    errors,
    denied,
    percentiles_ms[1] AS p50_ms,
    percentiles_ms[2] AS p95_ms,
    percentiles_ms[3] AS p99_ms
FROM
(
    SELECT *
    FROM
    (
        SELECT
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
        GROUP BY source, destination, teller
        UNION ALL
        SELECT
            if(callee.shared OR caller.server = '', caller.client, caller.server) AS source,
            callee.service AS destination,
            toInt8(0) AS teller,
            sum(callee.weight * every) AS requests,
            sum(callee.weight * every * callee.error) AS errors,
            0. AS denied,
            sumMap(map(callee.bucket, toUInt64(round(callee.weight * every)))) AS latency
        FROM
        (
            SELECT
                trace_id,
                shared,
                if(shared, span_id, parent_id) AS caller_id,
                service,
                error,
                weight,
                floor(log2(greatest(duration_ns, 1000) / 1000.) * 8) AS octave8,
                toUInt8(least(255, greatest(0, toInt64(octave8)))) AS bucket
            FROM spans
            WHERE kind NOT IN (3, 4) AND weight > 0 AND caller_id != 0
                AND sipHash64(trace_id) %% every = 0
                AND toStartOfFiveMinutes(time) >= toStartOfFiveMinutes(toDateTime(%(start_s)s))
                AND time >= toDateTime64(%(start_s)s, 9) AND time < toDateTime64(%(end_s)s, 9)
        ) AS callee
        ALL INNER JOIN
        (
            SELECT
                trace_id,
                span_id,
                anyIf(service, kind IN (3, 4)) AS client,
                anyIf(service, kind NOT IN (3, 4)) AS server
            FROM spans
            WHERE sipHash64(trace_id) %% every = 0
                AND toStartOfFiveMinutes(time)
                    >= toStartOfFiveMinutes(toDateTime(%(start_s)s - 3600))
                AND time >= toDateTime64(%(start_s)s - 3600, 9)
                AND time < toDateTime64(%(end_s)s, 9)
            GROUP BY trace_id, span_id
        ) AS caller
        ON callee.trace_id = caller.trace_id AND callee.caller_id = caller.span_id
        WHERE source != '' AND source != callee.service
        GROUP BY source, destination
    )
    ORDER BY teller DESC
    LIMIT 1 BY source, destination
)
ORDER BY requests DESC, source, destination
LIMIT %(limit)s
"""


class Edge(NamedTuple):
    """Calls from one service to another. `reporter`: destination, source, or spans."""

    source: str
    destination: str
    reporter: str
    requests: float
    errors: float
    denied: float
    p50_ms: float
    p95_ms: float
    p99_ms: float


def service_graph(store: Store, start_ns: int, end_ns: int, limit: int = 500) -> list[Edge]:
    """The busiest `limit` edges of [start_ns, end_ns), widened to whole rows of the rollup.

    Most requests first. Denied requests are counted as such, not as errors. Raises StoreDown.
    """
    asked = window(start_ns, end_ns)
    sql = SQL.format(rollup=asked.rollup.edges)
    return [Edge(*row) for row in store.rows(sql, {**asked.params, "limit": limit})]
