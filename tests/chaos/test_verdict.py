"""The verdict must see every way in which data can be lost, doubled or damaged."""

import os
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

from chaos.faults import EVERY, planned
from chaos.ledger import CONTENT, NAME, SERVICE, Ledger, content_of, request_of
from chaos.processes import IDLE, MIB, Usage, busy_threads, gained, strays
from chaos.verdict import stored, unaccounted, verdict
from collector.decoders import decode_group
from collector.model import Report, Signal
from collector.store.client import Store
from launch.supervisor import LIBC, Supervisor
from tests.collector.stored_rows import insert, span
from tests.waiting import eventually

PR_SET_NAME = 15  # linux/prctl.h
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
    return [text for texts in verdict(ledger, stored(store), store).values() for text in texts]


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


COUNTED = """
meshmeter_frontend_messages_total{protocol="otlp_http"} 9.0
meshmeter_frontend_messages_total{protocol="als"} 4.0
meshmeter_reports_total{signal="otlp-traces"} 6.0
meshmeter_frontend_messages_dropped_total{protocol="otlp_http",reason="overloaded"} 2.0
"""
GIVEN_UP = 'meshmeter_frontend_messages_dropped_total{protocol="otlp_http",reason="abandoned"} '


def test_a_message_that_is_nowhere_is_said():
    assert unaccounted(COUNTED + GIVEN_UP + "1.0") == []
    assert unaccounted(COUNTED + GIVEN_UP + "0.0") == [
        "the collector counts that 9 messages are 6 in the outbox and 2 dropped"
    ]


def test_a_message_given_up_by_its_sender_may_be_in_the_outbox():
    assert unaccounted(COUNTED + GIVEN_UP + "2.0") == []
    assert unaccounted(COUNTED.replace("6.0", "8.0") + GIVEN_UP + "0.0") != []


def test_what_a_process_gained_is_said():
    before = {"worker": Usage(20, 5, 100 * MIB)}
    assert gained(before, {"worker": Usage(30, 6, 150 * MIB)}) == []
    assert len(gained(before, {"worker": Usage(200, 90, 900 * MIB)})) == 3


def test_a_thread_that_waits_in_the_pool_of_clickhouse_is_not_counted():
    named, over = threading.Event(), threading.Event()

    def wait() -> None:
        LIBC.prctl(PR_SET_NAME, IDLE.encode())
        named.set()
        over.wait()

    own = psutil.Process()
    before = busy_threads(own)
    thread = threading.Thread(target=wait)
    thread.start()
    try:
        assert named.wait(10)
        assert (busy_threads(own), own.num_threads()) == (before, before + 1)
    finally:
        over.set()
        thread.join()


def test_a_process_that_nobody_looks_after_is_found(tmp_path):
    environ = {**os.environ, "MESHMETER_DATA_DIR": str(tmp_path)}
    watched = Supervisor(environ, tmp_path / "logs", say=str)
    code = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', sys.argv[1]])"
    forever = "import signal; signal.pause()"
    subprocess.run([sys.executable, "-c", code, forever], env=environ, check=True)
    (stray,) = eventually(lambda: strays(watched, tmp_path))
    os.kill(stray, signal.SIGKILL)
    eventually(lambda: not strays(watched, tmp_path))


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
    assert all(fault.lasts_s > 0 for fault in plan)


@pytest.mark.parametrize("count", [0, 1])
def test_a_plan_may_be_short(count):
    assert len(list(planned(count, seed=1))) == count
