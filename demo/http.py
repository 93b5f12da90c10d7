"""HTTP/1.1 between the shop's parts and their sidecars: keep-alive, bodies by content-length.

Small on purpose: the demo shares a laptop's cores with everything it shows.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

LONGEST_BODY = 1 << 20

# What links the spans of one request, and its log lines, across an application.
CARRIED = ("traceparent", "tracestate", "x-request-id")


class BadMessage(Exception):
    """Not HTTP/1.1 as spoken here."""


@dataclass(frozen=True)
class Message:
    """A request or an answer: the three words of its first line, headers in lower case, body."""

    first: tuple[str, str, str]
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def path(self) -> str:
        return self.first[1]

    @property
    def status(self) -> int:
        return int(self.first[1])

    def encoded(self) -> bytes:
        headers = {**self.headers, "content-length": str(len(self.body))}
        lines = [" ".join(self.first), *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode() + self.body


def answer(status: int, body: bytes = b"{}") -> Message:
    return Message(("HTTP/1.1", str(status), "-"), {"content-type": "application/json"}, body)


def carried(request: Message) -> dict[str, str]:
    return {name: request.headers[name] for name in CARRIED if name in request.headers}


async def read_message(reader: asyncio.StreamReader) -> Message | None:
    """None when the peer closed between messages. Raises BadMessage, ConnectionError."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as end:
        if end.partial:
            raise BadMessage("closed within a message") from end
        return None
    except asyncio.LimitOverrunError as error:
        raise BadMessage("headers too long") from error
    first, *lines = head[:-4].decode("latin-1").split("\r\n")
    words = first.split(" ", 2)
    headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    length = headers.get("content-length", "0")
    if len(words) < 2 or "transfer-encoding" in headers or not length.isdigit():
        raise BadMessage(first)
    if int(length) > LONGEST_BODY:
        raise BadMessage("body too long")
    try:
        body = await reader.readexactly(int(length))
    except asyncio.IncompleteReadError as error:
        raise BadMessage("closed within a body") from error
    return Message((words[0], words[1], words[2] if len(words) > 2 else ""), headers, body)


Handler = Callable[[Message], Awaitable[Message]]


async def serve(port: int, handler: Handler) -> asyncio.Server:
    """Serves on the loopback. Raises OSError when the port is taken."""

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(BadMessage, ConnectionError):
            while request := await read_message(reader):
                writer.write((await handler(request)).encoded())
                await writer.drain()

    return await asyncio.start_server(connection, "127.0.0.1", port)


class Client:
    """Calls one service through one port, keeping connections for the next call."""

    def __init__(self, service: str, port: int) -> None:
        self.service = service
        self.port = port
        self.idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def call(self, method: str, path: str, headers: Mapping[str, str]) -> int:
        """The answer's status; 0 when there was none."""
        try:
            reader, writer = await self.connection()
        except OSError:
            return 0
        request = Message((method, path, "HTTP/1.1"), {"host": self.service, **headers})
        writer.write(request.encoded())
        try:
            found = await read_message(reader)
        except (BadMessage, OSError):
            found = None
        if found is None:
            writer.close()
            return 0
        self.idle.append((reader, writer))
        return found.status

    async def connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self.idle:
            return self.idle.pop()
        return await asyncio.open_connection("127.0.0.1", self.port)

    def close(self) -> None:
        for _, writer in self.idle:
            writer.close()
