"""A real Envoy, configured by what the protocols' pages say, reports into a real outbox."""

from collections.abc import Iterator

import httpx
import pytest

from collector.decoders import decode_group
from collector.frontends import als, otlp
from collector.model import Report, Signal
from collector.settings import Settings
from collector.store.tables import NO_TRACE
from collector.transport.http import RawAnswer
from tests.collector.keeping import Keeping
from tests.conftest import free_port
from tests.counters import Counters
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
    tracing, runtime, (collector,), otlp_log = snippets("otlp.md")
    http_log, tcp_log = snippets("als.md")
    collector["load_assignment"] = cluster("collector", ports["collector"])["load_assignment"]
    route = {"match": {"prefix": "/"}, "route": {"cluster": "app"}}
    manager = {
        "route_config": {"virtual_hosts": [{"name": "app", "domains": ["*"], "routes": [route]}]},
        "http_filters": [{"name": "router", "typed_config": {"@type": ROUTER}}],
        **tracing,
        "access_log": http_log["access_log"] + otlp_log["access_log"],
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
    }


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Report]]:
    """What 40 requests, half of them over the TCP listener, leave in the outbox."""
    directory = tmp_path_factory.mktemp("reports")
    keeping, counters = Keeping(directory / "outbox"), Counters()
    grpc = {
        **als.grpc_methods(keeping.services, Settings()),
        **otlp.grpc_methods(keeping.services, Settings()),
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
                httpx.get(f"http://127.0.0.1:{port}/{number}").raise_for_status()
            expected = {"als": REQUESTS, "otlp_grpc": REQUESTS}  # spans and log records
            for protocol, items in expected.items():
                eventually(
                    lambda p=protocol, n=items: counters.moved("frontend_items", protocol=p) >= n
                )
    yield keeping.reports()
    keeping.outbox.close()


def test_everything_envoy_reported_becomes_rows(reports):
    decoded = decode_group(reports, group=1)
    assert decoded.dead == []
    by_otlp = REQUESTS // 2
    assert decoded.counts == {"requests": REQUESTS + by_otlp, "spans": REQUESTS // 2}


def test_both_access_logs_tell_the_same_of_a_request(reports):
    by_als, by_otlp = (
        told(one for one in reports if one.signal is signal)
        for signal in (Signal.ALS, Signal.OTLP_LOGS)
    )
    assert len(by_otlp) == REQUESTS // 2
    for path, row in by_otlp.items():
        assert row == by_als[path]


def told(reports):
    """Of HTTP requests, by path: what every access log tells."""
    names = "source destination reporter node protocol method host path status error denied"
    names += " flags details trace_id span_id request_id source_address weight"
    columns = decode_group(reports, group=1).tables["requests"]
    rows = zip(*(columns[name] for name in names.split()), strict=True)
    found = [dict(zip(names.split(), row, strict=True)) for row in rows]
    return {row["path"]: row for row in found if row["protocol"] == "http"}


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
