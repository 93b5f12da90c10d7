"""Acknowledged means stored exactly once, whatever ends or hangs meanwhile."""

import itertools
import signal
from pathlib import Path

import pytest

from collector.settings import Settings
from collector.store.client import Store
from migrations.clickhouse import migrate_clickhouse
from tests.conftest import ValkeyProcess
from tests.embedded.daemon import running_store
from tests.pipeline.processes import LiveCollector, live_collector, running, stored_ids
from tests.pipeline.reports import decisions
from tests.waiting import eventually


def settings_of(tmp_path: Path, broker: ValkeyProcess, store_url: str) -> Settings:
    return Settings(
        data_dir=tmp_path,
        broker_url=broker.url,
        redis_url=broker.url,
        clickhouse_url=store_url,
        internal_token="of the tests",
    )


@pytest.fixture
def settings(tmp_path, valkey, store_url):
    return settings_of(tmp_path, valkey, store_url)


def send(collector: LiveCollector, first: int, count: int) -> list[str]:
    """Reports of ten decisions each; returns the acknowledged ids."""
    ids = [f"{number:06d}" for number in range(first * 10, (first + count) * 10)]
    for start in range(0, len(ids), 10):
        collector.append(decisions(*ids[start : start + 10]))
    return ids


def test_what_is_acknowledged_is_stored_once_by_a_worker(settings, tmp_path):
    with live_collector(settings) as collector, running("worker", settings, tmp_path) as worker:
        ids = send(collector, 0, 50)
        again = decisions("retried")
        assert [collector.append(again) for _ in range(3)] == [1, 0, 0]
        eventually(collector.drained)
        assert stored_ids(collector.store) == [*ids, "retried"]
        assert worker.metric('meshmeter_rows_inserted_total{table="decisions"}') == 501
        assert worker.metric('meshmeter_ingest_cpu_seconds_total{stage="insert"}') > 0


def test_a_killed_worker_loses_and_doubles_nothing(settings, tmp_path):
    ids: list[str] = []
    with live_collector(settings) as collector:
        for round_ in range(2):
            with running("worker", settings, tmp_path):
                ids += send(collector, round_ * 40, 40)
                eventually(lambda: collector.outbox.stats().pending_groups > 0)
        with running("worker", settings, tmp_path):
            eventually(collector.drained, timeout_s=60)
        assert stored_ids(collector.store) == ids


@pytest.mark.parametrize("fault", ["killed", "paused"])
def test_without_a_broker_the_collector_stores_by_itself(settings, valkey, tmp_path, fault):
    with live_collector(settings) as collector:
        ids = send(collector, 0, 5)
        eventually(lambda: collector.outbox.stats().pending_groups > 0)
        if fault == "killed":
            valkey.kill()
        else:
            valkey.process.send_signal(signal.SIGSTOP)
        ids += send(collector, 5, 5)
        eventually(collector.drained, timeout_s=60)
        assert stored_ids(collector.store) == ids
        if fault == "killed":
            valkey.start()
        else:
            valkey.process.send_signal(signal.SIGCONT)
        with running("worker", settings, tmp_path) as worker:
            sends = itertools.count(10)

            def a_worker_stores_again() -> float:
                ids.extend(send(collector, next(sends), 1))
                return worker.metric('meshmeter_rows_inserted_total{table="decisions"}')

            eventually(a_worker_stores_again, timeout_s=60)
            eventually(collector.drained)
        assert stored_ids(collector.store) == ids


def test_while_the_store_is_down_reports_are_taken_and_stored_when_it_is_back(tmp_path, valkey):
    with running_store(tmp_path / "store") as store:
        url = f"{store.url.rpartition('/')[0]}/meshmeter"
        migrate_clickhouse(url)
        settings = settings_of(tmp_path, valkey, url)
        with live_collector(settings) as collector, running("worker", settings, tmp_path) as worker:
            ids = send(collector, 0, 10)
            store.kill()
            ids += send(collector, 10, 10)
            eventually(lambda: "ClickHouse" in worker.readiness())
            eventually(lambda: "a group waits" in worker.log())
            store.start()
            eventually(collector.drained, timeout_s=60)
            assert collector.outbox.stats().quarantined_groups == 0
            again = Store(url)
            assert stored_ids(again) == ids
            again.close()


def test_a_broker_that_forgets_everything_loses_nothing(settings, valkey, tmp_path):
    with live_collector(settings) as collector:
        ids = send(collector, 0, 10)
        eventually(lambda: collector.outbox.stats().pending_groups > 0)
        valkey.kill()
        for path in valkey.data_dir.rglob("*"):
            if path.is_file():
                path.unlink()
        valkey.start()
        with running("worker", settings, tmp_path):
            eventually(collector.drained, timeout_s=60)
        assert stored_ids(collector.store) == ids


def test_a_restarted_collector_sends_what_the_last_one_left(settings, tmp_path):
    with live_collector(settings) as collector:
        ids = send(collector, 0, 10)
        eventually(lambda: collector.outbox.stats().pending_groups > 0)
    with live_collector(settings) as collector, running("worker", settings, tmp_path):
        eventually(collector.drained)
        assert stored_ids(collector.store) == ids
