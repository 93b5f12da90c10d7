"""The verdict must see every way in which data can be lost, doubled or damaged."""

import time

import pytest

from chaos.faults import EVERY, Kind, planned
from chaos.ledger import CONTENT, NAME, SERVICE, Ledger, content_of, request_of
from chaos.verdict import disagreements, stored
from collector.decoders import decode_group
from collector.model import Report, Signal
from collector.store.client import Store
from tests.collector.stored_rows import insert, span

HOURLY = "the rollup by hour counts"


def ledger_of(count: int) -> Ledger:
    ledger = Ledger()
    numbers = ledger.issue(count)
    ledger.acknowledge(numbers, 0.001, 1)
    return ledger


def put(store: Store, *numbers: int, content: str = "") -> None:
    now_ns = time.time_ns()
    insert(store, "spans", [
        span(now_ns, SERVICE, number, 0, name=NAME,
             attributes={CONTENT: content or content_of(number)})
        for number in numbers
    ])  # fmt: skip


def said(store: Store, ledger: Ledger) -> list[str]:
    return disagreements(ledger, stored(store), store)


def test_what_was_acknowledged_and_stored_once_is_right(store):
    put(store, 1, 2, 3)
    assert said(store, ledger_of(3)) == []
    found = stored(store)
    assert (found.rows, found.unique, found.rollups) == (3, 3, (3, 3, 3))


def test_what_is_missing_is_said(store):
    put(store, 1, 3)
    assert said(store, ledger_of(3)) == ["1 spans acknowledged and not stored"]


def test_what_is_there_twice_is_said(store):
    put(store, 1, 2)
    put(store, 2)
    assert said(store, ledger_of(2)) == ["1 spans stored more than once"]


def test_what_was_damaged_or_never_sent_is_said(store):
    put(store, 1)
    put(store, 2, content="other")
    put(store, 7)
    assert said(store, ledger_of(2)) == [
        "1 spans stored and never sent", "1 spans stored damaged",
    ]  # fmt: skip


def test_what_was_never_acknowledged_is_said(store):
    ledger = ledger_of(2)
    ledger.issue(1)
    put(store, 1, 2)
    assert said(store, ledger) == ["1 spans sent and never acknowledged"]


def test_a_rollup_that_counts_otherwise_is_said(store):
    put(store, 1, 2)
    store.command("TRUNCATE TABLE operations_1h")
    assert said(store, ledger_of(2)) == [f"{HOURLY} 0 spans, the table has 2"]


def test_a_request_becomes_the_rows_the_verdict_looks_for(store):
    ledger = Ledger()
    numbers = ledger.issue(5)
    report = Report(Signal.OTLP_TRACES, request_of(numbers), time.time_ns(), "chaos")
    decoded = decode_group([report], 1)
    store.insert("spans", decoded.tables["spans"], token="one")
    ledger.acknowledge(numbers, 0.001, 1)
    assert said(store, ledger) == []


def test_a_plan_breaks_everything_in_every_way_and_is_the_same_for_a_seed():
    plan = list(planned(60, seed=5))
    assert {(fault.kind, fault.target) for fault in plan[: len(EVERY)]} == set(EVERY)
    assert plan == list(planned(60, seed=5))
    assert plan != list(planned(60, seed=6))
    assert any(fault.after_s == 0 for fault in plan)
    assert all(fault.pause_s > 0 for fault in plan if fault.kind is Kind.PAUSE)


@pytest.mark.parametrize("count", [0, 1])
def test_a_plan_may_be_short(count):
    assert len(list(planned(count, seed=1))) == count
