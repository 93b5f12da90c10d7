"""A complete Envoy v3 bootstrap for one sidecar, as plain dicts.

The inbound listener asks the collector before it lets a request pass; every listener reports
spans (OTLP) and access logs (ALS), and counts requests (OTLP metrics) when that is asked for.
Timeouts are written out, for Envoy's own defaults (20 ms for rate limits, 200 ms for
authorization) are too short for a busy collector.
Source: Envoy 1.40, https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/api
"""

import ipaddress

from collector.sidecar.envoy_check import check_filter, check_route
from collector.sidecar.envoy_metrics import stats_access_log, stats_sink
from collector.sidecar.envoy_report import access_log, tracing
from collector.sidecar.envoy_types import Config, typed
from collector.sidecar.sidecar import Address, CheckProtocol, Sidecar, Upstream

HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = "envoy.extensions.filters.http.router.v3.Router"
HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

CONNECTIONS = (
    "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig"
)
MOST_CONNECTIONS = 50_000


def envoy_config(sidecar: Sidecar) -> Config:
    """The bootstrap of `envoy --config-path`."""
    listeners = [outbound_listener(sidecar, upstream) for upstream in sidecar.upstreams]
    clusters = [
        service_cluster(outbound_cluster(upstream), upstream.address)
        for upstream in sidecar.upstreams
    ]
    if sidecar.inbound and sidecar.app:
        listeners.insert(0, inbound_listener(sidecar, sidecar.inbound))
        clusters.insert(0, service_cluster("app", sidecar.app))
    return {
        "node": {
            "id": sidecar.node,
            "cluster": sidecar.service,
            "metadata": {
                "NAME": sidecar.node.partition(".")[0],
                "NAMESPACE": sidecar.namespace,
                "WORKLOAD_NAME": sidecar.name,
                "LABELS": {"app": sidecar.name},
            },
        },
        "admin": {"address": socket_address(sidecar.admin)},
        "layered_runtime": {
            "layers": [
                # 64 spans a batch: cheap for the collector, small enough to be sent again.
                {
                    "name": "tracing",
                    "static_layer": {
                        "tracing.opentelemetry.min_flush_spans": 64,
                        "tracing.opentelemetry.flush_interval_ms": 1000,
                    },
                },
                {"name": "admin", "admin_layer": {}},
            ]
        },
        "overload_manager": {"resource_monitors": [connection_limit()]},
        **stats_sink(sidecar),
        "static_resources": {
            "listeners": listeners,
            "clusters": [*clusters, collector_grpc(sidecar), *collector_http(sidecar)],
        },
    }


def connection_limit() -> Config:
    """Of all listeners together: without one, Envoy accepts until it has no file descriptors."""
    return {
        "name": "envoy.resource_monitors.global_downstream_max_connections",
        "typed_config": typed(CONNECTIONS, {"max_active_downstream_connections": MOST_CONNECTIONS}),
    }


def inbound_listener(sidecar: Sidecar, address: Address) -> Config:
    route: Config = {
        "match": {"prefix": "/"},
        "route": {"cluster": "app", "timeout": "0s", **check_route(sidecar).route},
        **check_route(sidecar).beside_route,
    }
    manager = {
        "stat_prefix": "inbound",
        "normalize_path": True,  # what a rule on request.path sees is what the application sees
        "route_config": routes("app", route),
        "http_filters": [*check_filter(sidecar), router()],
        "tracing": tracing(sidecar, "inbound"),
        "access_log": [
            access_log(sidecar, "inbound"),
            *stats_access_log(sidecar, "inbound", sidecar.service),
        ],
    }
    return listener("inbound", "INBOUND", address, manager)


def outbound_listener(sidecar: Sidecar, upstream: Upstream) -> Config:
    route = {
        "match": {"prefix": "/"},
        "route": {"cluster": outbound_cluster(upstream), "timeout": "0s"},
    }
    manager = {
        "stat_prefix": "outbound",
        # Sets x-envoy-downstream-service-cluster: the callee's sidecar learns who calls.
        "add_user_agent": True,
        "route_config": routes(upstream.service, route),
        "http_filters": [router()],
        "tracing": tracing(sidecar, "outbound"),
        "access_log": [
            access_log(sidecar, "outbound"),
            *stats_access_log(sidecar, "outbound", upstream.service),
        ],
    }
    return listener(f"outbound_{upstream.service}", "OUTBOUND", upstream.listen, manager)


def outbound_cluster(upstream: Upstream) -> str:
    """Istio's name of a cluster, by which the access log tells the destination."""
    return f"outbound|{upstream.address.port}||{upstream.service}"


def routes(name: str, route: Config) -> Config:
    return {"virtual_hosts": [{"name": name, "domains": ["*"], "routes": [route]}]}


def router() -> Config:
    return {"name": "envoy.filters.http.router", "typed_config": typed(ROUTER, {})}


def listener(name: str, direction: str, address: Address, manager: Config) -> Config:
    http = {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": typed(HCM, manager),
    }
    return {
        "name": name,
        "traffic_direction": direction,
        "address": socket_address(address),
        "filter_chains": [{"filters": [http]}],
    }


def service_cluster(name: str, address: Address) -> Config:
    """Speaks HTTP/2 to whom it is spoken to in HTTP/2, so that gRPC services work."""
    protocols: Config = {"use_downstream_protocol_config": {"http2_protocol_options": {}}}
    options = {HTTP_OPTIONS: typed(HTTP_OPTIONS, protocols)}
    return {**cluster(name, address), "typed_extension_protocol_options": options}


def collector_grpc(sidecar: Sidecar) -> Config:
    made = cluster("collector", sidecar.collector_grpc)
    # A collector that vanished without closing is noticed by the pings, and connected to anew.
    http2 = {"connection_keepalive": {"interval": "30s", "timeout": "5s"}}
    options = typed(HTTP_OPTIONS, {"explicit_http_config": {"http2_protocol_options": http2}})
    made["typed_extension_protocol_options"] = {HTTP_OPTIONS: options}
    # Envoy's default of 3 concurrent retries would drop reports while a collector restarts.
    made["circuit_breakers"] = {
        "thresholds": [{"max_retries": 1000, "max_requests": 10000, "max_pending_requests": 10000}]
    }
    return made


def collector_http(sidecar: Sidecar) -> list[Config]:
    """Only checks over HTTP need it."""
    if sidecar.check is not CheckProtocol.EXT_AUTHZ_HTTP:
        return []
    return [cluster("collector_http", sidecar.collector_http)]


def cluster(name: str, address: Address) -> Config:
    endpoint = {"endpoint": {"address": socket_address(address)}}
    return {
        "name": name,
        "type": "STATIC" if is_ip(address.host) else "STRICT_DNS",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def socket_address(address: Address) -> Config:
    return {"socket_address": {"address": address.host, "port_value": address.port}}


def is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
