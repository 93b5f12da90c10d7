import re
import signal
import socket
import subprocess
import sys
import time

import pytest

from collector.beat import run_beat
from collector.decoders import DECODERS
from collector.errors import InvalidSetting
from collector.groups import OutboxGroups
from collector.ingest import ingest
from collector.model import Report, Signal
from collector.outbox import Outbox
from collector.settings import Settings
from collector.store.client import Store
from collector.tasks import QUEUE, BrokerDown, celery_app, refuse_evicting_broker, send_ingest
from collector.worker import Pulse, run_worker
from launch.embedded import stuck
from tests import plain_http
from tests.collector.stored_rows import insert, span
from tests.pipeline.processes import running, stored_ids
from tests.pipeline.reports import append, decisions, report
from tests.waiting import eventually

MIB = 1024 * 1024


@pytest.fixture
def outbox(tmp_path):
    outbox = Outbox(tmp_path, 64 * MIB, ballast_bytes=MIB)
    yield outbox
    outbox.close()


def test_a_group_stored_again_adds_nothing(outbox, store):
    append(outbox, decisions("a", "b"), report(b"no decision"))
    group = outbox.freeze_group(MIB)
    other = OutboxGroups(outbox)
    reports = other.fetch(group)

    class Late(OutboxGroups):
        """A worker that was paused: it has the group since before it was done."""

        def fetch(self, group):
            return reports

    assert ingest(other, store, outbox.collector_id, group)
    assert ingest(Late(outbox), store, outbox.collector_id, group)
    assert stored_ids(store) == ["a", "b"]
    assert store.rows("SELECT count(), any(signal) FROM dead_letters") == [(1, "decisions")]


def failure(outbox: Outbox) -> tuple[int, str]:
    """Attempts that count and the last fault of the only group."""
    found: tuple[int, str] = outbox._file.connection.execute(
        "SELECT attempts, failure FROM groups"
    ).fetchone()
    return found


def test_a_decoders_bug_loses_nothing_and_tells_no_payload(outbox, store, monkeypatch, caplog):
    def buggy(report: Report, _out: object) -> None:
        raise ValueError(report.body)

    append(outbox, decisions("a"))
    group = outbox.freeze_group(MIB)
    here = OutboxGroups(outbox)
    with monkeypatch.context() as bug:
        bug.setitem(DECODERS, Signal.DECISIONS, buggy)
        assert not ingest(here, store, outbox.collector_id, group)
    attempts, reason = failure(outbox)
    assert attempts == 1
    assert re.fullmatch(r"ValueError at test_worker.py:\d+", reason)
    assert "A group cannot be stored" in caplog.text
    assert ingest(here, store, outbox.collector_id, group)
    assert stored_ids(store) == ["a"]


def test_what_the_store_refuses_is_kept_with_its_code(outbox, store):
    append(outbox, decisions("a"))
    group = outbox.freeze_group(MIB)
    store.command("RENAME TABLE decisions TO elsewhere")
    assert not ingest(OutboxGroups(outbox), store, outbox.collector_id, group)
    attempts, reason = failure(outbox)
    assert attempts == 1
    assert reason.startswith("StoreError 60: ")
    store.command("RENAME TABLE elsewhere TO decisions")
    assert ingest(OutboxGroups(outbox), store, outbox.collector_id, group)
    assert stored_ids(store) == ["a"]


def test_while_the_store_is_down_a_group_is_not_even_fetched(outbox):
    append(outbox, decisions("a"))
    group = outbox.freeze_group(MIB)
    away = Store("clickhouse://127.0.0.1:1/meshmeter")
    assert not ingest(OutboxGroups(outbox), away, outbox.collector_id, group)
    assert failure(outbox) == (0, "")


