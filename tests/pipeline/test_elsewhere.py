"""A worker on another machine: it shares a network with the collector, and no file."""

import contextlib
import itertools
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from chaos.proxy import Proxies
from collector.settings import Settings, host_port
from tests.pipeline.namespace import CannotIsolate, Namespace, namespace
from tests.pipeline.processes import live_collector, running, stored_ids
from tests.pipeline.reports import decisions
from tests.waiting import eventually

ROWS = 'meshmeter_rows_inserted_total{table="decisions"}'
SERVERS = ("broker_url", "clickhouse_url")  # which listen to this machine alone


def test_a_worker_elsewhere_stores_what_it_fetches_once_though_its_cable_is_unplugged(
    valkey, store_url, tmp_path
):
    settings = Settings(
        data_dir=tmp_path / "collector",
        broker_url=valkey.url,
        clickhouse_url=store_url,
        internal_token="of the tests",
    )
    settings.data_dir.mkdir()
    with contextlib.ExitStack() as opened:
        try:
            other = opened.enter_context(namespace())
        except CannotIsolate as reason:
            print(f"no other network can be made here: {reason}")
            return
        opened.callback((proxies := proxies_at(other.host, settings)).close)
        store_elsewhere(settings, other, led(settings, proxies))


def proxies_at(host: str, settings: Settings) -> Proxies:
    ends = {name: host_port(urlsplit(getattr(settings, name)).netloc) for name in SERVERS}
    return Proxies(ends, host)


def led(settings: Settings, proxies: Proxies) -> Mapping[str, str]:
    return {
        name: urlsplit(getattr(settings, name))._replace(netloc=proxies.address(name)).geturl()
        for name in SERVERS
    }


def store_elsewhere(settings: Settings, other: Namespace, urls: Mapping[str, str]) -> None:
    its = settings.data_dir.parent / "worker"
    its.mkdir()
    far = replace(settings, data_dir=its, **urls)
    names = (f"{number:05d}" for number in itertools.count())
    acked: list[str] = []
    with (
        live_collector(settings, host=other.host) as collector,
        running("worker", far, its.parent, before=other.words, host=other.address) as worker,
    ):

        def send() -> None:
            ids = list(itertools.islice(names, 10))
            collector.append(decisions(*ids))
            acked.extend(ids)

        def more_is_stored(than: float) -> bool:
            send()
            return worker.metric(ROWS) > than

        eventually(lambda: more_is_stored(20))
        other.unplug()
        for _ in range(10):
            send()
        other.plug_in()
        before = worker.metric(ROWS)
        eventually(lambda: more_is_stored(before))
        eventually(collector.drained, timeout_s=60)
        assert stored_ids(collector.store) == acked
    assert list(its.iterdir()) == []
