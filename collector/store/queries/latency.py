"""How long requests took over time: rates, percentiles, and how many fell in each bucket."""

from collections.abc import Mapping
from typing import NamedTuple

from collector.store.client import Store
from collector.store.queries.rollups import window

# Who tells of a call is chosen as in service_graph.py, once for the whole window: two clocks put
# a call in different steps. Spans are heard only of a destination nobody reports on; there, a
# server span without a parent elsewhere is a call from outside.
SQL = """
WITH
(
    SELECT greatest(1, toUInt64(ceil(count() / 2000000)))
    FROM spans
    WHERE toStartOfFiveMinutes(time) >= toStartOfFiveMinutes(toDateTime(%(start_s)s))
        AND time >= toDateTime64(%(start_s)s, 9) AND time < toDateTime64(%(end_s)s, 9)
        AND (%(destination)s = '' OR service = %(destination)s)
) AS every,
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
            intDiv(toUnixTimestamp(callee.time), %(step_s)s) * %(step_s)s AS step_s,
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
                time,
                trace_id,
                shared,
                if(shared, span_id, parent_id) AS caller_id,
                service,
                kind,
                error,
                weight,
                floor(log2(greatest(duration_ns, 1000) / 1000.) * 8) AS octave8,
                toUInt8(least(255, greatest(0, toInt64(octave8)))) AS bucket
            FROM spans
            WHERE kind NOT IN (3, 4) AND weight > 0 AND sipHash64(trace_id) %% every = 0
                AND toStartOfFiveMinutes(time) >= toStartOfFiveMinutes(toDateTime(%(start_s)s))
                AND time >= toDateTime64(%(start_s)s, 9) AND time < toDateTime64(%(end_s)s, 9)
                AND (%(destination)s = '' OR service = %(destination)s)
        ) AS callee
        LEFT ANY JOIN
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
        WHERE source != callee.service
            AND (source != '' OR callee.kind IN (2, 5))
            AND (%(source)s = '' OR source = %(source)s)
        GROUP BY step_s, source, destination
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
    sql = SQL.format(rollup=asked.rollup.edges)
    params = {**asked.params, "source": source, "destination": destination}
    return Latency(asked.steps, [Moment(*row) for row in store.rows(sql, params)])