def test_silence_is_trouble_only_while_messages_wait():
    now_s, waiting = [0.0], [0]
    pulse = Pulse(lambda: waiting[0], clock=lambda: now_s[0])
    now_s[0] = 31
    assert pulse.trouble() == ""
    waiting[0] = 3
    assert pulse.trouble() == "no message for 31 s while 3 messages wait"
    with pulse.taken():
        now_s[0] = 95
        assert pulse.trouble() == ""  # one that takes long is in hand
    assert pulse.trouble() == ""
    now_s[0] = 106
    assert pulse.trouble() == "no message for 11 s while 3 messages wait"


ENDING = """
import threading
from collector.worker import Pulse, end_when_stopped
now_s = iter(range(0, 10_000, 4))
end_when_stopped(Pulse(lambda: 3, clock=lambda: next(now_s)), threading.Event())
"""


def test_a_worker_whose_consumer_has_stopped_ends_to_be_started_again():
    ended = subprocess.run([sys.executable, "-c", ENDING], capture_output=True, text=True)
    assert ended.returncode == 75
    assert "The consumer has stopped" in ended.stderr


SUSPENDED = """
import threading
from collector.worker import Pulse, end_when_stopped
ended, looks, now_s = threading.Event(), iter([0, 60, 61]), [0]
def clock():
    now_s[0] = next(looks)
    if now_s[0] == 61:
        ended.set()
    return now_s[0]
end_when_stopped(Pulse(lambda: 3, clock=lambda: now_s[0]), ended, clock)
"""


def test_a_worker_that_was_suspended_has_time_to_connect_again():
    looked = subprocess.run([sys.executable, "-c", SUSPENDED], capture_output=True, text=True)
    assert (looked.returncode, looked.stderr) == (0, "")


def test_a_consumer_has_time_to_come_back_after_its_broker():
    now_s, away = [0.0], [True]

    def waiting() -> int:
        if away[0]:
            raise BrokerDown("refused")
        return 3

    pulse = Pulse(waiting, clock=lambda: now_s[0])
    now_s[0] = 45
    assert "the broker does not answer" in pulse.trouble()
    away[0], now_s[0] = False, 55
    assert pulse.trouble() == ""
    now_s[0] = 56
    assert pulse.trouble() == "no message for 56 s while 3 messages wait"


def test_silence_of_the_broker_is_told():
    def away() -> int:
        raise BrokerDown("refused")

    now_s = [0.0]
    pulse = Pulse(away, clock=lambda: now_s[0])
    now_s[0] = 45
    assert pulse.trouble() == "no message for 45 s; the broker does not answer: refused"


def test_beat_sends_heartbeats_the_worker_takes_and_both_stop_when_told(
    tmp_path, valkey, store_url, store
):
    settings = Settings(data_dir=tmp_path, broker_url=valkey.url, clickhouse_url=store_url)
    name = "meshmeter_heartbeats_total"
    insert(store, "spans", [span(time.time_ns(), "a.shop", 1, 0)])
    with (
        running("beat", settings, tmp_path) as beat,
        running("worker", settings, tmp_path) as worker,
    ):
        eventually(lambda: worker.metric(name) >= 2, timeout_s=40)
        assert list((tmp_path / "beat").iterdir())
        valkey.kill()
        eventually(lambda: "took no heartbeat" in beat.readiness(), timeout_s=40)
        valkey.start()
        before = worker.metric(name)
        eventually(lambda: beat.readiness() == "", timeout_s=40)
        eventually(lambda: worker.metric(name) > before, timeout_s=40)
        eventually(lambda: worker.metric("meshmeter_settled_minutes_total") == 1, timeout_s=40)
        for process in (beat, worker):
            process.send(signal.SIGTERM)
        assert [process.process.wait(30) for process in (beat, worker)] == [0, 0]


def test_a_broker_that_would_evict_messages_is_refused(valkey, tmp_path):
    app = celery_app(valkey.url)
    refuse_evicting_broker(app)
    with app.connection_for_write() as connection:
        connection.default_channel.client.config_set("maxmemory-policy", "allkeys-lru")
    app.close()
    settings = Settings(broker_url=valkey.url, data_dir=tmp_path)
    for run in (run_worker, run_beat):
        with pytest.raises(InvalidSetting, match="maxmemory-policy is allkeys-lru"):
            run(settings)


