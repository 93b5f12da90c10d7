import time

import pytest

from collector.model import LogSearch as Wanted
from collector.store.queries.logs import MAX_COUNTED, NEWEST, logs, place_after
from tests.collector.stored_rows import SECOND, insert

TRACE = b"\xab" * 16


@pytest.fixture
def now_ns() -> int:
    return time.time_ns() - 60 * SECOND


def record(time_ns: int, body: str = "started", **more):
    """An info of cart.shop in no trace, unless `more` says otherwise."""
    row = {
        "time": time_ns,
        "observed": 0,
        "service": "cart.shop",
        "severity": 9,
        "severity_text": "INFO",
        "body": body,
        "event": "",
        "trace_id": bytes(16),
        "span_id": 0,
        "scope": "app",
        "attributes": {},
        "resource": {},
    }
    return row | more


def pages(store, start_ns: int, end_ns: int, wanted: Wanted, limit: int):
    """All records, page after page."""
    after, found = NEWEST, []
    page = logs(store, start_ns, end_ns, wanted, limit, after)
    while page.records:
        found += page.records
        after = place_after(page.records, after)
        page = logs(store, start_ns, end_ns, wanted, limit, after)
    return found


def test_a_record_is_told_as_it_was_sent(store, now_ns):
    insert(store, "logs", [
        record(now_ns, "it broke", observed=now_ns + 5, severity=17, severity_text="E", event="e",
               trace_id=TRACE, span_id=0x1F, attributes={"a": "1"}, resource={"pod": "c-0"}),
    ])  # fmt: skip
    page = logs(store, now_ns, now_ns + 1, Wanted())
    (found,) = page.records
    assert (found.at_ns, found.observed_ns, found.service) == (now_ns, now_ns + 5, "cart.shop")
    assert (found.severity, found.severity_text, found.event) == (17, "E", "e")
    assert (found.trace_id, found.span_id) == (TRACE.hex(), f"{0x1F:016x}")
    assert (found.body, found.scope) == ("it broke", "app")
    assert (found.attributes, found.resource) == ({"a": "1"}, {"pod": "c-0"})
    assert (page.total, page.exact) == (1, True)
    assert logs(store, now_ns - 5, now_ns, Wanted()).total == 0  # its window ends before it


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(), ["pay: 100% DONE", "stock low", "Connection refused by db-0", "started"]),
        (Wanted(service="stock.shop"), ["stock low"]),
        (Wanted(min_severity=13), ["stock low", "Connection refused by db-0"]),
        (Wanted(trace_id=TRACE.hex()), ["stock low"]),
        (Wanted(trace_id="0" * 31 + "1"), []),
        (Wanted(text="connection REFUSED by"), ["Connection refused by db-0"]),
        (Wanted(text="fused"), ["Connection refused by db-0"]),
        (Wanted(text="0%"), ["pay: 100% DONE"]),
        (Wanted(text="%"), ["pay: 100% DONE"]),
        (Wanted(text="_"), []),
        (Wanted(text="\\"), []),
        (Wanted(text="' OR 1 = 1 --"), []),
        (Wanted(attributes=(("user", "ann"),)), ["stock low", "started"]),
        (Wanted(attributes=(("user", None), ("pod", "c-0"))), ["started"]),
        (Wanted(service="cart.shop", text="d", min_severity=17), ["Connection refused by db-0"]),
    ],
)
def test_records_are_found_by_what_they_are(store, now_ns, wanted, found):
    insert(store, "logs", [
        record(now_ns, attributes={"user": "ann"}, resource={"pod": "c-0"}),
        record(now_ns + 1, "Connection refused by db-0", severity=17),
        record(now_ns + 2, "stock low", service="stock.shop", severity=13, trace_id=TRACE,
               attributes={"user": "ann"}),
        record(now_ns + 3, "pay: 100% DONE", severity=0),
        record(now_ns - 600 * SECOND, "long ago"),
    ])  # fmt: skip
    page = logs(store, now_ns - SECOND, now_ns + SECOND, wanted)
    assert [each.body for each in page.records] == found
    assert (page.total, page.exact) == (len(found), True)


@pytest.mark.parametrize("limit", [1, 3, 7, 60])
def test_pages_have_every_record_once_also_of_one_moment_and_when_some_are_alike(
    store, now_ns, limit
):
    rows = [record(now_ns + number // 20, f"line {number % 7}") for number in range(50)]
    insert(store, "logs", rows[:30])
    insert(store, "logs", rows[30:])
    found = pages(store, now_ns, now_ns + SECOND, Wanted(), limit)
    told = [(each.at_ns, each.body) for each in found]
    assert sorted(told) == sorted((row["time"], row["body"]) for row in rows)
    assert [at for at, _ in told] == sorted((at for at, _ in told), reverse=True)


def test_records_that_come_meanwhile_move_no_page(store, now_ns):
    insert(store, "logs", [record(now_ns + number, f"line {number}") for number in range(6)])
    first = logs(store, now_ns, now_ns + SECOND, Wanted(), limit=3)
    insert(store, "logs", [record(now_ns + 10, "newer"), record(now_ns + 1, "line 1 too")])
    after = place_after(first.records)
    second = logs(store, now_ns, now_ns + SECOND, Wanted(), limit=9, after=after)
    assert [each.body for each in second.records[:1]] == ["line 2"]
    assert {each.body for each in second.records[1:]} == {"line 1", "line 1 too", "line 0"}


def test_more_than_are_counted_are_said_to_be_at_least_so_many(store, now_ns):
    insert(store, "logs", [record(now_ns + number) for number in range(MAX_COUNTED + 1)])
    page = logs(store, now_ns, now_ns + SECOND, Wanted(), limit=1)
    assert (page.total, page.exact) == (MAX_COUNTED, False)
