"""Envoy's access log: a StreamAccessLogsMessage's entries as rows of `requests`.

Each request is told twice, by the caller's sidecar (outbound) and by the callee's (inbound). Who
the other end is: outbound knows from its own configuration, inbound from what the caller says of
itself or from its certificate.
Source: envoy/data/accesslog/v3/accesslog.proto
"""

from collections.abc import Mapping
from dataclasses import dataclass

from collector.decoders.als_fields import (
    duration_ns,
    flag_codes,
    method_name,
    principal_of,
    service_of_cluster,
    service_of_principal,
    status_code,
    time_ns,
    trace_ids,
    weight,
)
from collector.decoders.decoded import Collected
from collector.decoders.envelopes import access_log
from collector.decoders.lenient import parse
from collector.decoders.limits import Reason, refused_time
from collector.decoders.text import cut, limited
from collector.look_alikes import composed
from collector.model import Report
from collector.proto import envoy_pb2 as pb
from collector.store.tables import RequestRow

RULE_HEADER = "x-meshmeter-rule"  # of a denial, as the check's answer carried it
CALLER_HEADER = "x-envoy-downstream-service-cluster"
DENYING_FLAGS = frozenset({"UAEX", "RL"})
DENYING_DETAILS = frozenset({"rate_limited_by_quota"})  # RLQS has no flag of its own
TCP_ERRORS = frozenset({"UH", "UF", "UC", "UO", "URX", "NR", "NC", "UPE", "DF", "OM"})
UNKNOWN = "unknown"
SOURCE, DESTINATION = "source", "destination"

# Custom tags that fill columns; the rest stay tags.
OWN_TAGS = frozenset(
    {
        "reporter",
        "destination",
        "trace_id",
        "span_id",
        "source_principal",
        "destination_principal",
    }
)

# AccessLogType of entries that are not the last of their request or connection.
INTERMEDIATE = frozenset(
    {
        1,  # TcpUpstreamConnected
        2,  # TcpPeriodic
        4,  # DownstreamStart
        5,  # DownstreamPeriodic
        7,  # UpstreamPoolReady
        8,  # UpstreamPeriodic
        10,  # UdpTunnelUpstreamConnected
        11,  # UdpPeriodic
    }
)


@dataclass(frozen=True)
class Sidecar:
    """Who tells."""

    service: str
    node: str
    log_name: str


def decode(report: Report, out: Collected) -> None:
    """Raises Unreadable."""
    message = parse(pb.StreamAccessLogsMessage, report.body)
    identifier = message.identifier
    sidecar = Sidecar(
        service=cut(composed(identifier.node.cluster)) or report.identity or UNKNOWN,
        node=cut(identifier.node.id) or report.identity,
        log_name=identifier.log_name,
    )
    out.around = access_log(identifier, http=True)
    for http in message.http_logs.log_entry:
        if accepted(http.common_properties, http, report, out):
            out.rows.append(http_row(http, sidecar))
    out.around = access_log(identifier, http=False)
    for tcp in message.tcp_logs.log_entry:
        if accepted(tcp.common_properties, tcp, report, out):
            out.rows.append(tcp_row(tcp, sidecar))


def accepted(
    common: pb.AccessLogCommon,
    entry: pb.HTTPAccessLogEntry | pb.TCPAccessLogEntry,
    report: Report,
    out: Collected,
) -> bool:
    """False: it was skipped, or is a dead letter."""
    if common.intermediate_log_entry or common.access_log_type in INTERMEDIATE:
        out.skipped += 1
        return False
    if common.HasField("start_time"):
        refusal = refused_time(time_ns(common.start_time), report.received_ns)
    else:
        refusal = (Reason.NO_TIME, "the entry has no start_time")
    if refusal:
        out.refuse(report, refusal, entry.SerializeToString())
    return refusal is None


