"""A real Envoy counts for us: whoever restarts meanwhile, the sums are those of its requests."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from collector.decoders import decode_group
from collector.frontends import als, otlp
from collector.model import Report, Signal
from collector.settings import Settings
from collector.sidecar.envoy import envoy_config
from collector.sidecar.sidecar import Address, CheckProtocol, Sidecar, Upstream
from collector.store.queries.metric_rates import SeriesRate, metric_rates
from collector.transport.http import RawAnswer
from tests import plain_http
from tests.collector.keeping import Keeping
from tests.conftest import free_port
from tests.sidecar.envoy_parts import port_of, snippets
from tests.sidecar.envoys import running_config
from tests.transport.serving import serving
from tests.waiting import eventually

CALLER = {"x-envoy-downstream-service-cluster": "web.shop"}
BEFORE, DURING, AFTER, ANEW = 20, 30, 10, 5  # requests: around a collector's restart, then Envoy's


class Told(NamedTuple):
    """What was in the outbox in the end, and how many requests there were each way."""

    reports: list[Report]
    inbound: int
    outbound: int
    failed: int


class Mesh:
    """One sidecar with its application, its upstream and a collector that can go away."""

    def __init__(self, directory: Path, app: str) -> None:
        self.keeping = Keeping(directory / "outbox")
        self.reports: list[Report] = []
        self.directory = directory
        self.collector_port = free_port()
        listen = Address("127.0.0.1", free_port())
        self.sidecar = Sidecar(
            service="cart.shop",
            node="cart-1.shop",
            collector_grpc=Address("127.0.0.1", self.collector_port),
            collector_http=Address("127.0.0.1", self.collector_port),
            admin=Address("127.0.0.1", free_port()),
            inbound=Address("127.0.0.1", free_port()),
            app=Address("127.0.0.1", port_of(app)),
            upstreams=(Upstream("stock.shop", Address("127.0.0.1", port_of(app)), listen),),
            check=CheckProtocol.NONE,
            sampling_percent=0,
            metrics=True,
        )

    @contextlib.contextmanager
    def collector(self) -> Iterator[None]:
        methods = {
            **otlp.grpc_methods(self.keeping.services, Settings()),
            **als.grpc_methods(self.keeping.services, Settings()),
        }
        with serving(methods, address=f"127.0.0.1:{self.collector_port}"):
            yield

    def envoy(self) -> contextlib.AbstractContextManager[None]:
        """With OTLP's access log beside the usual one, and counts sent each second."""
        config = envoy_config(self.sidecar) | {"stats_flush_interval": "1s"}
        (*_, otlp_log) = snippets("otlp.md")[:4]
        inbound: Any = config["static_resources"]["listeners"][0]
        (http,) = inbound["filter_chains"][0]["filters"]
        http["typed_config"]["access_log"] += otlp_log["access_log"]
        return running_config(config, self.sidecar, self.directory)

    def ask(self, times: int, path: str = "/") -> None:
        """So many requests in, and as many out."""
        with plain_http.Client(headers=CALLER) as client:
            for address in (self.sidecar.inbound, self.sidecar.upstreams[0].listen):
                for _ in range(times):
                    client.get(f"http://{address}{path}")

    def counted(self, metric: str, of: str) -> list[int]:
        """What the latest exports of a process say, of each process that told."""
        self.reports += self.keeping.reports()
        rows = decode_group(self.reports, 1).tables.get("metric_points", {})
        names = ("metric", "attributes", "start", "series", "integer", "observations")
        latest = {
            (start, series): integer + observations
            for name, told, start, series, integer, observations in zip(
                *(rows.get(column, []) for column in names), strict=True
            )
            if name == metric and told["reporter"] == of
        }
        by_start: dict[int, int] = {}
        for (start, _series), value in latest.items():
            by_start[start] = by_start.get(start, 0) + value
        return sorted(by_start.values())

    def logged(self) -> int:
        """Entries of the inbound access log that came by OTLP."""
        self.reports += self.keeping.reports()
        return len(of_signal(self.reports, Signal.OTLP_LOGS).get("requests", {}).get("time", []))

    def wait(self, *expected: int) -> None:
        """Until so many requests of each process of Envoy are counted, and all are logged."""
        for metric in ("mesh.requests", "mesh.request_duration"):
            for side in ("inbound", "outbound"):
                eventually(
                    lambda m=metric, s=side: self.counted(m, s) == sorted(expected), timeout_s=30
                )
        eventually(lambda: self.logged() >= sum(expected), timeout_s=30)


