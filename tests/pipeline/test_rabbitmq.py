"""RabbitMQ as the broker: it confirms what it keeps, and a kill of it loses and doubles nothing."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.settings import Settings
from collector.tasks import DEAD_QUEUE, QUEUE, QUORUM, celery_app
from tests.pipeline.processes import live_collector, running, stored_ids
from tests.pipeline.rabbitmq import RabbitProcess
from tests.pipeline.reports import decisions
from tests.waiting import eventually

ROWS = 'meshmeter_rows_inserted_total{table="decisions"}'


@pytest.fixture
def rabbit(tmp_path: Path) -> Iterator[RabbitProcess]:
    server = RabbitProcess(tmp_path / "rabbit")
    yield server
    server.end()


def queue_is_kept(url: str) -> bool:
    """A declaration with other arguments than the queue has is an error."""
    app = celery_app(url)
    with app.connection_for_write() as connection:
        channel = connection.default_channel
        channel.queue_declare(QUEUE, durable=True, auto_delete=False, arguments=QUORUM)
        channel.queue_declare(DEAD_QUEUE, passive=True)
    app.close()
    return True


def test_what_is_acknowledged_is_stored_once_though_the_broker_is_killed_under_load(
    rabbit, store_url, tmp_path
):
    settings = Settings(
        data_dir=tmp_path,
        broker_url=rabbit.url,
        clickhouse_url=store_url,
        internal_token="of the tests",
    )
    names = (f"{number:05d}" for number in itertools.count())
    acked: list[str] = []

    def send() -> None:
        ids = list(itertools.islice(names, 10))
        collector.append(decisions(*ids))
        acked.extend(ids)

    with live_collector(settings) as collector, running("worker", settings, tmp_path) as worker:

        def stored_by_the_worker(more_than: float) -> bool:
            send()
            return worker.metric(ROWS) > more_than

        eventually(lambda: stored_by_the_worker(50), timeout_s=60)
        assert queue_is_kept(rabbit.url)
        rabbit.kill()
        for _ in range(20):
            send()
        rabbit.start()
        assert queue_is_kept(rabbit.url)
        before = worker.metric(ROWS)
        eventually(lambda: stored_by_the_worker(before), timeout_s=60)
        eventually(collector.drained, timeout_s=60)
        assert stored_ids(collector.store) == acked
