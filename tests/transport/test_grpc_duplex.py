"""Streams on which the server speaks unasked, as grpcio sees them."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from queue import SimpleQueue

import grpc
import pytest

from collector.errors import Malformed
from collector.transport.grpc import DuplexMethod
from tests.transport.serving import Serving, serving
from tests.waiting import eventually

METHOD = "/t.Echo/Duplex"
END = b"end"


class Shouts:
    """Says what it is told to by another thread, and remembers what it heard and how it ended."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.endings: list[bool] = []
        self.words: asyncio.Queue[bytes] = asyncio.Queue()
        self.loop = asyncio.get_running_loop()

    async def message(self, body: bytes) -> None:
        if body == b"malformed":
            raise Malformed("no such field")
        self.heard.append(body)

    async def pushes(self) -> AsyncIterator[bytes]:
        while (word := await self.words.get()) != END:
            if word == b"bug":
                raise ZeroDivisionError("a secret")
            yield word

    def closed(self, *, peer_left: bool) -> None:
        self.endings.append(peer_left)

    def say(self, word: bytes) -> None:
        self.loop.call_soon_threadsafe(self.words.put_nowait, word)


class Talk:
    """One call from the client's side."""

    def __init__(self, channel: grpc.Channel, handlers: list[Shouts], server: Serving) -> None:
        self.server = server
        self.sent: SimpleQueue[bytes | None] = SimpleQueue()
        self.answers = channel.stream_stream(METHOD)(iter(self.sent.get, None))
        self.handler = eventually(lambda: handlers and handlers[-1])

    def send(self, message: bytes | None) -> None:
        self.sent.put(message)


@contextmanager
def talking() -> Iterator[Talk]:
    handlers: list[Shouts] = []

    def start(_metadata: object) -> Shouts:
        handlers.append(Shouts())
        return handlers[-1]

    with (
        serving({METHOD: DuplexMethod(start)}) as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        talk = Talk(channel, handlers, server)
        yield talk
        talk.send(None)


def failure(talk: Talk) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as failed:
        list(talk.answers)
    return failed.value


def test_a_server_speaks_before_and_without_being_asked():
    with talking() as talk:
        talk.handler.say(b"first")
        assert next(talk.answers) == b"first"
        talk.send(b"hello")
        eventually(lambda: talk.handler.heard == [b"hello"])
        talk.handler.say(b"second")
        assert next(talk.answers) == b"second"


def test_messages_are_read_while_others_are_sent():
    with talking() as talk:
        for number in range(200):
            talk.send(b"%d" % number)
            talk.handler.say(b"%d" % -number)
        assert [next(talk.answers) for _ in range(200)] == [b"%d" % -n for n in range(200)]
        eventually(lambda: talk.handler.heard == [b"%d" % n for n in range(200)])


def test_it_ends_when_the_peer_ends_it():
    with talking() as talk:
        talk.send(None)
        assert list(talk.answers) == []
        assert talk.handler.endings == [True]


def test_it_ends_when_nothing_more_is_to_be_said():
    with talking() as talk:
        talk.handler.say(b"last")
        talk.handler.say(END)
        assert list(talk.answers) == [b"last"]
        assert talk.handler.endings == [False]


def test_an_error_ends_it_with_its_code():
    with talking() as talk:
        talk.send(b"malformed")
        error = failure(talk)
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert error.details() == "no such field"
        assert talk.handler.endings == [False]


def test_a_bug_in_what_is_said_ends_it_and_is_not_told(caplog):
    with talking() as talk, caplog.at_level(logging.ERROR):
        talk.handler.say(b"bug")
        error = failure(talk)
        assert (error.code(), error.details()) == (grpc.StatusCode.INTERNAL, "internal error")
    assert "A gRPC handler failed" in caplog.text


def test_a_peer_that_goes_away_is_noticed():
    with talking() as talk:
        talk.handler.say(b"first")
        next(talk.answers)
        talk.answers.cancel()
        eventually(lambda: talk.handler.endings == [True])


def test_draining_ends_it_with_unavailable():
    with talking() as talk:
        talk.handler.say(b"first")
        next(talk.answers)
        talk.server.begin_stop()
        assert failure(talk).code() is grpc.StatusCode.UNAVAILABLE
        assert talk.handler.endings == [False]
