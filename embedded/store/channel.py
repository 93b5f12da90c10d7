"""One client's socket: whole packets in, bytes out."""

import contextlib
import select
import socket
import time
from dataclasses import dataclass

from embedded.store.compression import HEAD_BYTES, METHODS, frame_follows, read_frame
from embedded.store.errors import TOO_LARGE, Broken, HangUp
from embedded.store.native import walk_block
from embedded.store.packets import FromClient, Query, read_query, skip_block_info
from embedded.store.wire import Reader

LARGEST_HELLO = 1 << 16  # bytes
LARGEST_PACKET = 256 << 20  # bytes
HELLO_S = 10
PACKET_S = 300  # as ClickHouse's receive_timeout and send_timeout
IDLE_S = 3600  # as ClickHouse's idle_connection_timeout
LINGER_S = 5
GONE = -1  # in place of a byte


@dataclass(frozen=True)
class Block:
    """A block of FORMAT Native as it came; no columns: the end of the data."""

    columns: int
    rows: int
    native: bytes


class Channel:
    """Raises HangUp when the peer goes or is silent too long, Broken when it cannot be followed."""

    def __init__(self, client: socket.socket) -> None:
        self.socket = client
        self.reader = Reader(client, LARGEST_HELLO)
        client.settimeout(HELLO_S)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def next_packet(self, timeout_s: float = PACKET_S) -> int:
        """The type of the next packet, once it has begun."""
        self.reader.release()
        self.reader.limit = LARGEST_PACKET
        self.socket.settimeout(timeout_s)
        kind = self.reader.varint()
        self.socket.settimeout(PACKET_S)
        return kind

    def read_query(self) -> Query:
        return read_query(self.reader)

    def read_block(self, *, compressed: bool) -> Block:
        """The rest of a Data packet."""
        self.reader.string()  # name of a temporary table, or empty
        if compressed:
            return self.read_compressed_block()
        skip_block_info(self.reader)
        start = self.reader.position
        walked = walk_block(self.reader)
        return Block(walked.columns, walked.rows, self.reader.since(start))

    def read_compressed_block(self) -> Block:
        """One frame, or several: nothing but what follows tells where the last one ends."""
        first = read_frame(self.reader)
        head = Reader(None, len(first), first)
        skip_block_info(head)
        start = head.position
        columns, rows = head.varint(), head.varint()
        parts, size = [first[start:]], len(first)
        while columns and not self.packet_follows():
            self.reader.release()
            parts.append(read_frame(self.reader))
            size += len(parts[-1])
            if size > LARGEST_PACKET:
                raise Broken(TOO_LARGE, f"a block is larger than {LARGEST_PACKET} bytes")
        return Block(columns, rows, b"".join(parts))

    def packet_follows(self) -> bool:
        """Whether the next bytes are a Data packet rather than one more frame.

        A frame begins with its checksum, which may look like a packet's first bytes.
        """
        reader = self.reader
        packet_head = bytes([FromClient.DATA, 0])  # and no table name
        reader.need(len(packet_head) + HEAD_BYTES)
        at = reader.position
        begins = reader.buffer[at : at + len(packet_head)] == packet_head
        method = reader.buffer[at + len(packet_head) + HEAD_BYTES - 9]
        return begins and method in METHODS and not frame_follows(reader)

    def send(self, *packets: bytes) -> None:
        try:
            self.socket.sendall(b"".join(packets))
        except OSError as error:
            raise HangUp(str(error)) from error

    def next_byte(self) -> int | None:
        """The first byte not yet read; None: there is none yet; GONE: nor will be."""
        if self.reader.position < len(self.reader.buffer):
            return self.reader.buffer[self.reader.position]
        try:
            # Asked first: a socket with a timeout waits for it, MSG_DONTWAIT or not.
            poll = select.poll()
            poll.register(self.socket, select.POLLIN)
            if not poll.poll(0):
                return None
            seen = self.socket.recv(1, socket.MSG_PEEK)
        except (OSError, ValueError):  # ValueError: closed on our side
            return GONE
        return seen[0] if seen else GONE

    def stop_reading(self) -> None:
        """Makes a thread that waits for the peer see it gone; answers can still be sent."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RD)

    def linger(self) -> None:
        """Lets the peer finish writing, lest the reset of a closed socket destroy our answer."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)
            self.socket.settimeout(LINGER_S)
            until = time.monotonic() + LINGER_S
            while self.socket.recv(1 << 20) and time.monotonic() < until:
                continue

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.close()
