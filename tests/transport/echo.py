"""gRPC methods of every shape, answering what they are told."""

import asyncio
from collections.abc import AsyncIterator, Iterable

from google.protobuf.wrappers_pb2 import StringValue

from collector.errors import Malformed, Overloaded, TooLarge, Unsupported
from collector.transport.grpc import (
    Metadata,
    Reply,
    RpcError,
    StatusCode,
    StreamMethod,
    UnaryMethod,
)

ERRORS = {
    b"malformed": Malformed("no such field"),
    b"too-large": TooLarge("9 bytes"),
    b"unsupported": Unsupported("br"),
    b"unready": Overloaded("the outbox is full"),
    b"denied": RpcError(
        StatusCode.PERMISSION_DENIED,
        "nein: 100 % naïve\n",
        [StringValue(value="why")],
        {"x-rule": "r@3", "x-proof-bin": b"\0\xff"},
    ),
    b"bug": ZeroDivisionError("a secret"),
}


def fail(_metadata: Metadata, message: bytes) -> bytes:
    raise ERRORS[message]


async def fail_later(metadata: Metadata, message: bytes) -> bytes:
    await asyncio.sleep(0)
    return fail(metadata, message)


def reflect(metadata: Metadata, message: bytes) -> Reply:
    return Reply(
        message,
        {"x-initial": metadata.get("x-text", ""), "x-initial-bin": metadata.binary["x-blob-bin"]},
        {"x-trailing": metadata.identity, "x-trailing-bin": b"\0\1"},
    )


class Echo:
    """Answers every message at once, and says goodbye."""

    def message(self, body: bytes) -> Iterable[bytes]:
        return [body]

    def end(self) -> Iterable[bytes]:
        return [b"bye"]


class Sum:
    """Client streaming: the total of the lengths, counted with a wait for each message."""

    def __init__(self) -> None:
        self.total = 0

    async def message(self, body: bytes) -> Iterable[bytes]:
        await asyncio.sleep(0)
        self.total += len(body)
        return ()

    def end(self) -> Iterable[bytes]:
        return [b"%d" % self.total]


class Count:
    """Server streaming: as many messages as asked for."""

    def message(self, body: bytes) -> AsyncIterator[bytes]:
        return self._count(int(body))

    async def _count(self, up_to: int) -> AsyncIterator[bytes]:
        for number in range(up_to):
            await asyncio.sleep(0)
            yield b"%d" % number

    def end(self) -> Iterable[bytes]:
        return ()


class Breaks:
    """Answers the first message, fails at the second."""

    def __init__(self) -> None:
        self.seen = 0

    def message(self, body: bytes) -> Iterable[bytes]:
        self.seen += 1
        if self.seen > 1:
            raise ERRORS[body]
        return [body]

    def end(self) -> Iterable[bytes]:
        return ()


class Patience:
    """A handler that waits to be released, and remembers being called and cancelled."""

    def __init__(self) -> None:
        self.calls = 0
        self.cancelled = 0
        self.release = asyncio.Event()

    async def __call__(self, _metadata: Metadata, message: bytes) -> bytes:
        self.calls += 1
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return message


METHODS = {
    "/t.Echo/Unary": UnaryMethod(lambda _metadata, message: message),
    "/t.Echo/Reflect": UnaryMethod(reflect),
    "/t.Echo/Fail": UnaryMethod(fail),
    "/t.Echo/FailLater": UnaryMethod(fail_later),
    "/t.Echo/Bidi": StreamMethod(lambda _metadata: Echo()),
    "/t.Echo/Sum": StreamMethod(lambda _metadata: Sum()),
    "/t.Echo/Count": StreamMethod(lambda _metadata: Count()),
    "/t.Echo/Breaks": StreamMethod(lambda _metadata: Breaks()),
}
