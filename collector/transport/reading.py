"""The request half of a gRPC call: its header fields and its messages."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from math import inf
from time import monotonic
from typing import Any, TypeVar

from collector.errors import TooSlow
from collector.transport.compression import Inflate, gunzip, unzstd
from collector.transport.framing import PREFIX, Frames
from collector.transport.status import RpcError, StatusCode

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Result = TypeVar("Result")

IDENTITY, GZIP = b"identity", b"gzip"
INFLATE: Mapping[bytes, Inflate | None] = {IDENTITY: None, GZIP: gunzip, b"zstd": unzstd}
ACCEPTED = "identity,gzip,zstd"
TIMEOUT_UNITS_S = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}


BODY_S, BYTES_A_SECOND = 10.0, 1024  # a body may take so long, and longer if it comes this fast


class PeerLeft(Exception):
    """Nobody is there to be answered."""


@lru_cache(maxsize=4096)
def timeout_s(value: bytes | None) -> float:
    """grpc-timeout: up to eight digits and a unit. None: no limit. Raises RpcError."""
    if value is None:
        return inf
    digits, unit = value[:-1].decode("latin-1"), value[-1:].decode("latin-1")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 8:
        raise RpcError(StatusCode.INTERNAL, "grpc-timeout cannot be read")
    if unit not in TIMEOUT_UNITS_S:
        raise RpcError(StatusCode.INTERNAL, "grpc-timeout has an unknown unit")
    return int(digits) * TIMEOUT_UNITS_S[unit]


def check_encoding(encoding: bytes) -> None:
    """Raises RpcError UNIMPLEMENTED, naming what is spoken."""
    if encoding not in INFLATE:
        raise RpcError(
            StatusCode.UNIMPLEMENTED,
            f"grpc-encoding {encoding.decode('latin-1')} is not spoken",
            trailers={"grpc-accept-encoding": ACCEPTED},
        )


def deadline_exceeded() -> RpcError:
    return RpcError(StatusCode.DEADLINE_EXCEEDED, "the deadline passed")


async def within(result: Awaitable[Result], deadline_s: float) -> Result:
    """Awaits, and cancels at the deadline: RpcError DEADLINE_EXCEEDED."""
    if deadline_s == inf:
        return await result
    limit = asyncio.timeout(deadline_s - monotonic())
    try:
        async with limit:
            return await result
    except TimeoutError:
        if limit.expired():
            raise deadline_exceeded() from None
        raise


async def in_time(part: Awaitable[Result], began_s: float, size: int) -> Result:
    """The next part of a body of which `size` bytes have come. Raises TooSlow."""
    limit = asyncio.timeout(began_s + BODY_S + size / BYTES_A_SECOND - monotonic())
    try:
        async with limit:
            return await part
    except TimeoutError:
        if limit.expired():
            told = f"{size} bytes in {monotonic() - began_s:.0f} s"
            raise TooSlow(f"the body comes too slowly: {told}") from None
        raise


async def whole_message(receive: Receive, limit: int, encoding: bytes) -> bytes:
    """The one message of a unary call. Raises RpcError, PeerLeft, and TooSlow once it began."""
    event = await receive()
    chunk: bytes = event.get("body", b"")
    size = len(chunk) - PREFIX
    if 0 <= size <= limit and chunk[0] == 0 and size == int.from_bytes(chunk[1:PREFIX], "big"):
        return chunk[PREFIX:]
    frames = Frames(limit, INFLATE[encoding])
    began_s, size = monotonic(), len(chunk)
    while True:
        if event["type"] != "http.request":
            raise PeerLeft
        for message in frames.feed(event.get("body", b"")):
            return message
        if not event.get("more_body", False):
            frames.end()
            raise RpcError(StatusCode.UNIMPLEMENTED, "a unary call needs one message")
        event = await in_time(receive(), began_s, size)
        size += len(event.get("body", b""))
