"""A client of the native protocol that can do what clickhouse-driver never would."""

import socket
import struct
from types import TracebackType
from typing import Self

from embedded.store import packets
from embedded.store.compression import Method, read_frame, write_frames
from embedded.store.native import walk_block
from embedded.store.packets import BLOCK_INFO, NO_BLOCK, FromClient, FromServer, skip_block_info
from embedded.store.wire import Reader, string, varint


class RawClient:
    """Greets on entering. `answer` returns what came until the answer's end."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.reader = Reader(self.socket, 1 << 30)

    def __enter__(self) -> Self:
        hello = [string("raw"), varint(1), varint(1), varint(packets.REVISION)]
        self.send(varint(FromClient.HELLO), *hello, string(""), string(""), string(""))
        assert self.reader.varint() == FromServer.HELLO
        self.reader.string()
        for _ in range(3):
            self.reader.varint()
        self.reader.string()
        self.reader.string()
        self.reader.varint()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.socket.close()

    def send(self, *parts: bytes) -> None:
        self.socket.sendall(b"".join(parts))

    def query(self, sql: str, *, codec: Method | None = None) -> None:
        method = b"" if codec is None else string("network_compression_method") + b"\0"
        named = method + string(codec.name) if codec else b""
        head = [varint(FromClient.QUERY), string(""), b"\0", named, string(""), string("")]
        self.send(*head, varint(2), varint(codec is not None), string(sql))
        self.block(NO_BLOCK, codec=codec)

    def block(
        self, native: bytes, *, codec: Method | None = None, info: bytes = BLOCK_INFO
    ) -> None:
        body = info + native
        parts = write_frames(body, codec) if codec else [body]
        self.send(varint(FromClient.DATA), string(""), *parts)

    def answer(self, *, codec: Method | None = None) -> tuple[int, list[bytes]]:
        """The code of the exception (0: none), and the blocks of FORMAT Native until then."""
        blocks: list[bytes] = []
        while True:
            kind = self.reader.varint()
            if kind == FromServer.EXCEPTION:
                code = struct.unpack("<i", self.reader.take(4))[0]
                for _ in range(3):
                    self.reader.string()
                assert self.reader.byte() == 0  # none within it
                return code, blocks
            if kind == FromServer.END_OF_STREAM:
                return 0, blocks
            if kind == FromServer.DATA:
                blocks.append(self.read_block(codec))
            elif kind == FromServer.PROGRESS:
                for _ in range(5):
                    self.reader.varint()
            elif kind == FromServer.PROFILE:
                for _ in range(6):
                    self.reader.varint()
            else:
                raise AssertionError(f"packet {kind}")

    def read_block(self, codec: Method | None) -> bytes:
        self.reader.string()
        reader = self.reader
        if codec:
            frame = read_frame(self.reader)
            reader = Reader(None, len(frame), frame)
        skip_block_info(reader)
        start = reader.position
        walk_block(reader)
        return reader.since(start)

    def header(self, codec: Method | None = None) -> bytes:
        """The block that says which columns an insert takes."""
        assert self.reader.varint() == FromServer.DATA
        return self.read_block(codec)
