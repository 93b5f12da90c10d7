"""Bytes that are hardly HTTP, straight onto a socket."""

import socket
from contextlib import ExitStack, suppress

import pytest

from tests.bad_input.live import MIB, LiveCollector
from tests.bad_input.test_floods import HELLO, OPENED, PING, SETTINGS, frame

POST = b"POST /v1/traces HTTP/1.1\r\nhost: collector\r\ncontent-type: application/x-protobuf\r\n"
RISE = 100 * MIB
HALF_REQUESTS = 50


def answered(connection: socket.socket, *chunks: bytes) -> bytes:
    """All it says until it closes, or until the end of the first answer's head."""
    said = b""
    try:
        for chunk in chunks:
            connection.sendall(chunk)
    except (BrokenPipeError, ConnectionResetError):
        pass  # it has said no before it heard all
    try:
        while b"\r\n\r\n" not in said and (more := connection.recv(65536)):
            said += more
    except ConnectionResetError:
        pass
    return said


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def test_a_length_over_the_limit_is_refused_before_the_body_comes(collector: LiveCollector) -> None:
    counters = collector.counters()
    with collector.connect() as connection:
        answer = answered(connection, POST + b"content-length: 1000000000\r\n\r\n")
    assert status(answer) == 413
    assert (
        counters.moved("frontend_messages_dropped", protocol="otlp_http", reason="too_large") == 1
    )


def test_chunks_without_end_are_refused_at_the_limit(collector: LiveCollector) -> None:
    resident = collector.reset_peak()
    chunk = b"%x\r\n" % MIB + bytes(MIB) + b"\r\n"
    with collector.connect() as connection:
        answer = answered(connection, POST + b"transfer-encoding: chunked\r\n\r\n", *[chunk] * 64)
    assert answer == b"" or status(answer) == 413  # a reset may overtake the answer
    assert collector.peak() - resident <= RISE


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        pytest.param(b"x-a: b\r\n" * 2000, 431, id="2000 header fields"),
        pytest.param(b"x-a: " + b"b" * 100_000 + b"\r\n", 431, id="a header field of 100 KB"),
        pytest.param(
            b"content-length: 4\r\ntransfer-encoding: chunked\r\n",
            400,
            id="two lengths of two kinds",
        ),
        pytest.param(b"transfer-encoding: gzip, chunked\r\n", 501, id="another transfer encoding"),
        pytest.param(b"host: other\r\n", 400, id="two hosts"),
        pytest.param(b"x-a: b\r\n c\r\n", 400, id="a field over two lines"),
        pytest.param(b"x-a: b\nx-b: c\r\n", 400, id="a line that ends in LF alone"),
        pytest.param(b"content-length: 4\r\ncontent-length: 5\r\n", 400, id="two lengths"),
        pytest.param(b"content-length: -1\r\n", 400, id="a length below nothing"),
        pytest.param(b"x a: b\r\n", 400, id="a space in a name"),
        pytest.param(b"x-a: \0\r\n", 400, id="a NUL in a value"),
    ],
)
def test_a_head_that_is_not_http_is_refused(
    collector: LiveCollector, head: bytes, expected: int
) -> None:
    with collector.connect() as connection:
        assert status(answered(connection, POST + head + b"\r\n")) == expected


def test_half_requests_hold_nobody_up(collector: LiveCollector) -> None:
    with ExitStack() as open_connections:
        for _ in range(HALF_REQUESTS):
            connection = open_connections.enter_context(collector.connect())
            connection.sendall(POST)
        collector.send_good()
        for _ in range(HALF_REQUESTS):
            connection = open_connections.enter_context(collector.connect())
            connection.sendall(POST + b"content-length: 100\r\n\r\nhalf")
        collector.send_good()


SILENT = {
    "no protocol": b"\x16\x03\x01\x02\x00\x01\x00" + bytes(500),
    "half a head": POST,
    "LF alone": POST.replace(b"\r\n", b"\n") + b"content-length: 0\n\n",
}
HALF = {
    "a length": POST + b"content-length: 100000\r\n\r\nhalf",
    "chunks": POST + b"transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
}


GET = b"GET /healthz HTTP/1.1\r\nhost: collector\r\n"
DRIPPED = {
    "a head": b"GET /",
    "a field of a head": POST + b"x-a: b",
    "a head after a request": GET + b"\r\n" + POST,
    "a head over HTTP/2": HELLO + frame(SETTINGS, 0, 0) + OPENED[:12],
    "a head over HTTP/2, after a ping": HELLO
    + frame(SETTINGS, 0, 0)
    + frame(PING, 0, 0, bytes(8))
    + OPENED[:12],
}


def ended(connection: socket.socket) -> bool:
    """All that it has said is read."""
    try:
        while connection.recv(65536):
            pass
    except BlockingIOError:
        return False
    except ConnectionResetError:
        pass
    return True


def test_what_stops_coming_is_given_up(collector: LiveCollector) -> None:
    """All at once, since each takes ten seconds: bodies, heads, and heads a byte at a time. What
    only says nothing stays."""
    counters = collector.counters()
    with ExitStack() as open_connections:

        def connected(start: bytes) -> socket.socket:
            connection = open_connections.enter_context(collector.connect())
            connection.sendall(start)
            return connection

        silent = [connected(start) for start in SILENT.values()]
        half = [connected(start) for start in HALF.values()]
        dripping = connected(HALF["a length"])
        dripping.settimeout(0.5)
        heads = [connected(start) for start in DRIPPED.values()]
        for head in heads:
            head.setblocking(False)
        quiet = [connected(GET + b"\r\n"), connected(HELLO + frame(SETTINGS, 0, 0))]
        said = b""
        while not said or not all(map(ended, heads)):
            for head in heads:
                with suppress(OSError):
                    head.sendall(b"x")
            with suppress(OSError):
                dripping.sendall(b"x")
            with suppress(TimeoutError):
                said = said or dripping.recv(1000)
        assert status(said) == 408
        assert status(answered(quiet[0], GET + b"\r\n")) == 200
        assert b"12345678" in answered(quiet[1], frame(PING, 0, 0, b"12345678") + frame(9, 0, 0))
        assert [status(answered(connection)) for connection in half] == [408, 408]
        assert [answered(connection) for connection in silent] == [b"", b"", b""]
    assert counters.moved("frontend_messages_dropped", protocol="otlp_http", reason="too_slow") == 3
    assert counters.moved("connections_closed", reason="slow_head") >= 3  # HTTP/1.1's


@pytest.mark.parametrize(
    "target",
    [
        "/v1%2ftraces",
        "/v1/%74races",
        "/v1/traces%00",
        "/v1/../v1/traces",
        "//v1/traces",
        "/V1/traces",
    ],
)
def test_only_a_path_as_it_is_written_leads_to_a_route(
    collector: LiveCollector, target: str
) -> None:
    counters = collector.counters()
    head = POST.replace(b"/v1/traces", target.encode())
    with collector.connect() as connection:
        assert status(answered(connection, head + b"content-length: 0\r\n\r\n")) == 404
    assert counters.moved("frontend_messages") == 0


def test_half_a_chunk_ends_its_connection_alone(collector: LiveCollector) -> None:
    with collector.connect() as connection:
        head = POST + b"transfer-encoding: chunked\r\n\r\n"
        assert answered(connection, head, b"zz\r\n\r\n") == b""
    collector.send_good()
