"""Plain HTTP requests and answers, for routes too hot, or too raw, for the web framework."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from collector.errors import (
    CollectorError,
    Malformed,
    TooLarge,
    TooSlow,
    Unready,
    Unsupported,
)
from collector.transport.compression import Inflate, gunzip, unzstd
from collector.transport.metadata import Metadata
from collector.transport.reading import PeerLeft, Receive, in_time
from collector.transport.status import Headers

JSON = (b"content-type", b"application/json")
STATUS: dict[type[CollectorError], int] = {
    Malformed: 400,
    TooSlow: 408,
    TooLarge: 413,
    Unsupported: 415,
    Unready: 503,
}
EXTRA_HEADERS: dict[int, Headers] = {
    415: [(b"accept-encoding", b"gzip, zstd")],
    503: [(b"retry-after", b"1")],
}


ENCODINGS: Mapping[str, Inflate | None] = {
    "": None,
    "identity": None,
    "gzip": gunzip,
    "zstd": unzstd,
}


class RawRequest:
    """A request whose body is read only when asked for."""

    __slots__ = ("_receive", "_scope", "headers")

    def __init__(self, scope: Mapping[str, Any], receive: Receive) -> None:
        self._scope = scope
        self._receive = receive
        self.headers = Metadata(dict(scope["headers"]), scope.get("client"))

    @property
    def method(self) -> str:
        method: str = self._scope["method"]
        return method

    @property
    def path(self) -> str:
        """As sent, without the query and with its percent signs."""
        raw: bytes = self._scope["raw_path"]
        return raw.decode("latin-1")

    @property
    def query(self) -> str:
        raw: bytes = self._scope["query_string"]
        return raw.decode("latin-1")

    async def body(self, limit: int, encodings: Mapping[str, Inflate | None] = ENCODINGS) -> bytes:
        """The body, decompressed by its content-encoding, at most `limit` bytes either way.

        Raises TooLarge (at once when content-length says so), TooSlow, Malformed, Unsupported,
        PeerLeft.
        """
        encoding = self.headers.get("content-encoding", "").strip().lower()
        if encoding not in encodings:
            spoken = " or ".join(name for name, inflate in encodings.items() if inflate)
            raise Unsupported(f"content-encoding {encoding[:64]!r} is not spoken; {spoken} is")
        inflate = encodings[encoding]
        length = self.headers.get("content-length", "")
        if length.isdigit() and int(length) > limit:
            raise TooLarge(f"a body of {length} bytes; at most {limit} are accepted")
        body = await self._read(limit)
        return inflate(body, limit) if inflate else body

    async def _read(self, limit: int) -> bytes:
        chunks: list[bytes] = []
        size, began_s = 0, monotonic()
        more = True
        while more:
            event = await in_time(self._receive(), began_s, size)
            if event["type"] != "http.request":
                raise PeerLeft
            chunk = event.get("body", b"")
            size += len(chunk)
            if size > limit:
                raise TooLarge(f"more than the {limit} bytes that are accepted")
            chunks.append(chunk)
            more = event.get("more_body", False)
        return b"".join(chunks)


@dataclass(frozen=True, slots=True)
class RawAnswer:
    status: int
    headers: Headers = field(default_factory=list)
    body: bytes = b""


RawHandler = Callable[[RawRequest], RawAnswer | Awaitable[RawAnswer]]


def http_status(error: CollectorError) -> int:
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)


def error_answer(error: CollectorError) -> RawAnswer:
    """The collector's errors as HTTP: a status, and one sentence as JSON."""
    status = http_status(error)
    body = json.dumps({"error": str(error)}).encode() + b"\n"
    return RawAnswer(status, [JSON, *EXTRA_HEADERS.get(status, [])], body)
