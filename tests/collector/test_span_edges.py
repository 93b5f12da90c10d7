"""The edges spans tell of, however their spans come."""

import itertools
import random
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.store.client import Store
from collector.store.queries.service_graph import service_graph
from collector.store.settle import settle
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
    dice = random.Random(count)
    rows = []
    for trace in range(1, count + 1):
        at_ns = end_ns - dice.randrange(9 * MINUTE)
        later_ns = at_ns + dice.choice([MS, 40 * SECOND, 2 * MINUTE])
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
    examples = itertools.count(2)

    @given(
        order=st.permutations(range(len(rows))),
        cuts=st.lists(st.integers(0, len(rows)), max_size=3),
        again=st.lists(st.integers(0, len(rows) - 1), max_size=8),
        settled=st.lists(st.booleans(), min_size=5, max_size=5),
    )
    @settings(max_examples=6)
    def check(order: Any, cuts: Any, again: Any, settled: Any) -> None:
        example = next(examples)
        own = named(rows, example)
        sent = [own[number] for number in [*order, *again]]
        places = sorted({0, *cuts, len(sent)})
        for begin, end, settles in zip(places, places[1:], settled, strict=False):
            insert(store, "spans", sent[begin:end])
            if settles:
                settle(store, time.time_ns())
        assert told(store, now_ns, example) == expected
        settle(store, time.time_ns())
        assert told(store, now_ns, example) == expected

    check()
