"""What the operations of each service did: rate, errors, duration, of their spans."""

from typing import NamedTuple

from collector.store.client import Store
from collector.store.queries.rollups import window

SQL = """
WITH arrayMap(
    bucket -> exp2((bucket + 0.5) / 8) / 1000,
    quantilesExactWeightedArray(0.5, 0.95, 0.99)(mapKeys(latency), mapValues(latency))
) AS percentiles_ms
SELECT
    service,
    name,
    kind,
    sum(spans) AS spans,
    sum(errors) AS errors,
    sum(duration_ns) / 1e6 / greatest(spans, 1) AS mean_ms,
    percentiles_ms[1] AS p50_ms,
    percentiles_ms[2] AS p95_ms,
    percentiles_ms[3] AS p99_ms
FROM {rollup}
WHERE toStartOfHour(time) >= toStartOfHour(toDateTime(%(start_s)s))
    AND time >= toDateTime(%(start_s)s) AND time < toDateTime(%(end_s)s)
    AND (%(service)s = '' OR service = %(service)s)
GROUP BY service, name, kind
HAVING spans > 0
ORDER BY spans DESC, service, name, kind
LIMIT %(limit)s
"""


class Operation(NamedTuple):
    """One operation of one service in the window; a percentile is at most 4.5 % off."""

    service: str
    name: str
    kind: int  # OTLP SpanKind
    spans: float
    errors: float
    mean_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float


def operations(
    store: Store, start_ns: int, end_ns: int, service: str = "", limit: int = 500
) -> list[Operation]:
    """The busiest first, of the window widened to whole rows of the rollup. Raises StoreDown."""
    asked = window(start_ns, end_ns)
    params = {**asked.params, "service": service, "limit": limit}
    return [
        Operation(*row) for row in store.rows(SQL.format(rollup=asked.rollup.operations), params)
    ]
