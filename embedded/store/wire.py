"""Primitive values of ClickHouse's native protocol, read from a socket and written to bytes.

Source: src/IO/VarInt.h, src/IO/ReadHelpers.h
"""

import socket
import struct

from embedded.store.errors import TOO_LARGE, Broken, HangUp

RECEIVE_BYTES = 1 << 18
LONGEST_VARINT = 10  # bytes of a 64-bit number, seven bits each


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def string(text: str | bytes) -> bytes:
    data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    return varint(len(data)) + data


class Reader:
    """Takes values off a socket, or off `data` alone when there is none.

    At most `limit` bytes are held at a time. `release` forgets what was read, so that a limit is
    one of a packet; until then `buffer[start:position]` can be taken again as it came.
    Raises HangUp when the peer goes, and Broken beyond the limit.
    """

    def __init__(self, source: socket.socket | None, limit: int, data: bytes = b"") -> None:
        self.buffer = bytearray(data)
        self.position = 0
        self.limit = limit
        self._source = source

    def release(self) -> None:
        del self.buffer[: self.position]
        self.position = 0

    def need(self, size: int) -> None:
        """Waits until `size` bytes more than those read are in the buffer."""
        end = self.position + size
        if end <= len(self.buffer):
            return
        if end > self.limit:
            raise Broken(TOO_LARGE, f"a packet is larger than {self.limit} bytes")
        if self._source is None:
            raise HangUp("the data ends early")
        while len(self.buffer) < end:
            try:
                received = self._source.recv(
                    max(RECEIVE_BYTES, min(end - len(self.buffer), 1 << 22))
                )
            except OSError as error:
                raise HangUp(str(error)) from error
            if not received:
                raise HangUp("the peer closed the connection")
            self.buffer += received

    def skip(self, size: int) -> None:
        self.need(size)
        self.position += size

    def take(self, size: int) -> bytes:
        self.need(size)
        start, self.position = self.position, self.position + size
        return bytes(self.buffer[start : self.position])

    def since(self, start: int) -> bytes:
        """What was read from `start` on."""
        return bytes(self.buffer[start : self.position])

    def byte(self) -> int:
        self.need(1)
        self.position += 1
        return self.buffer[self.position - 1]

    def varint(self) -> int:
        number = 0
        for index in range(LONGEST_VARINT):
            byte = self.byte()
            number |= (byte & 127) << (7 * index)
            if byte < 128:
                return number
        raise Broken(TOO_LARGE, "a number is longer than 64 bits")

    def uint64(self) -> int:
        return int(struct.unpack("<Q", self.take(8))[0])

    def string(self) -> str:
        return self.take(self.varint()).decode("utf-8", "surrogateescape")
