import itertools
import signal
import threading

import pytest
from prometheus_client import REGISTRY

from collector.dispatcher import LEASE_MAX_S, Dispatcher, Pace, lease_s
from collector.outbox import Outbox, Terms
from collector.tasks import BrokerDown, celery_app, send_ingest
from tests.collector.test_outbox import break_file
from tests.pipeline.reports import append, report
from tests.waiting import eventually

MIB = 1024 * 1024
QUICK = Pace(tick_s=0.005, ripe_s=0.01, probe_s=0.05, broker_grace_s=0.2, drain_probe_s=0.3)


class Broker:
    """Takes ids while it is up."""

    def __init__(self) -> None:
        self.up = True
        self.taken: list[int] = []
        self.tries = 0

    def send(self, group: int) -> None:
        self.tries += 1
        if not self.up:
            raise BrokerDown("refused")
        self.taken.append(group)


@pytest.fixture
def outbox(tmp_path):
    outbox = Outbox(tmp_path, 64 * MIB, ballast_bytes=MIB)
    yield outbox
    outbox.close()


@pytest.fixture
def broker():
    return Broker()


@pytest.fixture
def stored_here():
    return []


@pytest.fixture
def start(outbox, broker, stored_here):
    started = []

    def store_here(group: int) -> bool:
        stored_here.append(group)
        return outbox.mark_done(group)

    def start(lease: float = 30.0, **terms: int) -> Dispatcher:
        found = Terms(**{"window": 16, "group_bytes": MIB, "max_attempts": 8} | terms,
                      lease_s=lambda _sends: lease)  # fmt: skip
        dispatcher = Dispatcher(outbox, broker.send, store_here, pace=QUICK, terms=found)
        dispatcher.start()
        started.append(dispatcher)
        return dispatcher

    yield start
    for dispatcher in started:
        dispatcher.stop()


def outcome(name: str) -> float:
    return REGISTRY.get_sample_value("meshmeter_groups_total", {"outcome": name}) or 0.0


def test_only_ids_are_sent_and_each_once_while_its_lease_lasts(outbox, broker, start):
    start()
    for number in range(3):
        append(outbox, report(b"%d" % number))
        eventually(lambda count=number + 1: len(broker.taken) == count)
    assert broker.taken == sorted(set(broker.taken))


def test_no_more_than_the_window_is_out(outbox, broker, start):
    append(outbox, *(report(b"%d" % number * 1000) for number in range(10)))
    start(window=3, group_bytes=1000)
    eventually(lambda: len(broker.taken) == 3)
    for done in range(10):
        assert len(broker.taken) - done <= 3
        outbox.mark_done(broker.taken[done])
        out = min(10, done + 4)
        eventually(lambda expected=out: len(broker.taken) == expected)


def test_a_group_nobody_answers_for_is_sent_again(outbox, broker, start):
    append(outbox, report(b"one"))
    start(lease=0.02)
    eventually(lambda: len(broker.taken) >= 5)
    assert set(broker.taken) == {broker.taken[0]}
    assert outbox.stats().quarantined_groups == 0


def test_a_group_taken_too_often_is_given_up_and_counted(outbox, broker, start, caplog):
    before = outcome("quarantined")
    append(outbox, report(b"one"))
    start(lease=0.02, max_attempts=2)
    for _ in range(2):
        count = len(broker.taken)
        eventually(lambda seen=count: len(broker.taken) > seen)
        outbox.begin_attempt(broker.taken[0])
    eventually(lambda: outbox.stats().quarantined_groups == 1)
    assert outcome("quarantined") == before + 1
    assert "A group is given up and kept" in caplog.text


def test_without_a_broker_groups_are_stored_here_until_it_is_back(
    outbox, broker, start, stored_here
):
    broker.up = False
    append(outbox, report(b"one"))
    start()
    eventually(lambda: stored_here)
    append(outbox, report(b"two"))
    eventually(lambda: outbox.stats().pending_requests == 0)
    assert broker.taken == []
    broker.up = True
    numbers = itertools.count()

    def sent_again() -> list[int]:
        append(outbox, report(b"%d" % next(numbers)))
        return broker.taken

    eventually(sent_again)
    assert not set(stored_here) & set(broker.taken)


def test_a_broker_away_for_a_moment_only_delays(outbox, broker, stored_here, start):
    broker.up = False
    append(outbox, report(b"one"))
    dispatcher = start()
    eventually(lambda: broker.tries)
    broker.up = True
    eventually(lambda: broker.taken)
    assert stored_here == []
    dispatcher.stop()


def test_it_goes_on_with_a_fresh_file_when_the_outbox_cannot_be_written(outbox, broker, start):
    break_file(outbox)
    start()
    eventually(lambda: outbox.broken_files == 1)
    append(outbox, report(b"fresh"))
    eventually(lambda: broker.taken)


def test_leases_grow_to_a_minute_and_differ():
    assert all(3.2 <= lease_s(0) <= 4.8 for _ in range(100))
    assert all(4.8 <= lease_s(1) <= 7.2 for _ in range(100))
    assert max(lease_s(sends) for sends in range(200)) <= 1.2 * LEASE_MAX_S
    assert len({lease_s(3) for _ in range(10)}) > 1


def test_a_hung_broker_holds_a_sender_no_longer_than_its_timeouts(valkey):
    app = celery_app(valkey.url)
    send_ingest(app, "", "http://127.0.0.1:1", "c", 1)
    valkey.process.send_signal(signal.SIGSTOP)
    failed = threading.Event()

    def send() -> None:
        with pytest.raises(BrokerDown):
            send_ingest(app, "", "http://127.0.0.1:1", "c", 2)
        failed.set()

    sender = threading.Thread(target=send)
    sender.start()
    try:
        assert failed.wait(15)  # unbounded with kombu's defaults
    finally:
        valkey.process.send_signal(signal.SIGCONT)
        sender.join()
    send_ingest(app, "", "http://127.0.0.1:1", "c", 3)
    app.close()


def test_one_that_was_never_started_stops_at_once(outbox, broker):
    Dispatcher(outbox, broker, lambda _group: True).stop()
