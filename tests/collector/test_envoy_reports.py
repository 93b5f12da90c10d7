"""A real Envoy, configured by what the protocols' pages say, reports into a real outbox."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from collector.decoders import decode_group
from collector.frontends import als, otlp
from collector.model import Report, Signal
from collector.services import Reporter
from collector.settings import Settings
from collector.store.tables import NO_TRACE
from collector.transport.http import RawAnswer
from tests import plain_http
from tests.collector.keeping import Keeping
from tests.conftest import free_port
from tests.sidecar.envoy_parts import (
    MANAGER,
    ROUTER,
    TCP_PROXY,
    Config,
    address,
    cluster,
    envoy,
    listener,
    port_of,
    snippets,
)
from tests.transport.serving import serving
from tests.waiting import eventually

REQUESTS = 40


def envoy_config(ports: dict[str, int]) -> Config:
    tracing, runtime, (collector,), otlp_log, stats_log, stats_sink = snippets("otlp.md")
    http_log, tcp_log = snippets("als.md")
    collector["load_assignment"] = cluster("collector", ports["collector"])["load_assignment"]
    route = {"match": {"prefix": "/"}, "route": {"cluster": "app"}}
    manager = {
        "route_config": {"virtual_hosts": [{"name": "app", "domains": ["*"], "routes": [route]}]},
        "http_filters": [{"name": "router", "typed_config": {"@type": ROUTER}}],
        **tracing,
        "access_log": [
            entry for log in (http_log, otlp_log, stats_log) for entry in log["access_log"]
        ],
    }
    return {
        "node": {"id": "cart-1.shop", "cluster": "cart.shop", "metadata": {"WORKLOAD": "cart"}},
        "admin": {"address": address(ports["admin"])},
        "static_resources": {
            "listeners": [
                listener(ports["http"], "http", MANAGER, manager),
                listener(ports["tcp"], "tcp", TCP_PROXY, {"cluster": "app", **tcp_log}),
            ],
            "clusters": [cluster("app", ports["app"]), collector],
        },
        **runtime,
        **stats_sink,
    }


class Noting:
    """Keeps what goes to the outbox."""

    def __init__(self, reporter: Reporter) -> None:
        self.reports: list[Report] = []
        self._reporter = reporter

    async def report(self, report: Report) -> None:
        await self._reporter.report(report)
        self.reports.append(report)


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Report]]:
    """What 40 requests, half of them over the TCP listener, leave in the outbox."""
    directory = tmp_path_factory.mktemp("reports")
    keeping = Keeping(directory / "outbox")
    noting = Noting(keeping.services.reporter)
    services = replace(keeping.services, reporter=noting)
    reports = noting.reports

    def arrived() -> dict[str, int]:
        """Items by signal; of the metrics, the requests Envoy has counted."""
        items = {signal: len(rows(reports, signal)) for signal in (Signal.ALS, Signal.OTLP_LOGS)}
        items[Signal.OTLP_TRACES] = len(rows(reports, Signal.OTLP_TRACES, "spans"))
        return items | {Signal.OTLP_METRICS: max(totals(reports), default=0)}

    grpc = {
        **als.grpc_methods(services, Settings()),
        **otlp.grpc_methods(services, Settings()),
    }
    with (
        serving(grpc) as collector,
        serving({}, {"/*": lambda _request: RawAnswer(200)}) as app,
    ):
        ports = {name: free_port() for name in ("admin", "http", "tcp")}
        ports |= {"collector": port_of(collector.address), "app": port_of(app.address)}
        with envoy(envoy_config(ports), directory):
            for number in range(REQUESTS):
                port = ports["tcp" if number % 2 else "http"]
                plain_http.get(f"http://127.0.0.1:{port}/{number}").raise_for_status()
            half = REQUESTS // 2
            expected = {Signal.ALS: REQUESTS, Signal.OTLP_LOGS: half, Signal.OTLP_TRACES: half}
            expected[Signal.OTLP_METRICS] = half
            eventually(lambda: arrived() == expected, timeout_s=30)
    yield reports
    keeping.outbox.close()


def test_what_envoy_sends_may_use_the_room_kept_for_those_who_send_nothing_again(reports):
    assert {report.signal for report in reports if not report.headroom} == set()


def rows(reports: list[Report], signal: Signal, table: str = "requests") -> list[dict[str, Any]]:
    """What the reports of a signal leave in a table, by column."""
    decoded = decode_group([report for report in reports if report.signal is signal], group=1)
    columns = decoded.tables.get(table, {})
    return [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]


def totals(reports: list[Report]) -> list[int]:
    """What the counter of requests stood at, each time it was sent."""
    points = rows(reports, Signal.OTLP_METRICS, "metric_points")
    return [point["integer"] for point in points if point["metric"] == "mesh.requests"]


def test_everything_envoy_reported_becomes_rows(reports):
    decoded = decode_group(reports, group=1)
    assert decoded.dead == []
    half = REQUESTS // 2
    counts = decoded.counts
    assert counts.pop("metric_points") > 0
    assert counts == {"requests": REQUESTS + half, "spans": half}


def test_both_access_logs_tell_the_same_of_a_request(reports):
    names = "source destination reporter node protocol method host path status error denied"
    names += " flags details trace_id span_id request_id source_address weight"

    def told(signal: Signal) -> dict[str, dict[str, Any]]:
        return {
            row["path"]: {name: row[name] for name in names.split()}
            for row in rows(reports, signal)
            if row["protocol"] == "http"
        }

    assert len(told(Signal.OTLP_LOGS)) == REQUESTS // 2
    assert told(Signal.OTLP_LOGS) == told(Signal.ALS)


def test_counts_are_totals_and_nothing_else_is_sent_but_a_sign_of_life(reports):
    assert sorted(totals(reports)) == totals(reports)
    names = {point["metric"] for point in rows(reports, Signal.OTLP_METRICS, "metric_points")}
    assert names == {"mesh.requests", "mesh.request_duration", "server.live"}


def test_the_sender_is_who_its_metadata_says(reports):
    assert {report.identity for report in reports} == {"cart-1.shop"}


def test_each_message_says_whose_it_is_and_in_few_bytes(reports):
    requests = decode_group(reports, group=1).tables["requests"]
    assert set(requests["destination"]) == {"cart.shop"}
    assert max(len(report.body) for report in reports) < 32_000


def test_spans_and_log_entries_of_a_request_share_their_trace(reports):
    tables = decode_group(reports, group=1).tables
    traced = set(tables["requests"]["trace_id"]) - {NO_TRACE}
    assert traced == set(tables["spans"]["trace_id"])
    assert len(traced) == REQUESTS // 2
