"""Each way to disturb a link is what it says, and over when it is over."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from chaos.links import WAYS, environs, proxies_of
from chaos.proxy import CUT_BYTES, DELAY_S, Mode, Proxies
from collector.settings import Settings

SHORT_S = 0.3


def echo(server: socket.socket) -> None:
    """Answers what it is told, each connection in a thread, until the server is closed."""

    def answer(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while told := connection.recv(65536):
                connection.sendall(told)

    with suppress(OSError):
        while True:
            connection, _ = server.accept()
            threading.Thread(target=answer, args=(connection,), daemon=True).start()


@pytest.fixture
def proxies() -> Iterator[Proxies]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=echo, args=(server,), daemon=True).start()
        made = Proxies({"link": server.getsockname()})
        yield made
        made.close()
        server.shutdown(socket.SHUT_RDWR)


def connect(proxies: Proxies) -> socket.socket:
    host, _, port = proxies.address("link").rpartition(":")
    return socket.create_connection((host, int(port)), timeout=10)


def answered(connection: socket.socket, told: bytes = b"hello") -> bytes:
    connection.sendall(told)
    said = b""
    while len(said) < len(told) and (more := connection.recv(65536)):
        said += more
    return said


def test_what_is_not_disturbed_passes(proxies):
    with connect(proxies) as connection:
        assert answered(connection, b"x" * 1_000_000) == b"x" * 1_000_000


def test_nobody_is_found_where_it_refuses(proxies):
    proxies.become("link", Mode.REFUSE)
    with pytest.raises(ConnectionRefusedError):
        connect(proxies)
    proxies.become("link", Mode.PASS)
    with connect(proxies) as connection:
        assert answered(connection) == b"hello"


def test_a_black_hole_never_answers(proxies):
    proxies.become("link", Mode.BLACKHOLE)
    with connect(proxies) as connection:
        connection.settimeout(SHORT_S)
        with pytest.raises(TimeoutError):
            answered(connection)
        proxies.become("link", Mode.PASS)
        connection.settimeout(10)
        assert connection.recv(1) == b""


def test_what_is_frozen_comes_later(proxies):
    with connect(proxies) as connection:
        proxies.become("link", Mode.FREEZE)
        connection.settimeout(SHORT_S)
        with pytest.raises(TimeoutError):
            answered(connection)
        proxies.become("link", Mode.PASS)
        connection.settimeout(10)
        assert connection.recv(5, socket.MSG_WAITALL) == b"hello"


def test_a_reset_ends_what_is_connected(proxies):
    with connect(proxies) as connection:
        assert answered(connection) == b"hello"
        proxies.become("link", Mode.RESET)
        with pytest.raises(ConnectionResetError):
            answered(connection)


def test_a_cut_ends_a_connection_in_the_middle_of_what_it_says(proxies):
    proxies.become("link", Mode.CUT)
    with connect(proxies) as connection:
        assert answered(connection) == b"hello"
        assert len(answered(connection, b"x" * 2 * CUT_BYTES)) < 2 * CUT_BYTES


@pytest.mark.parametrize("mode", [Mode.DELAY, Mode.THROTTLE])
def test_what_is_slow_comes_whole_and_not_at_once(proxies, mode):
    proxies.become("link", mode)
    began_s = time.monotonic()
    with connect(proxies) as connection:
        assert answered(connection, b"x" * 9000) == b"x" * 9000
    assert time.monotonic() - began_s >= DELAY_S  # it cannot have been sooner


def test_every_link_leads_through_a_port_of_its_own():
    made = proxies_of(Settings().derived())
    try:
        told = environs(Settings().derived(), made)
        urls = [url for variables in told.values() for url in variables.values()]
        assert len(urls) == len(WAYS) == len(set(urls))
        assert told["worker"]["MESHMETER_CLICKHOUSE_URL"].endswith("/meshmeter")
        assert told["collector"]["MESHMETER_REDIS_URL"].endswith("/0")
        assert {made.mode(name) for name in WAYS} == {Mode.PASS}
    finally:
        made.close()