def test_a_port_in_use_is_a_clear_error(valkey, tmp_path, store_url):
    taken = f"127.0.0.1:{valkey.port}"
    settings = Settings(
        broker_url=valkey.url, data_dir=tmp_path, clickhouse_url=store_url,
        worker_http=taken, beat_http=taken,
    )  # fmt: skip
    for run in (run_worker, run_beat):
        with pytest.raises(InvalidSetting, match=r"cannot listen at .*in use"):
            run(settings)


def test_an_unknown_broker_is_a_clear_error():
    with pytest.raises(InvalidSetting, match="not 'kafka'"):
        celery_app("kafka://somewhere")


REQUIRED = {
    "task_acks_late": True,
    "task_reject_on_worker_lost": False,
    "task_ignore_result": True,
    "task_serializer": "json",
    "accept_content": ["json"],
    "worker_prefetch_multiplier": 1,
    "broker_connection_max_retries": None,
}


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "amqp://127.0.0.1:1//"])
def test_the_outbox_and_not_the_broker_sends_again(url):
    app = celery_app(url)
    assert {name: getattr(app.conf, name) for name in REQUIRED} == REQUIRED


def test_rabbitmq_confirms_and_keeps_messages_in_a_quorum_queue():
    app = celery_app("amqp://127.0.0.1:1//")
    assert app.conf.broker_transport_options["confirm_publish"] is True
    (queue,) = app.conf.task_queues
    assert queue.name == QUEUE
    assert queue.queue_arguments["x-queue-type"] == "quorum"
    assert queue.queue_arguments["x-delivery-limit"] == 5


def test_a_message_nobody_signed_has_the_token_sent_nowhere(valkey, tmp_path, store_url):
    settings = Settings(
        data_dir=tmp_path,
        broker_url=valkey.url,
        clickhouse_url=store_url,
        internal_token="shared",
    )
    app = celery_app(valkey.url)
    with (
        socket.create_server(("127.0.0.1", 0)) as forged,
        socket.create_server(("127.0.0.1", 0)) as signed,
        running("worker", settings, tmp_path) as worker,
    ):
        for token, server in (("guessed", forged), ("shared", signed)):
            send_ingest(app, token, f"http://127.0.0.1:{server.getsockname()[1]}", "c", 1)
        signed.settimeout(30)
        connection, _ = signed.accept()
        with connection:
            assert b"Bearer shared" in connection.recv(4096)
        eventually(lambda: "not signed with the internal token" in worker.log())
        forged.setblocking(False)
        with pytest.raises(BlockingIOError):
            forged.accept()
    app.producer_pool.force_close_all()  # whose connections outlive the app
    app.close()


def test_a_worker_that_hangs_is_stuck_and_one_that_waits_for_the_store_is_not(valkey, tmp_path):
    settings = Settings(
        data_dir=tmp_path, broker_url=valkey.url, clickhouse_url="clickhouse://127.0.0.1:1/x"
    )
    with running("worker", settings, tmp_path, ready=False) as worker:
        look = stuck(worker.health)
        eventually(lambda: "no answer from ClickHouse" in worker.readiness())
        assert look() == ""
        worker.send(signal.SIGSTOP)
        assert look()
        worker.send(signal.SIGCONT)
        eventually(lambda: look() == "")


def test_a_dead_store_is_told_by_readiness(valkey, tmp_path):
    settings = Settings(
        data_dir=tmp_path, broker_url=valkey.url, clickhouse_url="clickhouse://127.0.0.1:1/x"
    )
    with running("worker", settings, tmp_path, ready=False) as worker:
        eventually(lambda: "no answer from ClickHouse" in worker.readiness())
        assert plain_http.get(f"http://{worker.health}/healthz").status_code == 200
