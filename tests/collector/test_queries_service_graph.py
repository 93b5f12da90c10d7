import random
import time

import pytest

from collector.store.queries.service_graph import Edge, service_graph
from tests.collector.stored_rows import MS, SECOND, insert, percentile, request, span

BUCKET_ERROR = 0.046  # a bucket is an eighth of an octave, and is read at its middle


@pytest.fixture
def now_ns() -> int:
    """A whole minute of today, a little ago."""
    return (time.time_ns() // (60 * SECOND) - 2) * 60 * SECOND


def test_an_empty_store_has_no_edges(store, now_ns):
    assert service_graph(store, now_ns - 900 * SECOND, now_ns) == []


@pytest.mark.parametrize("window_s", [300, 3 * 3600, 7 * 86400])
def test_every_rollup_gives_the_same_edge(store, now_ns, window_s):
    dice = random.Random(1)
    durations = [int(30 * MS * dice.lognormvariate(0, 0.8)) for _ in range(4000)]
    rows = [
        request(
            now_ns - dice.randrange(200 * SECOND) - 1,
            "a.shop",
            "b.shop",
            duration_ns=duration,
            error=int(number % 20 == 0),
            denied=int(number % 20 == 1),
        )
        for number, duration in enumerate(durations)
    ]
    insert(store, "requests", rows)
    (edge,) = service_graph(store, now_ns - window_s * SECOND, now_ns + SECOND)
    assert edge[:6] == ("a.shop", "b.shop", "destination", 4000, 200, 200)
    for level, told_ms in zip((0.5, 0.95, 0.99), edge[6:9], strict=True):
        assert told_ms == pytest.approx(percentile(durations, level) / MS, rel=BUCKET_ERROR)


def test_an_edge_told_by_both_sidecars_is_the_destinations(store, now_ns):
    rows = [request(now_ns - n * SECOND, "a.shop", "b.shop") for n in range(1, 11)]
    rows += [
        request(
            now_ns - n * SECOND, "a.shop", "b.shop", reporter="source", duration_ns=90 * MS, error=1
        )
        for n in range(1, 15)
    ]
    insert(store, "requests", rows)
    (edge,) = service_graph(store, now_ns - 60 * SECOND, now_ns)
    assert (edge.reporter, edge.requests, edge.errors) == ("destination", 10, 0)
    assert edge.p99_ms == pytest.approx(10, rel=BUCKET_ERROR)


def test_an_edge_told_by_its_source_alone_is_the_sources(store, now_ns):
    insert(store, "requests", [request(now_ns - 1, "a.shop", "tcp.shop", reporter="source")])
    (edge,) = service_graph(store, now_ns - 60 * SECOND, now_ns)
    assert (edge.reporter, edge.requests) == ("source", 1)


def test_a_weight_counts_for_that_many(store, now_ns):
    insert(store, "requests", [request(now_ns - 1, "a.shop", "b.shop", weight=20.0, error=1)])
    (edge,) = service_graph(store, now_ns - 60 * SECOND, now_ns)
    assert (edge.requests, edge.errors) == (20, 20)


def test_a_window_begins_with_its_start_and_ends_before_its_end(store, now_ns):
    start_ns, end_ns = now_ns - 300 * SECOND, now_ns - 200 * SECOND
    times_ns = {"before": start_ns - 1, "first": start_ns, "last": end_ns - 1, "after": end_ns}
    insert(store, "requests", [request(when, name, "b") for name, when in times_ns.items()])
    assert {edge.source for edge in service_graph(store, start_ns, end_ns)} == {"first", "last"}


def test_a_limit_keeps_the_busiest(store, now_ns):
    rows = [request(now_ns - 1, f"s{n}", "b.shop") for n in range(9) for _ in range(n + 1)]
    insert(store, "requests", rows)
    edges = service_graph(store, now_ns - 60 * SECOND, now_ns, limit=2)
    assert [(edge.source, edge.requests) for edge in edges] == [("s8", 9), ("s7", 8)]


def test_an_edge_nobody_reports_is_found_in_spans(store, now_ns):
    at_ns = now_ns - 30 * SECOND
    insert(
        store,
        "spans",
        [
            span(at_ns, "a.shop", 1, 0),
            span(at_ns + 1, "a.shop", 2, 1, kind=3),
            span(at_ns + 2, "b.shop", 3, 2, error=1, duration_ns=50 * MS),
            span(at_ns + 3, "b.shop", 4, 3, kind=1),
        ],
    )
    (edge,) = service_graph(store, now_ns - 60 * SECOND, now_ns)
    assert edge[:6] == ("a.shop", "b.shop", "spans", 1, 1, 0)
    assert edge.p50_ms == pytest.approx(50, rel=BUCKET_ERROR)


def test_a_caller_that_began_before_the_window_is_found(store, now_ns):
    rows = [span(now_ns - 600 * SECOND, "a.shop", 1, 0), span(now_ns - 1, "b.shop", 2, 1)]
    insert(store, "spans", rows)
    assert [edge.source for edge in service_graph(store, now_ns - 60 * SECOND, now_ns)] == [
        "a.shop"
    ]


def test_spans_add_nothing_to_an_edge_that_is_reported(store, now_ns):
    at_ns = now_ns - 30 * SECOND
    insert(store, "spans", [span(at_ns, "a.shop", 1, 0), span(at_ns, "b.shop", 2, 1)])
    insert(store, "requests", [request(at_ns, "a.shop", "b.shop", reporter="source")] * 3)
    (edge,) = service_graph(store, now_ns - 60 * SECOND, now_ns)
    assert (edge.reporter, edge.requests) == ("source", 3)


def told(store, now_ns):
    return [edge[:4] for edge in service_graph(store, now_ns - 60 * SECOND, now_ns)]


def test_a_call_told_by_both_sides_in_spans_is_one(store, now_ns):
    at_ns = now_ns - SECOND
    rows = [
        span(at_ns, "a.shop", 1, 0),
        span(at_ns, "a.shop", 2, 1, kind=3),  # the caller's program
        span(at_ns, "a.shop", 3, 2, kind=3),  # its sidecar
        span(at_ns, "b.shop", 4, 3),  # the sidecar at the other end
        span(at_ns, "b.shop", 5, 4),  # the program called
        span(at_ns, "b.shop", 6, 5, kind=1),
    ]
    insert(store, "spans", rows)
    assert told(store, now_ns) == [("a.shop", "b.shop", "spans", 1)]


def test_a_client_is_not_called_by_the_service_of_its_parent(store, now_ns):
    rows = [span(now_ns - 1, "a.shop", 1, 0), span(now_ns - 1, "proxy", 2, 1, kind=3)]
    insert(store, "spans", rows)
    assert told(store, now_ns) == []


def test_halves_of_a_shared_span_are_caller_and_called(store, now_ns):
    at_ns = now_ns - SECOND
    rows = [
        span(at_ns, "web", 1, 0, kind=3, shared=0),
        span(at_ns, "a.shop", 1, 0, kind=2, shared=1),
        span(at_ns, "a.shop", 2, 1, kind=1, shared=0),
        span(at_ns, "a.shop", 3, 2, kind=3, shared=0),
        span(at_ns, "b.shop", 3, 2, kind=2, shared=1),
        span(at_ns, "b.shop", 4, 3, kind=2, shared=0),
        span(at_ns, "c.shop", 5, 3, kind=2, shared=0),
    ]
    insert(store, "spans", rows)
    assert sorted(told(store, now_ns)) == [
        ("a.shop", "b.shop", "spans", 1),
        ("b.shop", "c.shop", "spans", 1),
        ("web", "a.shop", "spans", 1),
    ]


def test_a_shared_span_within_a_service_is_no_call(store, now_ns):
    rows = [
        span(now_ns - 1, "a.shop", 1, 0, kind=3, shared=0),
        span(now_ns - 1, "a.shop", 1, 0, kind=2, shared=1),
    ]
    insert(store, "spans", rows)
    assert told(store, now_ns) == []


def test_what_weighs_nothing_is_no_call(store, now_ns):
    rows = [span(now_ns - 1, "a.shop", 1, 0), span(now_ns - 1, "b.shop", 2, 1, weight=0.0)]
    insert(store, "spans", rows)
    assert told(store, now_ns) == []


def test_names_are_only_names(store, now_ns):
    name = "'; DROP TABLE requests; --%s{rollup}"
    insert(store, "requests", [request(now_ns - 1, name, "b.shop")])
    (edge,) = service_graph(store, now_ns - 60 * SECOND, now_ns)
    assert isinstance(edge, Edge)
    assert edge.source == name
