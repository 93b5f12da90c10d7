import random
import time
from collections import defaultdict

import pytest

from collector.store.queries.operations import operations
from tests.collector.stored_rows import MS, SECOND, insert, percentile, span

BUCKET_ERROR = 0.046  # a bucket is an eighth of an octave, and is read at its middle


@pytest.fixture
def now_ns() -> int:
    """A whole hour, a little ago: each rollup then has whole rows of the window."""
    return time.time_ns() // (3600 * SECOND) * 3600 * SECOND


@pytest.mark.parametrize("window_s", [300, 7200, 3 * 86_400])
def test_each_operation_is_what_its_spans_say(store, now_ns, window_s):
    dice = random.Random(3)
    rows = [
        span(
            now_ns - dice.randrange(290 * SECOND) - 1,
            dice.choice(["a.shop", "b.shop"]),
            number,
            0,
            name=dice.choice(["GET /", "POST /"]),
            kind=dice.choice([2, 3]),
            duration_ns=int(20 * MS * dice.lognormvariate(0, 1)),
            error=int(dice.random() < 0.1),
        )
        for number in range(4000)
    ]
    insert(store, "spans", rows)
    expected = defaultdict(list)
    for row in rows:
        expected[row["service"], row["name"], row["kind"]].append(row)
    found = operations(store, now_ns - window_s * SECOND, now_ns)
    assert {(each.service, each.name, each.kind) for each in found} == set(expected)
    assert [each.spans for each in found] == sorted((each.spans for each in found), reverse=True)
    for each in found:
        here = expected[each.service, each.name, each.kind]
        assert (each.spans, each.errors) == (len(here), sum(row["error"] for row in here))
        durations = [row["duration_ns"] for row in here]
        assert each.mean_ms == pytest.approx(sum(durations) / len(here) / MS)
        for level, told_ms in ((0.5, each.p50_ms), (0.95, each.p95_ms), (0.99, each.p99_ms)):
            assert told_ms == pytest.approx(percentile(durations, level) / MS, rel=BUCKET_ERROR)


def test_weights_count_and_a_proxys_own_checks_do_not(store, now_ns):
    at = now_ns - 5 * SECOND
    insert(store, "spans", [
        span(at, "a.shop", 1, 0, name="GET /", weight=10.0),
        span(at, "a.shop", 2, 0, name="GET /", weight=1.0, error=1),
        span(at, "a.shop", 3, 0, name="check", weight=0.0),
    ])  # fmt: skip
    (found,) = operations(store, now_ns - 60 * SECOND, now_ns)
    assert (found.name, found.spans, found.errors) == ("GET /", 11, 1)


def test_one_service_may_be_asked_for_and_the_busiest_are_told(store, now_ns):
    at = now_ns - 5 * SECOND
    insert(store, "spans", [
        span(at, "a.shop", number, 0, name=f"op{number % 7}") for number in range(20)
    ])  # fmt: skip
    insert(store, "spans", [span(at, "b.shop", 99, 0, name="other")])
    window = (now_ns - 60 * SECOND, now_ns)
    assert {each.service for each in operations(store, *window, service="a.shop")} == {"a.shop"}
    assert len(operations(store, *window, limit=3)) == 3
    assert operations(store, now_ns - 600 * SECOND, now_ns - 300 * SECOND) == []
