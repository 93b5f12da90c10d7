"""The edges spans tell of, however their spans come."""

import itertools
import time
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from collector.store.client import Store
from collector.store.open_minutes import OpenMinute, open_minutes
from collector.store.queries.service_graph import service_graph
from collector.store.queries.unpaired import unpaired
from collector.store.settle import AGAIN_NS, due, settle
from collector.store.span_edges import MATCHED_AT_ONCE
from tests.collector.stored_rows import MS, SECOND, insert, span

MINUTE = 60 * SECOND


@pytest.fixture
def now_ns() -> int:
    """A whole minute of today, a little ago."""
    return (time.time_ns() // MINUTE - 2) * MINUTE


def mesh_span(time_ns: int, trace: int, service: str, number: int, parent: int, **more: Any) -> Any:
    row = {"shared": 0, "attributes": {}, "trace_id": trace.to_bytes(16, "big")}
    return span(time_ns, service, 100 * trace + number, 100 * trace + parent if parent else 0,
                **(row | more))  # fmt: skip


def traces(count: int, end_ns: int) -> list[Any]:
    """Calls in pairs, within the service, of one shared span, over minutes, without an end."""
    rows = []
    for trace in range(1, count + 1):
        at_ns = end_ns - 3 * trace * MINUTE + 30 * SECOND
        later_ns = at_ns + (MS, 40 * SECOND, 2 * MINUTE)[trace % 3]
        rows += [
            mesh_span(at_ns, trace, "web", 1, 0),
            mesh_span(at_ns, trace, "web", 2, 1, kind=3, weight=4.0),
            mesh_span(later_ns, trace, "cart", 3, 2, error=trace % 2, weight=4.0),
            mesh_span(later_ns, trace, "cart", 4, 3, kind=1),
            mesh_span(later_ns, trace, "cart", 5, 4, kind=3),
            mesh_span(later_ns + MS, trace, "stock", 5, 4, shared=1),
            mesh_span(later_ns + MS, trace, "prices", 6, 5),
            mesh_span(later_ns, trace, "cart", 7, 3, kind=3,
                      attributes={"db.system": "postgresql", "server.address": "db-1"}),
            mesh_span(later_ns, trace, "cart", 8, 3, kind=4,
                      attributes={"messaging.system": "kafka", "messaging.destination.name": "o"}),
            mesh_span(later_ns, trace, "mail", 9, 0, kind=5,
                      attributes={"messaging.system": "kafka", "messaging.destination.name": "o"}),
            mesh_span(later_ns, trace, "cart", 10, 3, kind=3,
                      attributes={"server.address": "api.pay.example"}),
            mesh_span(later_ns, trace, "cart", 11, 3, kind=3),
            mesh_span(later_ns, trace, "audit", 12, 77),
        ]  # fmt: skip
    return rows


def named(rows: list[Any], example: int) -> list[Any]:
    """The same of a mesh of its own."""
    ids = {"trace_id": example.to_bytes(8, "big")}
    return [
        row | {
            "trace_id": ids["trace_id"] + row["trace_id"][8:],
            "span_id": row["span_id"] + example * 10_000,
            "parent_id": row["parent_id"] and row["parent_id"] + example * 10_000,
            "service": f"{row['service']}.{example}",
            "attributes": {key: f"{value}.{example}" for key, value in row["attributes"].items()},
        }
        for row in rows
    ]  # fmt: skip


def told(store: Store, now_ns: int, example: int) -> list[Any]:
    """Of that mesh, its number taken off the names."""
    found = service_graph(store, now_ns - 30 * MINUTE, now_ns + 10 * MINUTE)
    own = [edge for edge in found if f"{edge.source}.".endswith(f".{example}.")]
    return sorted(
        edge._replace(
            source=edge.source.replace(f".{example}", ""),
            destination=edge.destination.replace(f".{example}", ""),
        )
        for edge in own
    )


def test_in_any_order_and_any_batches_and_again_spans_make_the_same_edges(store, now_ns):
    rows = traces(4, now_ns)
    insert(store, "spans", named(rows, 1))
    expected = told(store, now_ns, 1)
    assert {edge[:2] for edge in expected} == {
        ("web", "cart"), ("cart", "stock"), ("stock", "prices"), ("cart", "postgresql:db-1"),
        ("cart", "kafka:o"), ("kafka:o", "mail"), ("cart", "api.pay.example"),
    }  # fmt: skip
    examples, later_ns = itertools.count(2), itertools.count(now_ns + 10 * MINUTE, AGAIN_NS)

    callers = [number for number in range(len(rows)) if number % 13 < 2]
    called = [number for number in range(len(rows)) if number not in callers]

    @example(called + callers, [len(called)], [0, 5], [True] * 5)
    @given(
        order=st.permutations(range(len(rows))),
        cuts=st.lists(st.integers(0, len(rows)), max_size=3),
        again=st.lists(st.integers(0, len(rows) - 1), max_size=8),
        settled=st.lists(st.booleans(), min_size=5, max_size=5),
    )
    @settings(max_examples=3)
    def check(order: Any, cuts: Any, again: Any, settled: Any) -> None:
        example = next(examples)
        own = named(rows, example)
        sent = [own[number] for number in [*order, *again]]
        places = sorted({0, *cuts, len(sent)})
        for begin, end, settles in zip(places, places[1:], settled, strict=False):
            insert(store, "spans", sent[begin:end])
            if settles:
                settle(store, next(later_ns))
        assert told(store, now_ns, example) == expected
        settle(store, next(later_ns))
        assert open_minutes(store, 0, 2**32 - 1) == []
        assert told(store, now_ns, example) == expected

    check()


def test_calls_without_an_end_are_counted_by_service_and_reason(store, now_ns):
    insert(store, "spans", traces(3, now_ns))
    window_ns = now_ns - 30 * MINUTE, now_ns + 10 * MINUTE
    expected = [("audit", "caller_missing", 3), ("cart", "no_peer", 3)]
    assert unpaired(store, *window_ns) == expected
    settle(store, now_ns + 10 * MINUTE)
    assert open_minutes(store, 0, 2**32 - 1) == []
    assert unpaired(store, *window_ns) == expected
    caller = mesh_span(now_ns - 9 * MINUTE, 2, "old", 77, 0)
    insert(store, "spans", [caller])
    assert unpaired(store, *window_ns)[0] == ("cart", "no_peer", 3)
    assert ("old", "audit") in {edge[:2] for edge in service_graph(store, *window_ns)}


def test_a_minute_is_settled_when_it_is_over_or_big_and_again_when_it_got_more():
    second_ns = SECOND
    fresh = OpenMinute(600, spans=10, shared=0, version=0, basis=0)
    assert not due(fresh, 659 * second_ns)
    assert due(fresh, 660 * second_ns)
    assert due(fresh._replace(spans=MATCHED_AT_ONCE + 1), 610 * second_ns)
    settled = fresh._replace(spans=110, version=620 * second_ns, basis=100)
    assert not due(settled, 649 * second_ns)
    assert due(settled, 650 * second_ns)
    assert due(settled._replace(spans=150), 621 * second_ns)


@pytest.mark.parametrize("window_s", [1200, 3 * 3600, 7 * 86400])
def test_every_rollup_tells_a_settled_edge_and_what_came_since(store, window_s):
    hour_ns = (time.time_ns() // (3600 * SECOND)) * 3600 * SECOND
    at_ns = hour_ns - 20 * MINUTE if window_s > 1200 else time.time_ns() - 10 * MINUTE
    pair = [mesh_span(at_ns, 1, "web", 1, 0), mesh_span(at_ns, 1, "cart", 2, 1, weight=8.0)]
    insert(store, "spans", pair)
    assert settle(store, time.time_ns() + 3600 * SECOND).hours == 1
    window_ns = time.time_ns() - window_s * SECOND, time.time_ns()
    (edge,) = service_graph(store, *window_ns)
    assert edge[:5] == ("web", "cart", "spans", 8, 0)
    insert(store, "spans", [mesh_span(at_ns, 1, "cart", 3, 1, error=1)])
    (edge,) = service_graph(store, *window_ns)
    assert (edge.requests, edge.errors) == (9, 1)


def test_a_minute_too_big_to_match_when_asked_is_told_as_it_was_settled(store, now_ns):
    insert(store, "spans", traces(1, now_ns))
    settle(store, time.time_ns())
    many = [mesh_span(now_ns - 9 * MINUTE + number, 9, "web", number + 1, 0)
            for number in range(MATCHED_AT_ONCE + 1)]  # fmt: skip
    before = service_graph(store, now_ns - 30 * MINUTE, now_ns + 10 * MINUTE)
    late = mesh_span(now_ns - 9 * MINUTE, 9, "late", 30_000, 1)
    insert(store, "spans", [*many, late])
    minute_s = many[0]["time"] // MINUTE * 60
    told_then = service_graph(store, now_ns - 30 * MINUTE, now_ns + 10 * MINUTE)
    assert ("web", "late") in {edge[:2] for edge in told_then}  # nobody had settled that minute
    settle(store, time.time_ns())
    insert(store, "spans", [mesh_span(minute_s * SECOND + 1, 9, "later", 30_001, 1)])
    told_now = service_graph(store, now_ns - 30 * MINUTE, now_ns + 10 * MINUTE)
    assert told_now == told_then
    assert len(told_now) == len(before) + 1


def test_spans_from_before_there_were_halves_are_settled_from_themselves(store, now_ns):
    insert(store, "spans", traces(2, now_ns))
    expected = service_graph(store, now_ns - 30 * MINUTE, now_ns + 10 * MINUTE)
    store.command("TRUNCATE TABLE half_edges")
    settle(store, time.time_ns())
    assert service_graph(store, now_ns - 30 * MINUTE, now_ns + 10 * MINUTE) == expected
