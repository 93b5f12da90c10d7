import time

import pytest

from collector.store.queries.beginnings import first_call_s
from collector.store.queries.denials_by_rule import Denials, denials_by_rule
from collector.store.queries.freshness import newest_ns
from collector.store.queries.rollups import SECOND_NS, window
from collector.store.queries.services import services
from tests.collector.stored_rows import SECOND, decision, insert, request, span
from tests.waiting import eventually


@pytest.fixture
def now_ns() -> int:
    return time.time_ns()


def test_denials_are_summed_by_rule_and_version(store, now_ns):
    at_ns = now_ns - 1
    insert(
        store,
        "decisions",
        [
            decision(at_ns, "a", "b", weight=4.0),
            decision(at_ns, "a", "b"),
            decision(at_ns, "a", "b", rule_version=2),
            decision(at_ns, "", "b", rule="blocked"),
            decision(at_ns, "a", "b", allowed=1, weight=100.0),
        ],
    )
    assert denials_by_rule(store, now_ns - 60 * SECOND, now_ns) == [
        Denials("a", "b", "free-tier", 3, "ext_authz", 5),
        Denials("a", "b", "free-tier", 2, "ext_authz", 1),
        Denials("unknown", "b", "blocked", 3, "ext_authz", 1),
    ]


def test_denials_outside_the_window_are_not_counted(store, now_ns):
    start_ns, end_ns = now_ns - 60 * SECOND, now_ns - 30 * SECOND
    times_ns = {"before": start_ns - 1, "first": start_ns, "last": end_ns - 1, "after": end_ns}
    insert(store, "decisions", [decision(at_ns, name, "b") for name, at_ns in times_ns.items()])
    found = denials_by_rule(store, start_ns, end_ns)
    assert {denials.source for denials in found} == {"first", "last"}


def test_services_are_callers_called_and_those_with_spans(store, now_ns):
    insert(store, "requests", [request(now_ns - 1, "web", "cart")])
    insert(store, "spans", [span(now_ns - 1, "job", 1, 0, kind=1), span(now_ns, "api", 2, 0)])
    found = services(store, now_ns - 60 * SECOND, now_ns + 1)
    assert found == [("api", True), ("cart", True), ("job", False), ("web", False)]


def test_an_empty_store_is_of_no_age(store, now_ns):
    assert (newest_ns(store, now_ns), first_call_s(store)) == (0, 0)
    assert services(store, now_ns - 60 * SECOND, now_ns) == []
    assert denials_by_rule(store, now_ns - 60 * SECOND, now_ns) == []


def test_the_newest_is_not_from_the_future(store, now_ns):
    rows = [request(at_ns, "a", "b") for at_ns in (now_ns - 7 * SECOND, now_ns + 3600 * SECOND)]
    insert(store, "requests", rows)
    assert newest_ns(store, now_ns) == now_ns - 7 * SECOND
    insert(store, "spans", [span(now_ns - 5 * SECOND, "a", 1, 0)])
    assert newest_ns(store, now_ns) == now_ns - 5 * SECOND


DAY_S = 86_400


@pytest.mark.parametrize(
    ("length_s", "age_s", "table"),
    [
        (300, 300, "edges_1s"),
        (300, 2 * DAY_S, "edges_1m"),
        (6 * 3600, 6 * 3600, "edges_1m"),
        (300, 60 * DAY_S, "edges_1h"),
        (30 * DAY_S, 30 * DAY_S, "edges_1h"),
    ],
)
def test_a_window_is_read_of_the_finest_rollup_that_is_there_and_quick(length_s, age_s, table):
    now_ns = 100 * DAY_S * SECOND_NS
    start_ns = now_ns - age_s * SECOND_NS
    found = window(start_ns, start_ns + length_s * SECOND_NS, now_ns=now_ns)
    assert found.rollup.edges == table
    assert len(found.steps) <= 101
    assert found.step_s % found.rollup.grain_s == 0


def test_the_first_call_is_known_to_the_second_for_a_day_then_to_the_minute(store, now_ns):
    insert(store, "requests", [request(now_ns, "a", "b")])
    assert first_call_s(store) == now_ns // SECOND
    old_ns = now_ns - 2 * 86_400 * SECOND
    insert(store, "requests", [request(old_ns, "a", "b")])
    store.command("ALTER TABLE edges_1s DELETE WHERE time < now() - INTERVAL 1 DAY")
    assert eventually(lambda: first_call_s(store) == old_ns // (60 * SECOND) * 60)
