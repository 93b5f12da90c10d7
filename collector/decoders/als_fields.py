"""Single fields of an Envoy access log entry, as they are stored.

Source: envoy/data/accesslog/v3/accesslog.proto, Envoy's list of %RESPONSE_FLAGS%.
"""

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from collector.decoders.limits import SECOND
from collector.proto import envoy_pb2 as pb
from collector.store.tables import NO_TRACE

METHODS = (
    "",
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "DELETE",
    "CONNECT",
    "OPTIONS",
    "TRACE",
    "PATCH",
)

FLAGS = {
    "failed_local_healthcheck": "LH",
    "no_healthy_upstream": "UH",
    "upstream_request_timeout": "UT",
    "local_reset": "LR",
    "upstream_remote_reset": "UR",
    "upstream_connection_failure": "UF",
    "upstream_connection_termination": "UC",
    "upstream_overflow": "UO",
    "no_route_found": "NR",
    "delay_injected": "DI",
    "fault_injected": "FI",
    "rate_limited": "RL",
    "unauthorized_details": "UAEX",
    "rate_limit_service_error": "RLSE",
    "downstream_connection_termination": "DC",
    "upstream_retry_limit_exceeded": "URX",
    "stream_idle_timeout": "SI",
    "invalid_envoy_request_headers": "IH",
    "downstream_protocol_error": "DPE",
    "upstream_max_stream_duration_reached": "UMSDR",
    "response_from_cache_filter": "RFCF",
    "no_filter_config_found": "NFCF",
    "duration_timeout": "DT",
    "upstream_protocol_error": "UPE",
    "no_cluster_found": "NC",
    "overload_manager": "OM",
    "dns_resolution_failure": "DF",
    "downstream_remote_reset": "DR",
}

SMALLEST_RATE = 1e-6  # a smaller sample rate is taken for a mistake
SPIFFE = "spiffe://"
MAX_UINT16 = 2**16 - 1


def method_name(number: int) -> str:
    """A number Envoy has not given a name stays a number."""
    return METHODS[number] if 0 <= number < len(METHODS) else str(number)


def flag_codes(common: pb.AccessLogCommon) -> list[str]:
    """Envoy's short codes of the flags that are set, in the order of their field numbers."""
    if not common.HasField("response_flags"):
        return []
    return [FLAGS[field.name] for field, _ in common.response_flags.ListFields()]


def time_ns(time: Timestamp) -> int:
    return time.seconds * SECOND + time.nanos


def duration_ns(common: pb.AccessLogCommon) -> int:
    """Of the whole request, never negative; 0 when it was not told."""
    if common.HasField("duration"):
        return span_ns(common.duration)
    return span_ns(common.time_to_last_downstream_tx_byte)


def span_ns(duration: Duration) -> int:
    return min(max(0, duration.seconds * SECOND + duration.nanos), 2**63 - 1)


def status_code(response: pb.HTTPResponseProperties) -> int:
    return min(response.response_code.value, MAX_UINT16)


def weight(common: pb.AccessLogCommon) -> float:
    """How many requests this one stands for."""
    rate = common.sample_rate
    return 1 / rate if SMALLEST_RATE <= rate < 1 else 1.0


def trace_ids(trace_hex: str, span_hex: str, traceparent: str) -> tuple[bytes, int]:
    """From the tags, else from W3C's header; zeros for what is in neither."""
    if not trace_hex:
        parts = traceparent.split("-")
        if len(parts) == 4:
            trace_hex, span_hex = parts[1:3]
    return id_bytes(trace_hex, 16) or NO_TRACE, int.from_bytes(id_bytes(span_hex, 8), "big")


def id_bytes(text: str, size: int) -> bytes:
    """Empty when it is no id of up to `size` bytes; a shorter one is filled with zeros."""
    try:
        found = bytes.fromhex(text)
    except ValueError:
        return b""
    return found.rjust(size, b"\0") if len(found) <= size else b""


def service_of_cluster(cluster: str) -> str:
    """`outbound|8080||b.default.svc.cluster.local` is b.default; other names are themselves."""
    return cluster.rpartition("|")[2].partition(".svc.")[0]


def service_of_principal(principal: str) -> str:
    """`spiffe://cluster.local/ns/default/sa/a` is a.default, other ids their last part; or ""."""
    if not principal.startswith(SPIFFE):
        return ""
    parts = principal.removeprefix(SPIFFE).split("/")
    if len(parts) == 5 and parts[1] == "ns" and parts[3] == "sa":
        return f"{parts[4]}.{parts[2]}"
    return parts[-1] if len(parts) > 1 else ""


def principal_of(certificate: pb.CertificateProperties) -> str:
    """The first URI among the certificate's names."""
    return next((name.uri for name in certificate.subject_alt_name if name.uri), "")
