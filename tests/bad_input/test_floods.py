"""HTTP/2 that only costs, and more connections than files: the collector outlives both."""

import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from collector.frontends import otlp
from tests.bad_input.live import MIB, LiveCollector
from tests.waiting import eventually

HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RESET, SETTINGS = 0, 1, 2, 3, 4
PING, GOAWAY, WINDOW, CONTINUATION = 6, 7, 8, 9
END_STREAM, END_HEADERS = 1, 4
HUNDRED = 100
FLOOD = 1000  # times a hundred frames
RISE = 100 * MIB
FILES = 300


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    head = len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big")
    return head + payload


def field(name: bytes, value: bytes) -> bytes:
    """HPACK: a literal without a place in the table."""
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


CALL = b"".join(
    field(name, value)
    for name, value in [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", otlp.PATH.encode()),
        (b":authority", b"collector"),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
    ]
)
OPENED = frame(HEADERS, END_HEADERS, 1, CALL)


def resets() -> Iterator[bytes]:
    for stream in range(1, 20_001, 2):
        ended = frame(HEADERS, END_HEADERS | END_STREAM, stream, CALL)
        yield ended + frame(RESET, 0, stream, b"\0\0\0\x08")


def continuations() -> Iterator[bytes]:
    yield frame(HEADERS, 0, 1, CALL)
    for _ in range(5000):
        yield frame(CONTINUATION, 0, 1, field(b"x-a", b"b" * 100) * 10)


def repeated(*first: bytes, each: bytes) -> Iterator[bytes]:
    yield from first
    for _ in range(FLOOD):
        yield each * HUNDRED


def said(connection: socket.socket, frames: Iterator[bytes]) -> bytes:
    """All that comes back until it closes, or has been quiet for a second."""
    heard = b""
    connection.settimeout(1)
    with suppress(OSError):
        connection.sendall(HELLO + frame(SETTINGS, 0, 0))
        for some in frames:
            connection.sendall(some)
    with suppress(OSError):
        while more := connection.recv(MIB):
            heard += more
    return heard


def kinds(heard: bytes) -> set[int]:
    found, at = set(), 0
    while at + 9 <= len(heard):
        found.add(heard[at + 3])
        at += 9 + int.from_bytes(heard[at : at + 3], "big")
    return found


@pytest.mark.parametrize(
    ("frames", "sent_away"),
    [
        pytest.param(resets(), True, id="10,000 calls opened and reset"),
        pytest.param(continuations(), True, id="a head without end"),
        pytest.param(iter([frame(WINDOW, 0, 0, bytes(4))]), True, id="a window of nothing"),
        pytest.param(iter([frame(DATA, 0, 1, bytes(100_000))]), True, id="a frame too long"),
        pytest.param(repeated(each=frame(PING, 0, 0, b"12345678")), False, id="pings"),
        pytest.param(repeated(each=frame(SETTINGS, 0, 0, b"\0\3\0\0\0\x64")), False, id="settings"),
        pytest.param(repeated(OPENED, each=frame(DATA, 0, 1)), False, id="empty data"),
        pytest.param(repeated(each=frame(PRIORITY, 0, 3, b"\0\0\0\0\1")), False, id="priorities"),
    ],
)
def test_a_flood_is_cut_off_or_takes_little_memory(
    collector: LiveCollector, frames: Iterator[bytes], sent_away: bool
) -> None:
    counters, resident = collector.counters(), collector.reset_peak()
    with collector.connect(collector.settings.grpc) as connection:
        heard = said(connection, frames)
    assert (GOAWAY in kinds(heard)) is sent_away
    assert collector.peak() - resident <= RISE
    assert counters.moved("reports") == 0


@contextmanager
def open_files(soft: int) -> Iterator[None]:
    """What a process started meanwhile may have open."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_more_connections_than_files_are_outlived(tmp_path: Path, redis_url: str) -> None:
    """An accept that failed for want of a file used to end the collector."""
    with open_files(FILES):
        collector = LiveCollector(tmp_path, redis_url)
    try:
        with ExitStack() as idle:
            for _ in range(2 * FILES):
                idle.enter_context(collector.connect())
        collector.send_good()
    finally:
        collector.kill()


def test_one_address_may_have_so_many_connections(tmp_path: Path, redis_url: str) -> None:
    collector = LiveCollector(
        tmp_path, redis_url, connections_per_address=5, connections_trusted="127.0.0.1"
    )
    try:
        counters = collector.counters()
        with ExitStack() as idle:
            held = [idle.enter_context(collector.connect(source="127.0.0.2")) for _ in range(20)]
            eventually(lambda: counters.moved("connections_closed", reason="too_many") == 15)
            assert sum(map(answers, held)) == 5
            assert answers(idle.enter_context(collector.connect(source="127.0.0.3")))
        collector.send_good()
    finally:
        collector.kill()


def answers(connection: socket.socket) -> bool:
    try:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: collector\r\n\r\n")
        return connection.recv(1000).startswith(b"HTTP/1.1 200")
    except OSError:
        return False
