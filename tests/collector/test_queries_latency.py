import math
import random
import time
from collections import defaultdict

import pytest

from collector.store.queries.latency import latency
from tests.collector.stored_rows import MS, SECOND, insert, percentile, request, span

BUCKET_ERROR = 0.046  # a bucket is an eighth of an octave, and is read at its middle


@pytest.fixture
def now_ns() -> int:
    """A whole minute of today, a little ago."""
    return (time.time_ns() // (60 * SECOND) - 2) * 60 * SECOND


def bucket(duration_ns: int) -> int:
    return min(255, max(0, math.floor(math.log2(max(duration_ns, 1000) / 1000) * 8)))


def test_an_empty_window_has_steps_and_no_moments(store, now_ns):
    found = latency(store, now_ns - 300 * SECOND, now_ns)
    assert found.moments == []
    assert list(found.steps) == list(range(now_ns // SECOND - 300, now_ns // SECOND, 5))


@pytest.mark.parametrize("window_s", [300, 3600])
def test_each_moment_is_what_its_requests_say(store, now_ns, window_s):
    dice = random.Random(2)
    rows = [
        request(
            now_ns - dice.randrange(290 * SECOND) - 1,
            "a.shop",
            "b.shop",
            duration_ns=int(20 * MS * dice.lognormvariate(0, 1)),
            error=int(dice.random() < 0.1),
        )
        for _ in range(5000)
    ]
    insert(store, "requests", rows)
    found = latency(store, now_ns - window_s * SECOND, now_ns, "a.shop", "b.shop")
    expected = defaultdict(list)
    for row in rows:
        expected[row["time"] // SECOND // found.steps.step * found.steps.step].append(row)
    assert [moment.start_s for moment in found.moments] == sorted(expected)
    for moment in found.moments:
        here = expected[moment.start_s]
        counts = defaultdict(int)
        for row in here:
            counts[bucket(row["duration_ns"])] += 1
        assert dict(moment.counts) == counts
        assert (moment.requests, moment.errors) == (len(here), sum(row["error"] for row in here))
        for level, told_ms in zip((0.5, 0.95, 0.99), moment[4:7], strict=True):
            exact_ms = percentile((row["duration_ns"] for row in here), level) / MS
            assert told_ms == pytest.approx(exact_ms, rel=BUCKET_ERROR)


def test_a_services_latency_is_of_the_calls_it_answered(store, now_ns):
    rows = [
        request(now_ns - 1, "a", "b", duration_ns=4 * MS),
        request(now_ns - 1, "c", "b", duration_ns=4 * MS),
        request(now_ns - 1, "c", "b", duration_ns=99 * MS, reporter="source"),
        request(now_ns - 1, "d", "b", duration_ns=4 * MS, reporter="source"),
        request(now_ns - 1, "b", "e", duration_ns=99 * MS),
    ]
    insert(store, "requests", rows)
    (moment,) = latency(store, now_ns - 60 * SECOND, now_ns, destination="b").moments
    assert moment.requests == 3
    assert set(moment.counts) == {bucket(4 * MS)}


def test_what_nobody_reports_is_read_of_spans(store, now_ns):
    at_ns = now_ns - 10 * SECOND
    insert(
        store,
        "spans",
        [
            span(at_ns, "a", 1, 0, duration_ns=80 * MS),
            span(at_ns, "b", 2, 1, duration_ns=4 * MS),
            span(at_ns, "b", 3, 2, kind=1, duration_ns=70 * MS),
        ],
    )
    window = now_ns - 60 * SECOND, now_ns
    (answered,) = latency(store, *window, destination="b").moments
    (edge,) = latency(store, *window, source="a", destination="b").moments
    (root,) = latency(store, *window, destination="a").moments
    assert dict(answered.counts) == dict(edge.counts) == {bucket(4 * MS): 1}
    assert dict(root.counts) == {bucket(80 * MS): 1}


def test_halves_of_a_shared_span_are_caller_and_called(store, now_ns):
    at_ns = now_ns - 10 * SECOND
    rows = [
        span(at_ns, "web", 1, 0, kind=3, shared=0, duration_ns=80 * MS),
        span(at_ns, "a", 1, 0, kind=2, shared=1, duration_ns=4 * MS),
        span(at_ns, "a", 2, 1, kind=1, shared=0, duration_ns=3 * MS),
        span(at_ns, "c", 3, 1, kind=2, shared=0, weight=0.0),
    ]
    insert(store, "spans", rows)
    window = now_ns - 60 * SECOND, now_ns
    assert [dict(m.counts) for m in latency(store, *window, "web").moments] == [{bucket(4 * MS): 1}]
    assert latency(store, *window, destination="web").moments == []
    assert latency(store, *window, "a").moments == []


def test_spans_add_nothing_to_what_is_reported(store, now_ns):
    at_ns = now_ns - 10 * SECOND
    insert(store, "spans", [span(at_ns, "a", 1, 0), span(at_ns, "b", 2, 1)])
    insert(store, "requests", [request(at_ns, "a", "b")])
    window = now_ns - 60 * SECOND, now_ns
    assert [m.requests for m in latency(store, *window, destination="b").moments] == [1]
    assert [m.requests for m in latency(store, *window, "a", "b").moments] == [1]
