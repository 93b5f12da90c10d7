"""A log record that tells of a request: a row of `requests`.

It does when its attributes have names of the vocabulary, `context.reporter.kind` among them: which
side tells. So any proxy's access log can be written for us; Envoy's is shown in
docs/protocols/otlp.md.
Sources: docs/attributes.md, Envoy's substitution formats
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import NamedTuple

from collector.decoders.als import DENYING_FLAGS, DESTINATION, SOURCE, TCP_ERRORS
from collector.decoders.als_fields import MAX_UINT16, service_of_cluster, service_of_principal
from collector.decoders.text import limited
from collector.store.tables import RequestRow
from policy.attributes import duration

UNKNOWN = "unknown"
SIDES = {"inbound": DESTINATION, "outbound": SOURCE}
HTTP, TCP = "http", "tcp"
MOST = 2**63 - 1
MICROSECOND = timedelta(microseconds=1)

# Attributes that fill columns; the rest are tags.
OWN = frozenset(
    {
        "connection.received.bytes",
        "connection.sent.bytes",
        "context.protocol",
        "context.proxy_error_code",
        "context.reporter.kind",
        "destination.principal",
        "destination.service",
        "log.record.uid",
        "meshmeter.rule",
        "request.host",
        "request.id",
        "request.method",
        "request.path",
        "request.total_size",
        "response.code",
        "response.code_details",
        "response.duration",
        "response.total_size",
        "source.ip",
        "source.principal",
        "source.service",
    }
)


class Sidecar(NamedTuple):
    """Who tells."""

    service: str
    node: str


def request_row(
    attributes: Mapping[str, str], sidecar: Sidecar, time_ns: int, trace_id: bytes, span_id: int
) -> RequestRow | None:
    """None when it tells of no request: it must say which side tells, and how it ended."""
    reporter = SIDES.get(attributes.get("context.reporter.kind", ""))
    if reporter is None:
        return None
    # Envoy writes "-" for what a format string has no value for.
    told = {key: "" if value == "-" else value for key, value in attributes.items()}
    protocol = TCP if told.get("context.protocol") == TCP else HTTP
    if protocol == HTTP and "response.code" not in told:
        return None
    status = min(whole(told, "response.code"), MAX_UINT16)
    rule = told.get("meshmeter.rule", "")
    flags = told.get("context.proxy_error_code", "")
    codes = flags.split(",")
    denied = bool(rule) or not DENYING_FLAGS.isdisjoint(codes)
    failed = not TCP_ERRORS.isdisjoint(codes) if protocol == TCP else status == 0 or status >= 500
    source, destination = ends(told, reporter, sidecar)
    size = "connection.{}.bytes" if protocol == TCP else "{}.total_size"
    received, sent = ("received", "sent") if protocol == TCP else ("request", "response")
    return RequestRow(
        time=time_ns,
        source=source or UNKNOWN,
        destination=destination or UNKNOWN,
        reporter=reporter,
        node=sidecar.node,
        protocol=protocol,
        method=told.get("request.method", ""),
        host=told.get("request.host", ""),
        path=told.get("request.path", ""),
        status=status,
        error=int(failed and not denied),
        denied=int(denied),
        flags=flags,
        details=told.get("response.code_details", ""),
        rule=rule,
        duration_ns=duration_ns(told.get("response.duration", "")),
        request_bytes=whole(told, size.format(received)),
        response_bytes=whole(told, size.format(sent)),
        trace_id=trace_id,
        span_id=span_id,
        request_id=told.get("request.id", ""),
        log_id=told.get("log.record.uid", ""),
        source_principal=told.get("source.principal", ""),
        destination_principal=told.get("destination.principal", ""),
        source_address=told.get("source.ip", ""),
        tags=limited({key: value for key, value in told.items() if key not in OWN}),
        weight=1.0,
    )


def ends(told: Mapping[str, str], reporter: str, sidecar: Sidecar) -> tuple[str, str]:
    """Who called whom: each side is itself, and knows of the other what it is told."""
    source, destination = told.get("source.service", ""), told.get("destination.service", "")
    if reporter == SOURCE:
        return source or sidecar.service, service_of_cluster(destination)
    caller = source or service_of_principal(told.get("source.principal", ""))
    return caller, destination or sidecar.service


def whole(told: Mapping[str, str], name: str) -> int:
    """0 when it is no whole number."""
    text = told.get(name, "")
    return min(int(text), MOST) if text.isascii() and text.isdigit() and len(text) < 20 else 0


def duration_ns(text: str) -> int:
    """Of "5ms"; 0 when it is none, or below."""
    length = duration(text)
    return min(max(0, length // MICROSECOND * 1000), MOST) if length is not None else 0
