"""A real Envoy's counters and timers over statsd, in both of its forms, add up to what it did."""

from pathlib import Path
from typing import Any

import pytest

from collector.decoders import decode_group
from collector.frontends import statsd
from collector.model import Report
from collector.settings import Settings
from collector.transport.http import RawAnswer
from tests import plain_http
from tests.collector.keeping import Keeping
from tests.collector.listening import Served
from tests.conftest import free_port
from tests.sidecar.envoy_parts import (
    MANAGER,
    ROUTER,
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

REQUESTS = 30
PLAIN = "type.googleapis.com/envoy.config.metrics.v3.StatsdSink"
COLUMNS = ("metric", "attributes", "double", "observations")
NOTHING: dict[str, list[Any]] = {name: [] for name in COLUMNS}
# By form: the metric of all requests, that of their durations, and the tag it has.
NAMES = {
    "dogstatsd": (
        "envoy.http.downstream_rq_total",
        "envoy.http.downstream_rq_time",
        {"envoy.http_conn_manager_prefix": "shop"},
    ),
    "statsd": ("envoy.http.shop.downstream_rq_total", "envoy.http.shop.downstream_rq_time", {}),
}


def config(form: str, port: int, app: int, statsd_port: int) -> Config:
    (stats, _) = snippets("statsd.md")
    stats["stats_flush_interval"] = "0.2s"
    (sink,) = stats["stats_sinks"]
    if form == "statsd":
        sink["name"] = "envoy.stat_sinks.statsd"
        sink["typed_config"]["@type"] = PLAIN
    sink["typed_config"]["address"]["socket_address"]["port_value"] = statsd_port
    route = {"match": {"prefix": "/"}, "route": {"cluster": "app"}}
    manager = {
        "route_config": {"virtual_hosts": [{"name": "app", "domains": ["*"], "routes": [route]}]},
        "http_filters": [{"name": "router", "typed_config": {"@type": ROUTER}}],
    }
    return {
        "node": {"id": "cart-1.shop", "cluster": "cart.shop"},
        "admin": {"address": address(free_port())},
        "static_resources": {
            "listeners": [listener(port, "shop", MANAGER, manager)],
            "clusters": [cluster("app", app)],
        },
        **stats,
    }


def total(points: dict[str, list[Any]], metric: str, tags: dict[str, str], column: str) -> float:
    """Of one series; Envoy's own admin interface has another."""
    told = zip(points["metric"], points["attributes"], points[column], strict=True)
    return float(sum(value for name, have, value in told if (name, have) == (metric, tags)))


@pytest.mark.parametrize("form", NAMES)
def test_requests_and_their_durations_are_all_counted(form: str, tmp_path: Path):
    keeping = Keeping(tmp_path / "outbox")
    settings = Settings(statsd="127.0.0.1:0", statsd_flush_s=0.2)
    server = Served(statsd.listening, keeping.services, settings)
    found: list[Report] = []
    requests, durations, tags = NAMES[form]

    def counts() -> tuple[float, float]:
        """Requests, and durations of them, so far."""
        found.extend(keeping.reports())
        decoded = decode_group(found, 1)
        assert decoded.dead == []
        told = decoded.tables.get("metric_points", NOTHING)
        return (
            total(told, requests, tags, "double"),
            total(told, durations, tags, "observations"),
        )

    try:
        with serving({}, {"/*": lambda _request: RawAnswer(200)}) as app:
            port = free_port()
            made = config(form, port, port_of(app.address), port_of(server.address))
            with envoy(made, tmp_path):
                for number in range(REQUESTS):
                    plain_http.get(f"http://127.0.0.1:{port}/{number}").raise_for_status()
                eventually(lambda: min(counts()) >= REQUESTS)
    finally:
        server.stop()
    assert counts() == (REQUESTS, REQUESTS)
    points = decode_group(found, 1).tables["metric_points"]
    assert points["unit"][points["metric"].index(durations)] == "ms"
    keeping.outbox.close()
