"""How much the series of a metric rose, and how fast: sums that only rise, histograms, summaries.

Cumulative points are differenced here, when they are asked for, and an answer depends on which
points are stored and on nothing else: not on the order in which they came, not on one of them
coming twice, nor on who inserted them.
Source: the OpenTelemetry metrics data model, "Resets and gaps"
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from collector.store.client import Store
from collector.store.queries.rollups import STEPS_S

LOOK_S = 3600

# A point of a run (all that have one `began`) tells of the time since the point before it; what
# fell has begun anew in between. The first point of a run tells of the time since the run began;
# but many senders say of every series that it began when they did, so if they told anything since
# then, a series that was not told was 0. If they did not, and the run is older than what is looked
# at, that first point is a base and tells nothing.
# What a sender tells at one time may be some milliseconds apart: half a second is the same time.
# A point that came twice rises by nothing the second time; a delta is taken once.
# A rise is spread evenly over the time it is of. Points are looked for an hour beyond the window.
SQL = """
WITH
toInt64(%(start_s)s) * 1000000000 AS window_start,
toInt64(%(end_s)s) * 1000000000 AS window_end,
toInt64(%(step_s)s) * 1000000000 AS step,
window_start - toInt64(%(look_s)s) * 1000000000 AS read_start,
toStartOfHour(toDateTime(%(start_s)s - %(look_s)s)) AS first_hour,
toStartOfHour(toDateTime(%(end_s)s + %(look_s)s)) AS last_hour
SELECT
    rate.series AS series,
    service,
    node,
    attributes,
    kind,
    unit,
    increase,
    sum_increase,
    bounds,
    buckets,
    by_step