def http_row(entry: pb.HTTPAccessLogEntry, sidecar: Sidecar) -> RequestRow:
    request, response = entry.request, entry.response
    common = common_row(entry.common_properties, sidecar, request.request_headers)
    status = status_code(response)
    rule = response.response_headers.get(RULE_HEADER, "")
    denied = common.denied or bool(rule) or response.response_code_details in DENYING_DETAILS
    return common._replace(
        protocol="http",
        method=method_name(request.request_method),
        host=cut(request.authority),
        path=cut(request.original_path or request.path),
        status=status,
        error=int(not denied and (status == 0 or status >= 500)),
        denied=int(denied),
        details=cut(response.response_code_details),
        rule=cut(rule),
        request_bytes=request.request_headers_bytes + request.request_body_bytes,
        response_bytes=response.response_headers_bytes + response.response_body_bytes,
        request_id=cut(request.request_id or request.request_headers.get("x-request-id", "")),
    )


def tcp_row(entry: pb.TCPAccessLogEntry, sidecar: Sidecar) -> RequestRow:
    connection = entry.connection_properties
    return common_row(entry.common_properties, sidecar, {})._replace(
        request_bytes=connection.received_bytes,
        response_bytes=connection.sent_bytes,
    )


def common_row(
    common: pb.AccessLogCommon, sidecar: Sidecar, headers: Mapping[str, str]
) -> RequestRow:
    """A TCP connection's row but for its bytes; an HTTP request's but for what HTTP tells."""
    # Envoy writes "-" for a tag whose format string has no value.
    tags = {key: "" if value == "-" else value for key, value in common.custom_tags.items()}
    reporter = reporter_of(tags, sidecar, common)
    tls = common.tls_properties
    source_principal = tags.get("source_principal", "")
    destination_principal = tags.get("destination_principal", "")
    if reporter == SOURCE:
        source = sidecar.service
        destination = tags.get("destination") or service_of_cluster(common.upstream_cluster)
    else:
        # The TLS properties are of the connection from downstream: of the caller, inbound.
        source_principal = source_principal or principal_of(tls.peer_certificate_properties)
        destination_principal = destination_principal or principal_of(
            tls.local_certificate_properties
        )
        source = headers.get(CALLER_HEADER) or service_of_principal(source_principal)
        destination = tags.get("destination") or sidecar.service
    trace_id, span_id = trace_ids(
        tags.get("trace_id", ""), tags.get("span_id", ""), headers.get("traceparent", "")
    )
    flags = flag_codes(common)
    denied = not DENYING_FLAGS.isdisjoint(flags)
    rest = {key: value for key, value in tags.items() if key not in OWN_TAGS}
    return RequestRow(
        time=time_ns(common.start_time),
        source=cut(source) or UNKNOWN,
        destination=cut(destination) or UNKNOWN,
        reporter=reporter,
        node=sidecar.node,
        protocol="tcp",
        method="",
        host=cut(tls.tls_sni_hostname),
        path="",
        status=0,
        error=int(not denied and not TCP_ERRORS.isdisjoint(flags)),
        denied=int(denied),
        flags=",".join(flags),
        details=cut(common.connection_termination_details),
        rule="",
        duration_ns=duration_ns(common),
        request_bytes=0,
        response_bytes=0,
        trace_id=trace_id,
        span_id=span_id,
        request_id="",
        log_id=cut(common.stream_id),
        source_principal=cut(source_principal),
        destination_principal=cut(destination_principal),
        source_address=cut(common.downstream_remote_address.socket_address.address),
        tags=limited(rest),
        weight=weight(common),
    )


def reporter_of(tags: Mapping[str, str], sidecar: Sidecar, common: pb.AccessLogCommon) -> str:
    """By the tag, else the log's name, else the kind of cluster the request went to."""
    for told in (tags.get("reporter", ""), sidecar.log_name, common.upstream_cluster):
        if told.startswith(("outbound", SOURCE)):
            return SOURCE
        if told.startswith(("inbound", DESTINATION)):
            return DESTINATION
    return DESTINATION
