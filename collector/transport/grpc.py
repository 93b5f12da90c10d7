"""gRPC over ASGI, for handlers that know nothing of it: message bytes in, message bytes out.

A unary handler that answers bytes at once costs no task and no wait beyond the ASGI call; it is
answered as soon as its message is whole, without waiting for the half-close. A stream's peer is
held back by not reading while the handler is at work.
Source: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
"""

import logging
from collections.abc import Mapping
from inspect import isawaitable
from time import monotonic
from typing import Any

from prometheus_client import Counter

from collector.errors import CollectorError
from collector.transport.framing import Frames
from collector.transport.handlers import (
    DuplexHandler,
    DuplexMethod,
    GrpcMethods,
    Messages,
    Reply,
    StreamHandler,
    StreamMethod,
    UnaryMethod,
)
from collector.transport.metadata import Metadata
from collector.transport.reading import (
    GZIP,
    IDENTITY,
    INFLATE,
    PeerLeft,
    Receive,
    check_encoding,
    deadline_exceeded,
    timeout_s,
    whole_message,
    within,
)
from collector.transport.response import OK, START, Response, Send
from collector.transport.status import RpcError, StatusCode, rpc_error
from collector.transport.streams import Streams

__all__ = [
    "DuplexHandler",
    "DuplexMethod",
    "GrpcApp",
    "GrpcMethods",
    "Messages",
    "Metadata",
    "Reply",
    "RpcError",
    "StatusCode",
    "StreamHandler",
    "StreamMethod",
    "UnaryMethod",
]

log = logging.getLogger(__name__)

FAILED = Counter("meshmeter_grpc_failed_calls", "gRPC calls ended by an error", ["method", "code"])

Scope = Mapping[str, Any]


class GrpcApp:
    """The ASGI side: every call of `methods`, by path."""

    def __init__(self, methods: GrpcMethods) -> None:
        self._methods = methods
        self._streams = Streams()

    def drain(self) -> None:
        """Ends streams once what has arrived of them is read; unary calls go on."""
        self._streams.drain()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        arrived_s = monotonic()
        fields = dict(scope["headers"])
        response: Response | None = None  # made on all paths but the hot one
        try:
            method = self._methods.get(scope["path"])
            if method is None:
                raise RpcError(StatusCode.UNIMPLEMENTED, f"unknown method {scope['path']}")
            if scope["method"] != "POST":
                raise RpcError(StatusCode.INTERNAL, "a gRPC call is a POST")
            deadline_s = arrived_s + timeout_s(fields.get(b"grpc-timeout"))
            encoding = fields.get(b"grpc-encoding", IDENTITY)
            if encoding != IDENTITY:
                check_encoding(encoding)
                accepted = fields.get(b"grpc-accept-encoding", b"")
                response = Response(send, compress=GZIP in accepted)
            metadata = Metadata(fields, scope.get("client"))
            if type(method) is not UnaryMethod:
                response = response or Response(send)
                frames = Frames(method.max_message_bytes, INFLATE[encoding])
                if type(method) is StreamMethod:
                    run = self._streams.run(method.start(metadata), frames, receive, response)
                else:
                    assert type(method) is DuplexMethod  # noqa: S101 (there are three kinds)
                    run = self._streams.run_duplex(
                        method.start(metadata), frames, receive, response
                    )
                await within(run, deadline_s)
                return
            if method.admit is not None:
                method.admit()
            message = await whole_message(receive, method.max_message_bytes, encoding)
            if monotonic() >= deadline_s:
                raise deadline_exceeded()
            answer = method.answer(metadata, message)
            if type(answer) is not bytes and isawaitable(answer):
                answer = await within(answer, deadline_s)
        except PeerLeft:
            return
        except Exception as error:  # noqa: BLE001 (the edge: each becomes a status)
            response = response or Response(send)
            failure = as_rpc_error(error, scope["path"])
            known = scope["path"] if scope["path"] in self._methods else "unknown"
            FAILED.labels(known, failure.code.name).inc()
            await response.fail(failure)
            return
        if response is None and type(answer) is bytes:
            await send(START)
            body = b"\0" + len(answer).to_bytes(4, "big") + answer
            await send({"type": "http.response.body", "body": body})
            await send(OK)
        else:
            response = response or Response(send)
            await response.reply(answer)


def as_rpc_error(error: Exception, path: str) -> RpcError:
    """What the peer is told; a bug is logged here and told as no more than INTERNAL."""
    if isinstance(error, RpcError):
        return error
    if isinstance(error, CollectorError):
        return rpc_error(error)
    log.error("A gRPC handler failed", exc_info=error, extra={"path": path})
    return RpcError(StatusCode.INTERNAL, "internal error")