def of_signal(reports: list[Report], signal: Signal) -> dict[str, dict[str, list[Any]]]:
    decoded = decode_group([report for report in reports if report.signal is signal], 1)
    assert decoded.dead == []
    return decoded.tables


def answer(request: Any) -> RawAnswer:
    return RawAnswer(503 if request.path == "/fail" else 200, [], b"hello")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    directory = tmp_path_factory.mktemp("metrics")
    with serving({}, {"/*": answer}) as app:
        mesh = Mesh(directory, app.address)
        total = BEFORE + DURING + AFTER
        with mesh.envoy():
            with mesh.collector():
                mesh.ask(BEFORE - 1)
                mesh.ask(1, "/fail")
                mesh.wait(BEFORE)
            mesh.ask(DURING)
            with mesh.collector():
                mesh.ask(AFTER)
                mesh.wait(total)
        with mesh.collector(), mesh.envoy():
            mesh.ask(ANEW)
            mesh.wait(ANEW, total)
        yield Told(mesh.reports, total + ANEW, total + ANEW, failed=1)
        mesh.keeping.outbox.close()


@pytest.fixture
def ask(told, store):
    """A question about a metric, once all is stored: in groups, backwards, and every one twice."""
    metrics = [report for report in told.reports if report.signal is Signal.OTLP_METRICS]
    groups = [metrics[first : first + 3] for first in range(0, len(metrics), 3)]
    for number, group in reversed(list(enumerate(groups, 1))):
        columns = decode_group(group, number).tables["metric_points"]
        for _ in range(2):
            store.insert("metric_points", columns, token=f"c:{number}:metric_points")
    now_ns = time.time_ns()

    def asked(metric: str, **attributes: str) -> list[SeriesRate]:
        found = metric_rates(
            store, metric, now_ns - 600 * 10**9, now_ns + 10**9, attributes=attributes
        )
        return found.series

    return asked


def summed(series: list[SeriesRate]) -> float:
    return sum(one.increase for one in series)


def test_requests_add_up_over_restarts_of_the_collector_and_of_envoy(told, ask):
    assert summed(ask("mesh.requests", reporter="inbound")) == pytest.approx(told.inbound)
    assert summed(ask("mesh.requests", reporter="outbound")) == pytest.approx(told.outbound)
    for reporter in ("inbound", "outbound"):
        histogram = ask("mesh.request_duration", reporter=reporter)
        assert summed(histogram) == pytest.approx(told.inbound)
        buckets = [sum(each) for each in zip(*(one.buckets for one in histogram), strict=True)]
        assert sum(buckets) == pytest.approx(told.inbound)
        assert len(histogram[0].bounds) == len(buckets) - 1 == 19


def test_bytes_add_up_too(told, ask):
    (sent,) = ask("mesh.response_bytes", reporter="inbound", code="200")
    assert sent.increase == pytest.approx(len(b"hello") * (told.inbound - told.failed))


def test_a_series_is_an_edge_and_an_outcome(told, ask):
    (failed,) = ask("mesh.requests", reporter="inbound", code="503")
    assert failed.increase == pytest.approx(told.failed)
    assert (failed.service, failed.node) == ("cart.shop", "cart-1.shop")
    edge = {name: failed.attributes[name] for name in ("source", "destination")}
    assert edge == {"source": "web.shop", "destination": "cart.shop"}
    (out, *_) = ask("mesh.requests", reporter="outbound", code="200")
    edge = {name: out.attributes[name] for name in ("source", "destination")}
    assert edge == {"source": "cart.shop", "destination": "stock.shop"}


def test_nothing_but_our_counts_and_a_sign_of_life_is_sent(told):
    names = of_signal(told.reports, Signal.OTLP_METRICS)["metric_points"]["metric"]
    assert {name for name in names if not name.startswith("mesh.")} == {"server.live"}


def test_starts_are_nanoseconds_of_today(told):
    rows = of_signal(told.reports, Signal.OTLP_METRICS)["metric_points"]
    starts = set(rows["start"]) - {0}
    assert len(starts) == 2  # of the two processes
    assert all(abs(start - min(rows["time"])) < 120 * 10**9 for start in starts)


def test_no_access_log_entry_sent_by_otlp_is_lost_while_the_collector_restarts(told):
    ids = of_signal(told.reports, Signal.OTLP_LOGS)["requests"]["log_id"]
    assert len(set(ids)) == len(ids) == told.inbound
