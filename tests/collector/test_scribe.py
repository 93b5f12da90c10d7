"""Scribe: what a caller of Log is answered, and what reaches the outbox."""

import asyncio
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Self

import pytest

from collector.decoders.thrift import EXCEPTION, REPLY, Fields, Reader
from collector.errors import InvalidSetting
from collector.frontends import scribe
from collector.model import Signal
from collector.settings import Settings
from tests.collector import scribe_capture
from tests.collector.keeping import MIB, Keeping
from tests.collector.listening import Served
from tests.collector.zipkin_bodies import (
    binary,
    i32,
    log_arguments,
    log_call,
    thrift_mark,
    thrift_span,
)
from tests.counters import Counters

SETTINGS = Settings(max_body_bytes=MIB, scribe="127.0.0.1:0")
SPAN = thrift_span(thrift_mark("sr", 0), thrift_mark("ss", 5))


class Peer:
    """A client of Thrift's framed transport."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=20)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.socket.close()

    def send(self, frame: bytes) -> None:
        self.socket.sendall(struct.pack(">I", len(frame)) + frame)

    def call(self, frame: bytes) -> bytes:
        self.send(frame)
        return self.read(struct.unpack(">I", self.read(4))[0])

    def read(self, size: int) -> bytes:
        found = b""
        while len(found) < size:
            chunk = self.socket.recv(size - len(found))
            if not chunk:
                raise EOFError
            found += chunk
        return found

    def hung_up_on(self) -> bool:
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True


@contextmanager
def served(keeping: Keeping) -> Iterator[Served]:
    found = Served(scribe.listening, keeping.services, SETTINGS)
    try:
        yield found
    finally:
        found.stop()


@pytest.fixture
def peer(keeping: Keeping) -> Iterator[Peer]:
    with served(keeping) as server, Peer(server.address) as peer:
        yield peer


def head(answer: bytes) -> tuple[int, bytes, int, Fields]:
    """Kind, name, sequence and the fields of a message."""
    assert answer[:2] == b"\x80\x01"
    size = struct.unpack_from(">i", answer, 4)[0]
    name = answer[8 : 8 + size]
    sequence = struct.unpack_from(">i", answer, 8 + size)[0]
    return answer[3], name, sequence, Reader(answer[12 + size :]).struct()


def test_an_accepted_call_is_in_the_outbox_and_answered_ok(peer, keeping):
    assert head(peer.call(log_call(SPAN, SPAN, sequence=7))) == (REPLY, b"Log", 7, {0: 0})
    (report,) = keeping.reports()
    assert (report.signal, report.identity) == (Signal.SCRIBE, "127.0.0.1")
    assert log_call(SPAN, SPAN).endswith(report.body)


def test_a_third_partys_client_is_answered_call_by_call(peer, keeping):
    answers = [peer.call(frame) for frame in (scribe_capture.CLIENT, scribe_capture.SERVER)]
    assert [head(answer)[2:] for answer in answers] == [(1, {0: 0}), (2, {0: 0})]
    assert len(keeping.reports()) == 2


def test_the_older_form_of_a_call_is_understood(peer, keeping):
    arguments = log_call(SPAN)[len(log_call()) - len(log_arguments()) :]
    call = binary(b"Log")[1] + b"\x01" + i32(3)[1] + arguments
    assert head(peer.call(call)) == (REPLY, b"Log", 3, {0: 0})
    assert len(keeping.reports()) == 1


def test_calls_of_one_connection_are_answered_in_turn(peer):
    for sequence in range(5):
        peer.send(log_call(SPAN, sequence=sequence))
    for sequence in range(5):
        answer = peer.read(struct.unpack(">I", peer.read(4))[0])
        assert head(answer)[2] == sequence


@pytest.mark.parametrize("category", [b"access", b""])
def test_entries_that_are_no_spans_are_accepted_and_not_stored(peer, keeping, category):
    call = log_call()[: -len(log_arguments())] + log_arguments(b"x", category=category)
    assert head(peer.call(call))[3] == {0: 0}
    assert head(peer.call(log_call()))[3] == {0: 0}
    assert keeping.reports() == []


@pytest.mark.parametrize(
    ("call", "name", "kind", "words"),
    [
        (log_call(name=b"Truncate"), b"Truncate", 1, b"'Truncate' is not known; Log is"),
        (b"", b"", 7, b"ends too early"),
        (b"\x80\x02\0\1", b"", 7, b"version 1"),
        (b"\x80\x01\0\2" + log_call()[4:], b"", 7, b"no call"),
        (log_call(SPAN)[:-9], b"Log", 7, b"ends too early"),
        (log_call()[:15] + b"\x0f\0\1\x0b\0\0\0\1\0\0\0\0\0", b"Log", 7, b"Scribe Log"),
        (log_call()[:15] + b"\x08\0\1\0\0\0\1\0", b"Log", 7, b"Scribe Log"),
    ],
    ids=["method", "empty", "version", "a reply", "cut short", "texts", "a number"],
)
def test_what_is_no_log_call_is_answered_with_the_reason(peer, keeping, call, name, kind, words):
    found, called, _, fields = head(peer.call(call))
    assert (found, called, fields[2]) == (EXCEPTION, name, kind)
    assert words in fields[1]
    assert head(peer.call(log_call(SPAN)))[3] == {0: 0}
    assert len(keeping.reports()) == 1


def test_a_longer_frame_than_is_accepted_ends_the_connection(keeping):
    counters = Counters()
    with served(keeping) as server:
        for size in (MIB + 1, 2**31 - 1, 2**32 - 1):
            with Peer(server.address) as peer:
                peer.socket.sendall(struct.pack(">I", size))
                assert peer.hung_up_on()
        with Peer(server.address) as peer:
            assert head(peer.call(log_call(SPAN)))[3] == {0: 0}
    assert counters.moved("frontend_messages_dropped", protocol="scribe", reason="too_large") == 3


def test_while_the_outbox_is_full_senders_are_told_to_try_later(tmp_path: Path):
    keeping = Keeping(tmp_path / "small", max_bytes=2 * MIB)
    with served(keeping) as server, Peer(server.address) as peer:
        results = []
        for number in range(20):
            name = str(number).encode() + b"x" * 200_000
            call = log_call(thrift_span(f3=binary(name)), sequence=number)
            results.append(head(peer.call(call))[3])
        assert results[0] == {0: 0}
        assert results[-1] == {0: 1}
        keeping.reports()
        assert head(peer.call(log_call(SPAN)))[3] == {0: 0}
    keeping.outbox.close()


def test_messages_and_spans_add_up(peer, keeping):
    counters = Counters()
    for call in (log_call(SPAN, SPAN), log_call(), log_call(name=b"x"), b""):
        peer.call(call)

    def moved(name: str, **labels: str) -> float:
        return counters.moved(f"frontend_{name}", protocol="scribe", **labels)

    assert moved("messages") == 4
    reasons = ("empty", "malformed", "unsupported")
    assert [moved("messages_dropped", reason=reason) for reason in reasons] == [1, 1, 1]
    (report,) = keeping.reports()
    assert (moved("items"), moved("bytes")) == (2, len(report.body))


def test_a_stop_ends_idle_connections(keeping):
    with served(keeping) as server, Peer(server.address) as peer:
        peer.call(log_call(SPAN))
        server.stop()
        assert peer.hung_up_on()


def test_it_listens_nowhere_unless_told_to(keeping):
    server = Served(scribe.listening, keeping.services, replace(SETTINGS, scribe=""))
    server.stop()
    assert server.address == ""


def test_an_address_that_cannot_be_had_is_named(keeping):
    async def listen() -> None:
        async with scribe.listening(keeping.services, replace(SETTINGS, scribe="192.0.2.1:9410")):
            pass

    with pytest.raises(InvalidSetting, match=r"192\.0\.2\.1:9410"):
        asyncio.run(listen())