FROM
(
    SELECT
        series,
        sum(increase_here) AS increase,
        sum(sum_increase_here) AS sum_increase,
        argMax(bounds, last) AS bounds,
        argMax(buckets_here, last) AS buckets,
        sumMap(by_step_here) AS by_step
    FROM
    (
        SELECT
            series,
            bounds,
            max(at) AS last,
            sumIf(rise * within, place = first_place) AS increase_here,
            sumIf(sum_rise * within, place = first_place) AS sum_increase_here,
            sumForEachIf(
                arrayMap(rise -> rise * within, bucket_rises),
                place = first_place
            ) AS buckets_here,
            sumMapIf(
                map(toUInt32(intDiv(place * step, 1000000000)), rise * share),
                rise > 0
            ) AS by_step_here
        FROM
        (
            SELECT
                *,
                intDiv(first_ns, step) AS first_place,
                intDiv(greatest(last_ns - 1, first_ns), step) AS last_place,
                arrayJoin(range(first_place, last_place + 1)) AS place,
                if(since = at, 1., (last_ns - first_ns) / (at - since)) AS within,
                if(
                    since = at,
                    1.,
                    (least(last_ns, (place + 1) * step) - greatest(first_ns, place * step))
                        / (at - since)
                ) AS share
            FROM
            (
                SELECT
                    series,
                    at,
                    bounds,
                    toUnixTimestamp64Nano(told.time) AS told_before,
                    least(at, multiIf(
                        temporality = 'delta', if(began = 0, at, began),
                        goes_on, before,
                        greatest(began, told_before)
                    )) AS since,
                    greatest(since, window_start) AS first_ns,
                    least(at, window_end) AS last_ns,
                    temporality = 'cumulative' AND goes_on AND NOT fell AS less,
                    greatest(
                        0.,
                        toFloat64(integer - less * integer_before)
                            + (double - less * double_before)
                            + toFloat64(observations - less * observations_before)
                    ) AS rise,
                    ifNull(sum, 0) - less * ifNull(sum_before, 0) AS sum_rise,
                    multiIf(
                        NOT less, arrayMap(count -> toFloat64(count), buckets),
                        bounds != bounds_before, [],
                        arrayMap(
                            (count, count_before) -> greatest(0., toFloat64(count) - count_before),
                            buckets,
                            buckets_before
                        )
                    ) AS bucket_rises
                FROM
                (
                    SELECT
                        *,
                        lagInFrame(at) OVER run_so_far AS before,
                        row_number() OVER run_so_far > 1 AS goes_on,
                        lagInFrame(integer) OVER run_so_far AS integer_before,
                        lagInFrame(double) OVER run_so_far AS double_before,
                        lagInFrame(observations) OVER run_so_far AS observations_before,
                        lagInFrame(sum) OVER run_so_far AS sum_before,
                        lagInFrame(bounds) OVER run_so_far AS bounds_before,
                        lagInFrame(buckets) OVER run_so_far AS buckets_before,
                        integer + double < integer_before + double_before
                            OR observations < observations_before AS fell
                    FROM
                    (
                        SELECT
                            series,
                            sender,
                            temporality,
                            toUnixTimestamp64Nano(start) AS began,
                            toUnixTimestamp64Nano(time) AS at,
                            subtractMilliseconds(time, 500) AS the_time_before,
                            integer,
                            double,
                            toInt64(observations) AS observations,
                            sum,
                            bounds,
                            buckets
                        FROM metric_points
                        WHERE metric = %(metric)s
                            AND toStartOfHour(time) BETWEEN first_hour AND last_hour
                            AND time >= toDateTime64(%(start_s)s - %(look_s)s, 9)
                            AND time < toDateTime64(%(end_s)s + %(look_s)s, 9)
                            AND (%(service)s = '' OR service = %(service)s)
                            AND (empty(%(names)s) OR arrayAll(
                                (name, value) -> attributes[name] = value,
                                CAST(%(names)s, 'Array(String)'),
                                CAST(%(values)s, 'Array(String)')
                            ))
                            AND monotonic AND temporality != 'none' AND non_finite = ''
                    )
                    WINDOW run_so_far AS (
                        PARTITION BY series, began ORDER BY at, integer, double, observations
                        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
                    )
                ) AS point
                ASOF LEFT JOIN
                (
                    SELECT sender, time
                    FROM metric_exports
                    WHERE toStartOfHour(time) BETWEEN first_hour AND last_hour
                        AND time >= toDateTime64(%(start_s)s - %(look_s)s, 9)
                ) AS told
                ON point.sender = told.sender AND told.time <= point.the_time_before
            WHERE (temporality = 'delta' OR goes_on OR told_before > 0 OR began >= read_start)
                AND NOT (temporality = 'delta' AND goes_on AND at = before)
                AND at >= window_start AND since < window_end
                AND (since < at OR at < window_end)
            )
        )
        GROUP BY series, bounds
    )
    GROUP BY series
    ORDER BY increase DESC, series
    LIMIT %(limit)s
) AS rate
INNER JOIN
(
    SELECT
        series,
        any(service) AS service,
        any(node) AS node,
        any(attributes) AS attributes,
        any(kind) AS kind,
        any(unit) AS unit
    FROM metric_points
    WHERE metric = %(metric)s
        AND toStartOfHour(time) BETWEEN first_hour AND last_hour
    GROUP BY series
) AS label
ON rate.series = label.series
ORDER BY increase DESC, series
"""


class SeriesRate(NamedTuple):
    """What one series rose by within the window.

    `increase`: of a sum its own, of a histogram or summary the values observed; `sum_increase`:
    what these add up to. `buckets`: by how much each bucket of a histogram rose, one more than
    `bounds`. `by_step`: the increase in each step of the time axis that has any.
    """

    series: int
    service: str
    node: str
    attributes: Mapping[str, str]
    kind: str
    unit: str
    increase: float
    sum_increase: float
    bounds: Sequence[float]
    buckets: Sequence[float]
    by_step: Mapping[int, float]


class MetricRates(NamedTuple):
    """`steps`: when each step of the time axis begins, in seconds. `series`: the steepest first."""

    steps: range
    series: list[SeriesRate]

    def per_second(self, series: SeriesRate) -> list[float]:
        """The rate in each step."""
        return [series.by_step.get(step, 0.0) / self.steps.step for step in self.steps]


def metric_rates(
    store: Store,
    metric: str,
    start_ns: int,
    end_ns: int,
    *,
    service: str = "",
    attributes: Mapping[str, str] | None = None,
    points: int = 100,
    limit: int = 500,
) -> MetricRates:
    """The `limit` series that rose most in the window, widened to whole steps, at most `points`.

    Of one service or of all ("") and of those that have these attributes. What was sent less often
    than every half hour is told too low. Raises StoreDown.
    """
    start_s, end_s = start_ns // 10**9, -(-end_ns // 10**9)
    step_s = next((step for step in STEPS_S if end_s - start_s <= step * points), STEPS_S[-1])
    steps = range(start_s // step_s * step_s, -(-end_s // step_s) * step_s, step_s)
    params = {
        "metric": metric,
        "start_s": steps.start,
        "end_s": steps.stop,
        "step_s": step_s,
        "look_s": LOOK_S,
        "service": service,
        "names": list(attributes or {}),
        "values": list((attributes or {}).values()),
        "limit": limit,
    }
    return MetricRates(steps, [SeriesRate(*row) for row in store.rows(SQL, params)])
