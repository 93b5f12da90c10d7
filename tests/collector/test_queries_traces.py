import time

import pytest

from collector.model import TraceSearch as Wanted
from collector.store.queries.trace import trace
from collector.store.queries.traces import MAX_COUNTED, fitting_traces, traces
from tests.collector.stored_rows import MS, SECOND, insert, span


@pytest.fixture
def now_ns() -> int:
    return time.time_ns() - 60 * SECOND


def traced(trace_number: int, time_ns: int, number: int, **more):
    return span(
        time_ns,
        more.pop("service", "a.shop"),
        number,
        more.pop("parent_id", 0),
        trace_id=trace_number.to_bytes(16, "big"),
        name=more.pop("name", "GET /"),
        attributes=more.pop("attributes", {}),
        **more,
    )


def hex_id(number: int) -> str:
    return f"{number:032x}"


def test_a_trace_has_all_its_spans_in_the_order_they_began(store, now_ns):
    insert(store, "spans", [
        traced(7, now_ns + 5 * MS, 2, parent_id=1, service="b.shop", kind=2, status=2, error=1,
               http_status=503, attributes={"x": "1"}, resource={"pod": "b-0"}, shared=0,
               events=[(now_ns + 6 * MS, "thrown", {"message": "no"})]),
        traced(7, now_ns, 1, status=0, http_status=0, resource={}, shared=0, events=[]),
        traced(8, now_ns, 3, status=0, http_status=0, resource={}, shared=0, events=[]),
    ])  # fmt: skip
    first, second = trace(store, hex_id(7))
    assert (first.span_id, first.parent_id, first.service) == (f"{1:016x}", "", "a.shop")
    assert (second.parent_id, second.start_ns) == (first.span_id, now_ns + 5 * MS)
    assert (second.kind, second.status, second.error, second.http_status) == (2, 2, True, 503)
    assert (second.attributes, second.resource) == ({"x": "1"}, {"pod": "b-0"})
    ((at_ns, name, attributes),) = second.events
    assert (at_ns, name, attributes) == (now_ns + 6 * MS, "thrown", {"message": "no"})
    assert trace(store, hex_id(9)) == []
    assert len(trace(store, hex_id(7), limit=1)) == 1


def test_a_trace_is_summed_up_in_a_line(store, now_ns):
    insert(store, "spans", [
        traced(7, now_ns, 1, name="GET /cart", duration_ns=30 * MS),
        traced(7, now_ns + 5 * MS, 2, parent_id=1, service="b.shop", duration_ns=40 * MS, error=1),
    ])  # fmt: skip
    page = traces(store, now_ns - SECOND, now_ns + SECOND, Wanted(service="b.shop"))
    (found,) = page.traces
    assert (found.trace_id, found.root_service, found.root_name) == (
        hex_id(7), "a.shop", "GET /cart",
    )  # fmt: skip
    assert (found.start_ns, found.duration_ns) == (now_ns, 45 * MS)
    assert (found.spans, found.errors, found.services) == (2, 1, ["a.shop", "b.shop"])
    assert (page.total, page.exact) == (1, True)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(), {1, 2, 3}),
        (Wanted(service="b.shop"), {2}),
        (Wanted(operation="POST /"), {3}),
        (Wanted(min_duration_ns=50 * MS), {3}),
        (Wanted(max_duration_ns=20 * MS), {1, 2}),
        (Wanted(errors=True), {2}),
        (Wanted(attributes=(("user", "ann"),)), {1, 3}),
        (Wanted(attributes=(("user", None),)), {1, 3}),
        (Wanted(attributes=(("pod", None),)), {2}),
        (Wanted(attributes=(("user", "ann"), ("pod", None))), set()),
        (Wanted(attributes=(("pod", "b-0"),)), {2}),
        (Wanted(attributes=(("user", "nobody"),)), set()),
        (Wanted(service="a.shop", attributes=(("user", "ann"),), min_duration_ns=50 * MS), {3}),
    ],
)
def test_traces_are_found_by_what_one_of_their_spans_is(store, now_ns, wanted, found):
    insert(store, "spans", [
        traced(1, now_ns, 1, attributes={"user": "ann"}, resource={}),
        traced(2, now_ns, 2, service="b.shop", error=1, resource={"pod": "b-0"}),
        traced(3, now_ns, 3, name="POST /", duration_ns=90 * MS, attributes={"user": "ann"},
               resource={}),
        traced(4, now_ns - 600 * SECOND, 4, resource={}),
    ])  # fmt: skip
    page = traces(store, now_ns - SECOND, now_ns + SECOND, wanted)
    assert {int(each.trace_id, 16) for each in page.traces} == found
    assert (page.total, page.exact) == (len(found), True)


def test_spans_are_not_read_where_the_index_knows_no_such_value(store, now_ns):
    insert(store, "spans", [traced(7, now_ns, 1, attributes={"user.id": "u1"})])
    window = now_ns - SECOND, now_ns + SECOND

    def read(value):
        sql, params = fitting_traces(*window, Wanted(attributes=(("user.id", value),)))
        plan = [line.strip() for (line,) in store.rows(f"EXPLAIN indexes = 1 {sql}", params)]
        return plan[plan.index("Name: attribute_values") :]

    assert "Granules: 1/1" in read("u1")
    assert "Granules: 0/1" in read("u2")


def test_a_page_behind_the_last_still_tells_how_many_there_are(store, now_ns):
    insert(store, "spans", [traced(7, now_ns, 1)])
    window = now_ns - SECOND, now_ns + SECOND
    page = traces(store, *window, Wanted(), before=(now_ns, hex_id(7)))
    assert (page.traces, page.total, page.exact) == ([], 1, True)
    assert traces(store, *window, Wanted(service="none")).total == 0


def test_pages_follow_one_another_without_gap_or_overlap_also_at_one_moment(store, now_ns):
    rows = [traced(number, now_ns + number // 3, number) for number in range(1, 51)]
    insert(store, "spans", rows)
    seen: list[int] = []
    window = (now_ns, now_ns + SECOND)
    page = traces(store, *window, Wanted(), limit=7)
    while page.traces:
        assert page.total == 50
        seen += [int(each.trace_id, 16) for each in page.traces]
        last = page.traces[-1]
        page = traces(store, *window, Wanted(), limit=7, before=(last.at_ns, last.trace_id))
    assert seen == list(range(50, 0, -1))


def test_more_than_are_counted_are_said_to_be_at_least_so_many(store, now_ns):
    rows = [traced(number, now_ns, number) for number in range(1, MAX_COUNTED + 2)]
    insert(store, "spans", rows)
    page = traces(store, now_ns - SECOND, now_ns + SECOND, Wanted(), limit=1)
    assert (page.total, page.exact) == (MAX_COUNTED, False)
