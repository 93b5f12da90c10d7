"""The response half of a gRPC call, as ASGI events."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from collector.transport.framing import frame
from collector.transport.handlers import Reply
from collector.transport.status import Headers, RpcError, encode_metadata, error_trailers

Send = Callable[[dict[str, Any]], Awaitable[None]]

CONTENT_TYPE = (b"content-type", b"application/grpc")
OK_STATUS = (b"grpc-status", b"0")


def start_event(headers: Headers, *, trailers: bool = True) -> dict[str, Any]:
    return {
        "type": "http.response.start",
        "status": 200,
        "headers": [CONTENT_TYPE, *headers],
        "trailers": trailers,
    }


def trailers_event(headers: Headers) -> dict[str, Any]:
    return {"type": "http.response.trailers", "headers": headers, "more_trailers": False}


START = start_event([])
OK = trailers_event([OK_STATUS])


class Response:
    def __init__(self, send: Send, *, compress: bool = False) -> None:
        self._send = send
        self._compress = compress
        self._started = False

    async def start(self, headers: Headers | None = None) -> None:
        if not self._started:
            self._started = True
            encoding = [(b"grpc-encoding", b"gzip")] if self._compress else []
            await self._send(start_event([*encoding, *(headers or [])]))

    async def message(self, message: bytes) -> None:
        await self.start()
        body = frame(message, compress=self._compress)
        await self._send({"type": "http.response.body", "body": body, "more_body": True})

    async def end(self, trailing: Mapping[str, str | bytes] | None = None) -> None:
        await self.start()
        await self._send({"type": "http.response.body", "body": b""})
        await self._send(trailers_event([OK_STATUS, *encode_metadata(trailing or {})]))

    async def reply(self, answer: bytes | Reply) -> None:
        """The whole of a unary answer."""
        if not isinstance(answer, Reply):
            answer = Reply(answer)
        await self.start(encode_metadata(answer.initial_metadata))
        body = frame(answer.message, compress=self._compress)
        await self._send({"type": "http.response.body", "body": body})
        await self._send(trailers_event([OK_STATUS, *encode_metadata(answer.trailing_metadata)]))

    async def fail(self, error: RpcError) -> None:
        """Trailers only, when nothing was sent before."""
        if self._started:
            await self._send({"type": "http.response.body", "body": b""})
            await self._send(trailers_event(error_trailers(error)))
        else:
            self._started = True
            await self._send(start_event(error_trailers(error), trailers=False))
            await self._send({"type": "http.response.body", "body": b""})
