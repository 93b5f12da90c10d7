"""Envoy's access log service, v3: StreamAccessLogs, a client stream of log entries.

Only the first message of a stream says who sends it, in up to 61 KB. Each message is stored
with that identifier, trimmed. Nothing is ever answered but the end of the stream, and Envoy sends
nothing twice: so a message that cannot be read is counted and the stream goes on, and while the
outbox is full the stream is not read (HTTP/2 flow control holds Envoy back; it is never reset).
Source: envoy/service/accesslog/v3/als.proto
"""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from itertools import chain

from collector.decoders.bounds import refuse_crowd
from collector.decoders.lenient import Unreadable, parse
from collector.errors import Overloaded, TooLarge, Unready
from collector.frontends.counted import WAITS, counted, dropped, stored
from collector.frontends.decisions import LEASE, LEASES
from collector.model import Report, Signal
from collector.proto import envoy_pb2 as pb
from collector.services import Services
from collector.settings import Settings
from collector.transport.framing import MAX_MESSAGE_BYTES
from collector.transport.grpc import Metadata, RpcError, StatusCode, StreamMethod

PATH = "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs"
PROTOCOL = "als"
MAX_LEASE = 8192  # characters
LOGS, ENTRIES = (2, 3), (1,)  # fields of a message, and of each of its two kinds of logs
METADATA_BYTES = 4096  # kept of a node's metadata, smallest entries first
WAIT_S, LONGEST_WAIT_S = 0.05, 1.0
ANSWER = pb.StreamAccessLogsResponse().SerializeToString()

Message = pb.StreamAccessLogsMessage
Identifier = pb.StreamAccessLogsMessage.Identifier


class LogStream:
    """One stream of one sidecar."""

    def __init__(self, services: Services, identity: str) -> None:
        self._services = services
        self._identity = identity
        self._identifier: Identifier | None = None
        self._prefix = b""  # put before a message, gives it the stream's identifier

    async def message(self, body: bytes) -> Sequence[bytes]:
        """Returns once the entries are on disk. Raises RpcError when it has no known sender."""
        if self._services.memory.short():
            WAITS.labels(PROTOCOL).inc()
            await self._services.memory.enough()
        with counted(PROTOCOL):
            try:
                refuse_crowd(body, LOGS, ENTRIES)
                message = parse(Message, body)
            except (Unreadable, TooLarge) as error:
                dropped(PROTOCOL, "too_large" if isinstance(error, TooLarge) else "malformed")
                return ()
            body = self._with_identifier(message, body)
            entries = len(message.http_logs.log_entry) + len(message.tcp_logs.log_entry)
            if entries == 0:
                dropped(PROTOCOL, "empty")
                return ()
            now_ns = time.time_ns()
            await self._store(
                Report(Signal.ALS, body, now_ns, self._identity, entries, headroom=True)
            )
            for lease in leases_of(message):
                with contextlib.suppress(Unready):  # it ends by itself
                    await self._services.checker.release(lease)
            stored(PROTOCOL, len(body), entries)
        return ()

    def end(self) -> Sequence[bytes]:
        return (ANSWER,)

    def _with_identifier(self, message: Message, body: bytes) -> bytes:
        """The message's bytes, identified. Protobuf merges bytes put one after the other."""
        if not message.HasField("identifier"):
            if self._identifier is None:
                raise refused("the first message of the stream has no identifier")
            return self._prefix + body
        identifier = trimmed(message.identifier)
        if self._identifier is None:
            self._identifier = identifier
            self._prefix = Message(identifier=identifier).SerializeToString()
        elif identifier != self._identifier:
            raise refused("the identifier changed within the stream")
        message.ClearField("identifier")
        return self._prefix + message.SerializeToString()

    async def _store(self, report: Report) -> None:
        """Waits for room as long as it takes."""
        wait_s = WAIT_S
        while True:
            try:
                return await self._services.reporter.report(report)
            except Overloaded:
                WAITS.labels(PROTOCOL).inc()
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, LONGEST_WAIT_S)


def leases_of(message: Message) -> list[str]:
    """Of requests that are over: their quotas in flight are free again."""
    headers = (entry.request.request_headers for entry in message.http_logs.log_entry)
    told = (each[LEASE][:MAX_LEASE].split(LEASES) for each in headers if LEASE in each)
    return list(chain.from_iterable(told))


def refused(reason: str) -> RpcError:
    dropped(PROTOCOL, "unidentified")
    return RpcError(StatusCode.FAILED_PRECONDITION, reason)


def trimmed(identifier: Identifier) -> Identifier:
    """Id, cluster, log name and the small entries of the metadata; no extensions."""
    small = Identifier(log_name=identifier.log_name)
    small.node.id = identifier.node.id
    small.node.cluster = identifier.node.cluster
    room = METADATA_BYTES
    fields = identifier.node.metadata.fields
    for size, name in sorted((value.ByteSize(), name) for name, value in fields.items()):
        room -= size + len(name)
        if room < 0:
            break
        small.node.metadata.fields[name].CopyFrom(fields[name])
    return small


def grpc_methods(services: Services, settings: Settings) -> dict[str, StreamMethod]:
    def start(metadata: Metadata) -> LogStream:
        return LogStream(services, metadata.identity)

    return {PATH: StreamMethod(start, min(settings.max_body_bytes, MAX_MESSAGE_BYTES))}
