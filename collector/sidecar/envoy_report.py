"""What Envoy reports: OTLP spans and access log entries (ALS), tuned to outlive a restart.

Exports are sent again for some 15 s when the collector is away. The access log's stream has no
such means: what it held when the collector went is lost, at most `FLUSH` of it.
"""

from collector.sidecar.envoy_types import Config, typed
from collector.sidecar.sidecar import Sidecar

OPENTELEMETRY = "envoy.config.trace.v3.OpenTelemetryConfig"
DETECTORS = "envoy.extensions.tracers.opentelemetry.resource_detectors.v3"
STATIC_RESOURCE = f"{DETECTORS}.StaticConfigResourceDetectorConfig"
HTTP_ACCESS_LOG = "envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig"
FLUSH = "1s"


def identity(sidecar: Sidecar) -> list[Config]:
    """Who sends: metadata on every call, for most of Envoy's messages do not say."""
    return [{"key": "x-mesh-node", "value": sidecar.node}]


def again() -> Config:
    return {
        "retry_on": "unavailable,connect-failure,reset,refused-stream,reset-before-request",
        "num_retries": 20,
        "retry_back_off": {"base_interval": "0.5s", "max_interval": "2s"},
    }


def instance(sidecar: Sidecar) -> dict[str, str]:
    return {
        "k8s.namespace.name": sidecar.namespace,
        "k8s.pod.name": sidecar.node.partition(".")[0],
    }


def resource_detector(attributes: dict[str, str]) -> Config:
    """Adds these to the resource of what is exported."""
    return {
        "name": "envoy.tracers.opentelemetry.resource_detectors.static_config",
        "typed_config": typed(STATIC_RESOURCE, {"attributes": attributes}),
    }


def tracing(sidecar: Sidecar, reporter: str) -> Config:
    provider: Config = {
        "service_name": sidecar.service,
        "grpc_service": {
            "envoy_grpc": {"cluster_name": "collector"},
            "timeout": "15s",
            "retry_policy": again(),
            "initial_metadata": identity(sidecar),
        },
        "resource_detectors": [resource_detector(instance(sidecar))],
    }
    return {
        "provider": {
            "name": "envoy.tracers.opentelemetry",
            "typed_config": typed(OPENTELEMETRY, provider),
        },
        "random_sampling": {"value": sidecar.sampling_percent},
        "custom_tags": [{"tag": "mesh.reporter", "literal": {"value": reporter}}],
    }


def access_log(sidecar: Sidecar, reporter: str) -> Config:
    common: Config = {
        "log_name": reporter,
        "transport_api_version": "V3",
        "grpc_service": {
            "envoy_grpc": {"cluster_name": "collector"},
            "initial_metadata": identity(sidecar),
        },
        "buffer_flush_interval": FLUSH,
        "buffer_size_bytes": 16384,
        "custom_tags": [
            {"tag": "reporter", "literal": {"value": reporter}},
            {"tag": "trace_id", "value": "%TRACE_ID%"},
            {"tag": "span_id", "value": "%SPAN_ID%"},
        ],
    }
    fields: Config = {
        "common_config": common,
        "additional_request_headers_to_log": [
            "x-meshmeter-lease",
            "x-request-id",
            "traceparent",
            "x-envoy-downstream-service-cluster",
        ],
        "additional_response_headers_to_log": ["x-meshmeter-rule", "x-meshmeter-decision"],
    }
    return {
        "name": "envoy.access_loggers.http_grpc",
        "typed_config": typed(HTTP_ACCESS_LOG, fields),
    }
