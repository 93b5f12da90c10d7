"""Envoy's ways to ask before a request passes: ext_authz over gRPC or HTTP, RLS and RLQS.

A collector that cannot be reached is told apart from a denial: 503, unless the failure mode is
open. Names of descriptor entries and context extensions are attributes of the vocabulary, so
that one rule reads the same whichever protocol asked.
"""

from typing import NamedTuple

from collector.sidecar.envoy_quota import rate_limit_quota
from collector.sidecar.envoy_report import identity
from collector.sidecar.envoy_types import DOMAIN, SOURCE_HEADER, Config, typed
from collector.sidecar.sidecar import CheckProtocol, FailureMode, Sidecar

EXT_AUTHZ = "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz"
EXT_AUTHZ_ROUTE = "envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute"
RATE_LIMIT = "envoy.extensions.filters.http.ratelimit.v3.RateLimit"
CHECK_TIMEOUT = "0.5s"
# A restarting collector refuses what it did not begin; what it may have charged is not asked again.
UNANSWERED_ONLY: Config = {
    "retry_on": "unavailable,connect-failure,refused-stream,reset-before-request",
    "num_retries": 1,
}
SEEN_BY_HTTP_CHECKS = (
    SOURCE_HEADER,
    "x-request-id",
    "traceparent",
    "user-agent",
    "x-forwarded-client-cert",
    "x-forwarded-for",
)


class CheckRoute(NamedTuple):
    """What a check protocol adds inside a route's action and beside it."""

    route: Config
    beside_route: Config


def check_filter(sidecar: Sidecar) -> list[Config]:
    """The HTTP filter that asks; none when the sidecar only reports."""
    match sidecar.check:
        case CheckProtocol.EXT_AUTHZ_GRPC:
            return [http_filter("ext_authz", ext_authz_grpc(sidecar))]
        case CheckProtocol.EXT_AUTHZ_HTTP:
            return [http_filter("ext_authz", ext_authz_http(sidecar))]
        case CheckProtocol.RLS:
            return [http_filter("ratelimit", rate_limit(sidecar))]
        case CheckProtocol.RLQS:
            return [http_filter("rate_limit_quota", rate_limit_quota(sidecar))]
        case CheckProtocol.NONE:
            return []


def check_route(sidecar: Sidecar) -> CheckRoute:
    match sidecar.check:
        case CheckProtocol.EXT_AUTHZ_GRPC:
            return CheckRoute({}, {"typed_per_filter_config": destination_of_checks(sidecar)})
        case CheckProtocol.RLS:
            return CheckRoute({"rate_limits": [{"actions": descriptor(sidecar)}]}, {})
        case CheckProtocol.EXT_AUTHZ_HTTP | CheckProtocol.RLQS | CheckProtocol.NONE:
            return CheckRoute({}, {})


def http_filter(name: str, typed: Config) -> Config:
    return {"name": f"envoy.filters.http.{name}", "typed_config": typed}


def ext_authz(sidecar: Sidecar) -> Config:
    fields: Config = {
        "transport_api_version": "V3",
        "failure_mode_allow": sidecar.failure_mode is FailureMode.OPEN,
        "failure_mode_allow_header_add": True,
        "status_on_error": {"code": "ServiceUnavailable"},
    }
    return typed(EXT_AUTHZ, fields)


def ext_authz_grpc(sidecar: Sidecar) -> Config:
    return {
        **ext_authz(sidecar),
        "grpc_service": {
            "envoy_grpc": {"cluster_name": "collector"},
            "timeout": CHECK_TIMEOUT,
            "retry_policy": UNANSWERED_ONLY,
            "initial_metadata": identity(sidecar),
        },
        "include_peer_certificate": True,
        "bootstrap_metadata_labels_key": "LABELS",
    }


def destination_of_checks(sidecar: Sidecar) -> Config:
    attributes = {
        "destination.service": sidecar.service,
        "destination.service.name": sidecar.name,
        "destination.service.namespace": sidecar.namespace,
        "context.reporter.kind": "inbound",
    }
    check = {"context_extensions": attributes}
    return {"envoy.filters.http.ext_authz": typed(EXT_AUTHZ_ROUTE, {"check_settings": check})}


def ext_authz_http(sidecar: Sidecar) -> Config:
    uri = f"http://{sidecar.collector_http}"
    return {
        **ext_authz(sidecar),
        "http_service": {
            "server_uri": {"uri": uri, "cluster": "collector_http", "timeout": CHECK_TIMEOUT},
            "path_prefix": "/authz",
            "authorization_request": {
                "headers_to_add": [
                    *identity(sidecar),
                    {"key": "x-mesh-destination", "value": sidecar.service},
                ]
            },
            "authorization_response": {
                "allowed_upstream_headers": {"patterns": [{"prefix": "x-meshmeter-"}]},
                "allowed_client_headers": {
                    "patterns": [
                        {"prefix": "x-meshmeter-"},
                        {"exact": "retry-after"},
                        {"exact": "content-type"},
                    ]
                },
            },
        },
        "allowed_headers": {
            "patterns": [
                {"exact": header} for header in (*SEEN_BY_HTTP_CHECKS, *sidecar.check_headers)
            ]
        },
    }


def rate_limit(sidecar: Sidecar) -> Config:
    fields: Config = {
        "domain": DOMAIN,
        "timeout": CHECK_TIMEOUT,
        "failure_mode_deny": sidecar.failure_mode is FailureMode.CLOSED,
        "status_on_error": {"code": "ServiceUnavailable"},
        "enable_x_ratelimit_headers": "DRAFT_VERSION_03",
        "rate_limit_service": {
            "transport_api_version": "V3",
            "grpc_service": {
                "envoy_grpc": {"cluster_name": "collector"},
                "initial_metadata": identity(sidecar),
            },
        },
    }
    return typed(RATE_LIMIT, fields)


def descriptor(sidecar: Sidecar) -> list[Config]:
    """One descriptor a request; an entry whose header is missing is left out of it."""
    destination = {"descriptor_key": "destination.service", "descriptor_value": sidecar.service}
    headers = (
        ("source.service", SOURCE_HEADER),
        ("request.method", ":method"),
        ("request.path", ":path"),
        *sidecar.descriptors,
    )
    return [
        {"generic_key": destination},
        *(
            {
                "request_headers": {
                    "header_name": header,
                    "descriptor_key": key,
                    "skip_if_absent": True,
                }
            }
            for key, header in headers
        ),
    ]
