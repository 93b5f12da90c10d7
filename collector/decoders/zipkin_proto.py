"""Zipkin's protobuf: a ListOfSpans.

Source: openzipkin/zipkin-api, zipkin.proto.
"""

import socket
from collections.abc import Iterator

from google.protobuf.message import DecodeError

from collector.decoders.decoded import Collected
from collector.decoders.envelopes import zipkin_proto
from collector.decoders.lenient import Unreadable, parse
from collector.decoders.limits import Reason
from collector.decoders.wire import messages
from collector.decoders.zipkin_span import Annotation, Endpoint, Span, Unstorable, row
from collector.model import Report
from collector.proto import zipkin_pb2 as pb

SPANS = 1  # the field of a ListOfSpans
KINDS = {number: name for name, number in pb.Span.Kind.items() if number}


def decode(report: Report, out: Collected) -> None:
    """Raises Unreadable."""
    out.around = zipkin_proto
    for message in spans(report, out):
        try:
            out.rows.append(row(span_of(message), report.received_ns))
        except Unstorable as error:
            sent = message.SerializeToString()
            out.refuse(report, error.refusal, sent)


def spans(report: Report, out: Collected) -> Iterator[pb.Span]:
    """All of them, but for those that cannot be read: each is a dead letter."""
    try:
        found = pb.ListOfSpans.FromString(report.body)
    except DecodeError:
        yield from salvage(report, out)
    else:
        yield from found.spans


def salvage(report: Report, out: Collected) -> Iterator[pb.Span]:
    for body in list(raw_spans(report.body)):  # all of it, before any is added
        try:
            yield parse(pb.Span, body)
        except Unreadable as error:
            refusal = (Reason.UNREADABLE, str(error))
            out.refuse(report, refusal, body)


def raw_spans(body: bytes) -> Iterator[bytes]:
    """Each as it was sent. Raises Unreadable, where the list ends to be one."""
    try:
        for _, span in messages(body, SPANS):
            yield span
    except Unreadable as error:
        raise Unreadable(f"not a ListOfSpans: {error}") from error


def span_of(message: pb.Span) -> Span:
    return Span(
        traceId=message.trace_id.hex(),
        id=message.id.hex(),
        parentId=message.parent_id.hex(),
        name=message.name,
        kind=KINDS.get(message.kind, "" if message.kind == 0 else str(message.kind)),
        timestamp=message.timestamp,
        duration=message.duration,
        localEndpoint=endpoint_of(message.local_endpoint),
        remoteEndpoint=(
            endpoint_of(message.remote_endpoint) if message.HasField("remote_endpoint") else None
        ),
        annotations=[Annotation(found.timestamp, found.value) for found in message.annotations],
        tags=dict(message.tags),
        shared=message.shared,
        debug=message.debug,
    )


def endpoint_of(message: pb.Endpoint) -> Endpoint:
    return Endpoint(
        serviceName=message.service_name,
        ipv4=address(socket.AF_INET, message.ipv4),
        ipv6=address(socket.AF_INET6, message.ipv6),
        port=message.port,
    )


def address(family: int, packed: bytes) -> str:
    """ "" for none, and for what is none."""
    if not packed:
        return ""
    try:
        return socket.inet_ntop(family, packed)
    except ValueError:
        return ""
