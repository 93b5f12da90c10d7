import itertools
import random
import time

import pytest

from collector.store.queries.metric_rates import metric_rates
from tests.collector.stored_rows import MS, SECOND, insert

MINUTE, HOUR = 60 * SECOND, 3600 * SECOND
METRIC = "requests"


@pytest.fixture
def now_ns() -> int:
    """A whole minute of today, a little ago."""
    return (time.time_ns() // MINUTE - 2) * MINUTE


def point(time_ns: int, start_ns: int, value: float = 0, series: int = 1, **more):
    """A cumulative sum's, of one sender, unless `more` says otherwise."""
    row = {
        "time": time_ns,
        "start": start_ns,
        "metric": METRIC,
        "kind": "sum",
        "temporality": "cumulative",
        "monotonic": 1,
        "sender": 7,
        "series": series,
        "integer": value if isinstance(value, int) else 0,
        "double": 0.0 if isinstance(value, int) else value,
        "observations": 0,
        "sum": None,
        "bounds": [],
        "buckets": [],
        "attributes": {"code": str(series)},
        "service": "cart.shop",
    }
    return row | more


def run(start_ns: int, first_ns: int, values, every_ns: int = 10 * SECOND, **more):
    """Points of one run, each `every_ns`."""
    return [
        point(first_ns + n * every_ns, start_ns, value, **more) for n, value in enumerate(values)
    ]


def increases(store, start_ns, end_ns, **asked):
    found = metric_rates(store, METRIC, start_ns, end_ns, **asked)
    return {one.series: one.increase for one in found.series}


def test_nothing_rises_where_nothing_is_stored(store, now_ns):
    found = metric_rates(store, METRIC, now_ns - MINUTE, now_ns)
    assert found.series == []
    assert found.steps == range((now_ns - MINUTE) // SECOND, now_ns // SECOND)


def test_the_increase_is_what_the_counter_rose_by(store, now_ns):
    begun_ns = now_ns - MINUTE
    insert(store, "metric_points", run(begun_ns, begun_ns + 10 * SECOND, [5, 5, 9, 20, 20, 21]))
    found = metric_rates(store, METRIC, begun_ns, now_ns, points=6)
    (one,) = found.series
    assert (one.increase, one.kind, one.service, one.attributes) == (
        21,
        "sum",
        "cart.shop",
        {"code": "1"},
    )
    assert [one.by_step.get(step, 0) for step in found.steps] == [5, 0, 4, 11, 0, 1]
    assert found.per_second(one) == [0.5, 0, 0.4, 1.1, 0, 0.1]


def test_a_window_has_its_share_of_what_rose_across_its_ends(store, now_ns):
    insert(
        store, "metric_points", run(now_ns - HOUR, now_ns - HOUR + MINUTE, range(6, 361, 6), MINUTE)
    )
    assert increases(store, now_ns - 90 * SECOND, now_ns - 30 * SECOND) == {1: pytest.approx(6)}
    halves = [
        increases(store, now_ns - n * 90 * SECOND, now_ns - (n - 1) * 90 * SECOND)[1]
        for n in range(1, 11)
    ]
    assert sum(halves) == pytest.approx(increases(store, now_ns - 900 * SECOND, now_ns)[1])


def test_a_new_start_is_a_reset_and_counts_from_0(store, now_ns):
    first_ns = now_ns - 10 * MINUTE
    again_ns = first_ns + 35 * SECOND
    insert(
        store,
        "metric_points",
        run(first_ns, first_ns + 10 * SECOND, [100, 200, 300])
        + run(again_ns, first_ns + 40 * SECOND, [400, 500]),
    )
    found = metric_rates(store, METRIC, first_ns, first_ns + MINUTE, points=12)
    (one,) = found.series
    assert one.increase == 300 + 500
    assert [one.by_step.get(step, 0) for step in found.steps] == [
        *[50] * 6,
        0,  # between the runs it was not there
        400,
        *[50] * 2,
        0,
        0,
    ]


def test_a_counter_that_falls_without_a_new_start_has_begun_anew(store, now_ns):
    insert(store, "metric_points", run(0, now_ns - MINUTE, [50, 60, 7, 9, 9, 2]))
    assert increases(store, now_ns - MINUTE, now_ns) == {1: 10 + 7 + 2 + 2}


def test_no_rise_is_ever_negative(store, now_ns):
    values = [-5, -9, 3]
    rows = run(0, now_ns - MINUTE, values) + run(
        0, now_ns - MINUTE, values, series=2, temporality="delta"
    )
    insert(store, "metric_points", rows)
    found = metric_rates(store, METRIC, now_ns - 2 * MINUTE, now_ns)
    assert all(rise > 0 for one in found.series for rise in one.by_step.values())
    assert increases(store, now_ns - 2 * MINUTE, now_ns)[2] == 3


def test_a_gap_is_bridged_evenly(store, now_ns):
    begun_ns = now_ns - 20 * MINUTE
    rows = run(begun_ns, begun_ns + MINUTE, [60, 120], MINUTE)
    rows += run(begun_ns, begun_ns + 12 * MINUTE, [720], MINUTE)
    insert(store, "metric_points", rows)
    found = metric_rates(store, METRIC, begun_ns, begun_ns + 12 * MINUTE, points=12)
    (one,) = found.series
    assert found.per_second(one) == pytest.approx([1.0] * 12)


def test_after_a_gap_longer_than_is_looked_back_the_first_point_is_a_base(store, now_ns):
    begun_ns = now_ns - 5 * HOUR
    rows = run(begun_ns, begun_ns + MINUTE, [1000], MINUTE)
    rows += run(begun_ns, now_ns - 5 * MINUTE, [9000, 9001], MINUTE)
    # The same sender's other metric, some milliseconds apart.
    rows += [point(row["time"] - 3 * MS, begun_ns, 1, series=2, metric="other") for row in rows]
    insert(store, "metric_points", rows)
    assert increases(store, now_ns - 10 * MINUTE, now_ns) == {1: 1}


def test_a_sender_first_seen_long_after_its_start_begins_with_a_base(store, now_ns):
    insert(store, "metric_points", run(now_ns - 90 * HOUR, now_ns - MINUTE, [10**6, 10**6 + 5]))
    assert increases(store, now_ns - 2 * MINUTE, now_ns) == {1: 5}


def test_a_sender_that_began_within_reach_has_counted_since_it_began(store, now_ns):
    insert(store, "metric_points", run(now_ns - 100 * SECOND, now_ns - 60 * SECOND, [40]))
    assert increases(store, now_ns - 80 * SECOND, now_ns) == {1: pytest.approx(20)}


def test_a_series_that_appears_was_0_when_its_sender_told_last(store, now_ns):
    begun_ns = now_ns - 90 * HOUR  # of the process, as Envoy says of every series
    rows = run(begun_ns, now_ns - 60 * SECOND, [100, 100, 100, 100])
    rows += run(begun_ns, now_ns - 40 * SECOND, [50, 50], series=2)
    insert(store, "metric_points", rows)
    found = metric_rates(store, METRIC, now_ns - MINUTE, now_ns, points=6)
    (new,) = [one for one in found.series if one.series == 2]
    assert new.increase == 50
    assert new.by_step == {(now_ns - 50 * SECOND) // SECOND: 50}


def test_another_senders_tellings_say_nothing_of_a_series(store, now_ns):
    begun_ns = now_ns - 90 * HOUR
    rows = run(begun_ns, now_ns - 60 * SECOND, [100] * 4, sender=8)
    rows += run(begun_ns, now_ns - 40 * SECOND, [50, 53], series=2)
    insert(store, "metric_points", rows)
    assert increases(store, now_ns - MINUTE, now_ns)[2] == 3


@pytest.mark.parametrize("seed", range(5))
def test_order_repetition_and_batches_change_nothing(store, now_ns, seed):
    dice = random.Random(seed)
    rows, expected = [], {}
    for series in range(1, 6):
        at_ns, total = now_ns - 30 * MINUTE, 0
        while at_ns < now_ns - 2 * MINUTE:
            start_ns, value = at_ns, 0
            for _ in range(dice.randrange(1, 12)):
                at_ns += dice.randrange(1, 40) * SECOND
                value += (more := dice.randrange(5))
                total += more
                rows.append(point(at_ns, start_ns, value, series))
            at_ns += dice.randrange(1, 300) * SECOND
        expected[series] = total
    shuffled = [*rows, *dice.sample(rows, len(rows) // 3)]
    dice.shuffle(shuffled)
    while shuffled:
        size = dice.randrange(1, 40)
        insert(store, "metric_points", shuffled[:size])
        del shuffled[:size]
    found = increases(store, now_ns - 30 * MINUTE, now_ns + HOUR)
    assert found == pytest.approx(expected)


def test_a_late_point_changes_the_shares_and_not_the_sum(store, now_ns):
    insert(
        store,
        "metric_points",
        run(now_ns - 60 * SECOND, now_ns - 30 * SECOND, [30, 60], 30 * SECOND),
    )
    before = metric_rates(store, METRIC, now_ns - MINUTE, now_ns, points=4).series[0]
    assert list(before.by_step.values()) == [15, 15, 15, 15]
    insert(store, "metric_points", [point(now_ns - 15 * SECOND, now_ns - 60 * SECOND, 60)])
    after = metric_rates(store, METRIC, now_ns - MINUTE, now_ns, points=4).series[0]
    assert list(after.by_step.values()) == [15, 15, 30]


def test_integers_are_exact_beyond_what_a_double_holds(store, now_ns):
    base = 2**62
    insert(
        store, "metric_points", run(now_ns - 90 * HOUR, now_ns - MINUTE, [base, base + 1, base + 4])
    )
    assert increases(store, now_ns - 2 * MINUTE, now_ns) == {1: 4}


def test_a_sum_of_doubles_rises_by_its_difference(store, now_ns):
    insert(store, "metric_points", run(now_ns - 90 * HOUR, now_ns - MINUTE, [0.5, 1.25, 3.75]))
    assert increases(store, now_ns - 2 * MINUTE, now_ns) == {1: 3.25}


def test_a_delta_is_its_own_rise_over_its_own_time(store, now_ns):
    rows = [
        point(now_ns - 10 * SECOND, now_ns - 30 * SECOND, 40, temporality="delta"),
        point(now_ns - 10 * SECOND, now_ns - 30 * SECOND, 40, temporality="delta"),  # sent again
        point(now_ns - 5 * SECOND, 0, 3, temporality="delta"),  # of no time: at once
    ]
    insert(store, "metric_points", rows)
    found = metric_rates(store, METRIC, now_ns - 40 * SECOND, now_ns, points=4)
    (one,) = found.series
    assert one.increase == 43
    assert [one.by_step.get(step, 0) for step in found.steps] == [0, 20, 20, 3]


def histogram(time_ns, start_ns, buckets, total, bounds=(1.0, 10.0), **more):
    return point(
        time_ns,
        start_ns,
        kind="histogram",
        observations=sum(buckets),
        sum=total,
        bounds=list(bounds),
        buckets=list(buckets),
        **more,
    )


def test_a_histogram_is_differenced_bucket_by_bucket(store, now_ns):
    begun_ns, again_ns = now_ns - 60 * SECOND, now_ns - 35 * SECOND
    rows = [
        histogram(now_ns - 50 * SECOND, begun_ns, (1, 2, 0), 12.5),
        histogram(now_ns - 40 * SECOND, begun_ns, (4, 2, 1), 50.0),
        histogram(now_ns - 30 * SECOND, again_ns, (0, 5, 0), 20.0),
    ]
    insert(store, "metric_points", rows)
    (one,) = metric_rates(store, METRIC, now_ns - MINUTE, now_ns).series
    assert (one.increase, one.sum_increase) == pytest.approx((12, 70.0))
    assert one.bounds == [1.0, 10.0]
    assert one.buckets == pytest.approx([4, 7, 1])


def test_buckets_are_of_the_bounds_told_last(store, now_ns):
    begun_ns = now_ns - 60 * SECOND
    rows = [
        histogram(now_ns - 50 * SECOND, begun_ns, (1, 2, 0), 3.0),
        histogram(now_ns - 40 * SECOND, begun_ns, (3, 5), 8.0, bounds=(5.0,)),
        histogram(now_ns - 30 * SECOND, begun_ns, (3, 6), 9.0, bounds=(5.0,)),
    ]
    insert(store, "metric_points", rows)
    (one,) = metric_rates(store, METRIC, now_ns - MINUTE, now_ns).series
    assert one.increase == pytest.approx(9)
    assert (one.bounds, one.buckets) == ([5.0], pytest.approx([0, 1]))


def test_gauges_and_what_is_no_number_have_no_rate(store, now_ns):
    begun_ns = now_ns - MINUTE
    rows = run(begun_ns, begun_ns + SECOND, [1, 5], monotonic=0)
    rows += run(begun_ns, begun_ns + SECOND, [1, 5], series=2, temporality="none")
    insert(store, "metric_points", rows)
    insert(
        store, "metric_points", run(begun_ns, begun_ns + SECOND, [1, 5], series=3, non_finite="nan")
    )
    assert increases(store, begun_ns, now_ns) == {}


def test_only_what_is_asked_for_is_told(store, now_ns):
    begun_ns = now_ns - MINUTE
    rows = list(
        itertools.chain(
            run(begun_ns, begun_ns + 10 * SECOND, [1]),
            run(begun_ns, begun_ns + 10 * SECOND, [2], series=2),
            run(begun_ns, begun_ns + 10 * SECOND, [3], series=3, service="other.shop"),
            run(begun_ns, begun_ns + 10 * SECOND, [4], series=4, metric="another"),
        )
    )
    insert(store, "metric_points", rows)
    assert increases(store, begun_ns, now_ns) == {3: 3, 2: 2, 1: 1}
    assert increases(store, begun_ns, now_ns, service="cart.shop") == {2: 2, 1: 1}
    assert increases(store, begun_ns, now_ns, attributes={"code": "1"}) == {1: 1}
    assert increases(store, begun_ns, now_ns, limit=1) == {3: 3}
    quoted = "'); DROP TABLE metric_points --"
    assert increases(store, begun_ns, now_ns, attributes={quoted: quoted}, service=quoted) == {}
