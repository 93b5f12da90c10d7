"""RabbitMQ as the broker: what it keeps it confirms. Killed or hung, it loses and doubles none."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from collector.settings import Settings
from collector.tasks import DEAD_QUEUE, QUEUE, QUORUM, celery_app
from collector.worker import STOPPED
from tests.pipeline.processes import (
    LiveCollector,
    MeshmeterProcess,
    live_collector,
    running,
    stored_ids,
)
from tests.pipeline.rabbitmq import RabbitProcess
from tests.pipeline.reports import decisions
from tests.waiting import eventually


@pytest.fixture(scope="module")
def rabbit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitProcess]:
    """One for all: it takes longer to start than the rest. It may still have a message of a
    collector that is gone."""
    server = RabbitProcess(tmp_path_factory.mktemp("rabbit") / "server")
    yield server
    server.end()


def groups(outcome: str) -> float:
    """Of collectors of this process."""
    return REGISTRY.get_sample_value("meshmeter_groups_total", {"outcome": outcome}) or 0.0


def stored_here() -> float:
    return groups("drained")


def stored_by_workers() -> float:
    return groups("done") - stored_here()


def queue_is_kept(url: str) -> bool:
    """A declaration with other arguments than the queue has is an error."""
    app = celery_app(url)
    with app.connection_for_write() as connection:
        channel = connection.default_channel
        channel.queue_declare(QUEUE, durable=True, auto_delete=False, arguments=QUORUM)
        channel.queue_declare(DEAD_QUEUE, passive=True)
    app.close()
    return True


class Load:
    """What is sent to a collector, ten decisions at a time, and what it acknowledged of them."""

    def __init__(self, collector: LiveCollector, worker: MeshmeterProcess) -> None:
        self._collector = collector
        self._worker = worker
        self._names = (f"{number:05d}" for number in itertools.count())
        self.acked: list[str] = []

    def send(self) -> None:
        ids = list(itertools.islice(self._names, 10))
        self._collector.append(decisions(*ids))
        self.acked.extend(ids)

    def until(self, condition: Callable[[], bool]) -> None:
        def look() -> bool:
            self.send()
            self._worker.start_again(STOPPED)  # as whoever supervises it does
            return condition()

        eventually(look, timeout_s=60)

    def until_more(self, stored: Callable[[], float], groups: int) -> None:
        before = stored()
        self.until(lambda: stored() >= before + groups)

    def is_stored_once(self) -> bool:
        eventually(self._collector.drained, timeout_s=60)
        return stored_ids(self._collector.store) == self.acked


@pytest.fixture
def load(rabbit: RabbitProcess, store_url: str, tmp_path: Path) -> Iterator[Load]:
    settings = Settings(
        data_dir=tmp_path,
        broker_url=rabbit.url,
        clickhouse_url=store_url,
        internal_token="of the tests",
    )
    with live_collector(settings) as collector, running("worker", settings, tmp_path) as worker:
        load = Load(collector, worker)
        load.until_more(stored_by_workers, 2)
        yield load


def test_what_is_acknowledged_is_stored_once_though_the_broker_is_killed_under_load(rabbit, load):
    assert queue_is_kept(rabbit.url)
    rabbit.kill()
    for _ in range(20):
        load.send()
    rabbit.start()
    assert queue_is_kept(rabbit.url)
    load.until_more(stored_by_workers, 2)
    assert load.is_stored_once()


def test_while_the_broker_hangs_the_collector_stores_by_itself_and_nothing_is_doubled_after(
    rabbit, load
):
    rabbit.pause()
    try:
        load.until_more(stored_here, 2)
    finally:
        rabbit.go_on()
    load.until_more(stored_by_workers, 2)
    assert load.is_stored_once()
