"""gRPC's frames: a compressed flag, four bytes of length, the message.

Source: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
"""

from collections.abc import Iterator

from collector.errors import Malformed, TooLarge
from collector.transport.compression import Inflate, gzip_small
from collector.transport.status import RpcError, StatusCode

PREFIX = 5
MAX_MESSAGE_BYTES = 4 * 1024 * 1024
WORTH_COMPRESSING = 1024  # bytes


class Frames:
    """The messages of one request, as its bytes come in."""

    def __init__(self, limit: int, inflate: Inflate | None) -> None:
        """`inflate`: of messages that are flagged as compressed; None: none may be."""
        self._limit = limit
        self._inflate = inflate
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The messages that are now whole. Raises RpcError."""
        buffer = self._buffer
        buffer += chunk
        while len(buffer) >= PREFIX:
            end = PREFIX + int.from_bytes(buffer[1:PREFIX], "big")
            if end - PREFIX > self._limit:
                raise RpcError(
                    StatusCode.RESOURCE_EXHAUSTED,
                    f"message of {end - PREFIX} bytes; at most {self._limit} are accepted",
                )
            if len(buffer) < end:
                return
            flag = buffer[0]
            message = bytes(memoryview(buffer)[PREFIX:end])
            del buffer[:end]
            yield self._plain(flag, message)

    def end(self) -> None:
        """Raises RpcError when the peer stopped inside a message."""
        if self._buffer:
            raise RpcError(StatusCode.INVALID_ARGUMENT, "the request ends inside a message")

    def _plain(self, flag: int, message: bytes) -> bytes:
        if flag == 0:
            return message
        if flag != 1 or self._inflate is None:
            raise RpcError(StatusCode.INTERNAL, f"frame flag {flag} without a grpc-encoding for it")
        try:
            return self._inflate(message, self._limit)
        except TooLarge as error:
            raise RpcError(StatusCode.RESOURCE_EXHAUSTED, str(error)) from error
        except Malformed as error:
            raise RpcError(StatusCode.INTERNAL, str(error)) from error


def frame(message: bytes, *, compress: bool = False) -> bytes:
    if compress and len(message) >= WORTH_COMPRESSING:
        message = gzip_small(message)
        return b"\1" + len(message).to_bytes(4, "big") + message
    return b"\0" + len(message).to_bytes(4, "big") + message
