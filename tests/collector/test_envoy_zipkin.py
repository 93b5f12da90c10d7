"""Real Envoys with their Zipkin tracer, as its page configures it, and the edge they make."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from collector.decoders import decode_group
from collector.frontends import envoy_ext_authz, zipkin
from collector.model import Report
from collector.settings import Settings
from collector.store.queries.service_graph import service_graph
from collector.transport.http import RawAnswer
from tests import plain_http
from tests.collector.keeping import Keeping
from tests.conftest import free_port
from tests.counters import Counters
from tests.sidecar.envoy_parts import (
    MANAGER,
    ROUTER,
    TYPE,
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

REQUESTS = 20
SPANS_OF_A_REQUEST = 3  # of the caller's sidecar, of the other's, and of the check that one asks
EXT_AUTHZ = f"{TYPE}.http.ext_authz.v3.ExtAuthz"
HTTP2 = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
SECOND = 10**9


def sidecar(service: str, direction: str, ports: dict[str, int], **tracer: Any) -> Config:
    """Listens at its `service` and sends on to `next`; the inbound one asks before it does."""
    tracing, (collector,) = snippets("zipkin.md")
    tracing["tracing"]["provider"]["typed_config"].update(tracer)
    collector["load_assignment"] = cluster("collector_http", ports["collector"])["load_assignment"]
    checks = cluster("collector", ports["collector"])
    checks["typed_extension_protocol_options"] = {
        HTTP2: {
            "@type": f"type.googleapis.com/{HTTP2}",
            "explicit_http_config": {"http2_protocol_options": {}},
        }
    }
    asked = {"grpc_service": {"envoy_grpc": {"cluster_name": "collector"}, "timeout": "5s"}}
    check = {"name": "check", "typed_config": {"@type": EXT_AUTHZ, **asked}}
    router = {"name": "router", "typed_config": {"@type": ROUTER}}
    route = {"match": {"prefix": "/"}, "route": {"cluster": "next"}}
    manager = {
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [check, router] if direction == "INBOUND" else [router],
        **tracing,
    }
    return {
        "node": {"id": f"{service}-1", "cluster": service},
        "admin": {"address": address(free_port())},
        "static_resources": {
            "listeners": [listener(ports[service], "http", MANAGER, manager, direction)],
            "clusters": [cluster("next", ports[f"next of {service}"]), collector, checks],
        },
    }


@pytest.fixture(
    scope="module",
    params=[
        {"collector_endpoint_version": "HTTP_JSON", "shared_span_context": False},
        {"collector_endpoint_version": "HTTP_JSON", "shared_span_context": True},
        {"collector_endpoint_version": "HTTP_PROTO", "shared_span_context": False},
    ],
    ids=["JSON", "JSON, shared spans", "protobuf"],
)
def reports(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Report]]:
    """What 20 requests from a.shop's sidecar through b.shop's leave in the outbox."""
    directory: Path = tmp_path_factory.mktemp("zipkin")
    keeping, counters = Keeping(directory / "outbox"), Counters()
    with ExitStack() as running:
        collector = running.enter_context(
            serving(
                envoy_ext_authz.grpc_methods(keeping.services, Settings()),
                zipkin.http_routes(keeping.services, Settings()),
            )
        )
        app = running.enter_context(serving({}, {"/*": lambda _request: RawAnswer(200)}))
        ports = {name: free_port() for name in ("a.shop", "b.shop")}
        ports |= {"collector": port_of(collector.address), "next of b.shop": port_of(app.address)}
        ports["next of a.shop"] = ports["b.shop"]
        for service, direction in (("b.shop", "INBOUND"), ("a.shop", "OUTBOUND")):
            config = sidecar(service, direction, ports, **request.param)
            running.enter_context(envoy(config, directory))
        for number in range(REQUESTS):
            plain_http.get(f"http://127.0.0.1:{ports['a.shop']}/{number}").raise_for_status()
        expected = REQUESTS * SPANS_OF_A_REQUEST
        eventually(lambda: counters.moved("frontend_items", protocol="zipkin") >= expected)
    yield keeping.reports()
    keeping.outbox.close()


def test_every_span_becomes_a_row_of_its_kind_and_service(reports):
    decoded = decode_group(reports, 1)
    assert decoded.dead == []
    spans = decoded.tables["spans"]
    told = list(zip(spans["service"], spans["kind"], spans["weight"], strict=True))
    assert len(told) == REQUESTS * SPANS_OF_A_REQUEST
    assert told.count(("a.shop", 3, 1.0)) == REQUESTS
    assert told.count(("b.shop", 2, 1.0)) == REQUESTS
    assert told.count(("b.shop", 3, 0.0)) == REQUESTS  # the check: in the trace, and no request
    assert len(set(spans["trace_id"])) == REQUESTS
    answered = zip(spans["http_status"], spans["weight"], strict=True)
    assert {status for status, weight in answered if weight} == {200}


def test_the_graph_has_the_call_and_not_the_check(reports, store):
    decoded = decode_group(reports, 1)
    store.insert("spans", decoded.tables["spans"], token="envoy")
    start_ns = min(decoded.tables["spans"]["time"])
    (edge,) = service_graph(store, start_ns - SECOND, start_ns + 600 * SECOND)
    assert edge[:5] == ("a.shop", "b.shop", "spans", REQUESTS, 0)
