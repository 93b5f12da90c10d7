"""A server of frames: what it holds back, what it ends, and what it leaves unharmed."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Self

import pytest

from collector.transport import framed
from collector.transport.framed import FramedServer, serving_frames

LIMIT = framed.ROOM_BYTES
Talk = Callable[[str], Awaitable[None]]


def run(talk: Talk, handle: framed.Handler, limit: int = LIMIT) -> int:
    """How many frames were too long, once `talk` with the server's address is done."""

    async def serve() -> int:
        refused: list[int] = []
        server = FramedServer(handle, limit, lambda: refused.append(1))
        async with asyncio.timeout(60), serving_frames("127.0.0.1:0", server) as address:
            await talk(address)
        return len(refused)

    return asyncio.run(serve())


class Peer:
    """To be entered before it is used."""

    def __init__(self, address: str) -> None:
        self._host, _, self._port = address.rpartition(":")

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await asyncio.open_connection(self._host, int(self._port))
        return self

    async def __aexit__(self, *_error: object) -> None:
        self.writer.close()

    async def send(self, frame: bytes) -> None:
        self.writer.write(len(frame).to_bytes(4, "big") + frame)
        await self.writer.drain()

    async def call(self, frame: bytes) -> bytes:
        await self.send(frame)
        size = int.from_bytes(await self.reader.readexactly(4), "big")
        return await self.reader.readexactly(size)

    async def hung_up_on(self) -> bool:
        try:
            return await self.reader.read(1) == b""
        except ConnectionResetError:
            return True


async def echo(frame: bytes, peer: str) -> bytes:
    return peer.encode() + b":" + frame


def test_a_frame_is_answered_by_a_frame():
    async def talk(address: str) -> None:
        async with Peer(address) as peer:
            assert await peer.call(b"") == b"127.0.0.1:"
            assert await peer.call(b"x" * 100_000) == b"127.0.0.1:" + b"x" * 100_000

    assert run(talk, echo) == 0


def test_a_frame_over_the_limit_ends_its_connection_alone():
    async def talk(address: str) -> None:
        async with Peer(address) as good, Peer(address) as bad:
            assert await good.call(b"1")
            bad.writer.write(b"\x7f\xff\xff\xff")
            assert await bad.hung_up_on()
            assert await good.call(b"2")

    assert run(talk, echo, limit=1000) == 1


def test_a_peer_that_leaves_within_a_frame_harms_nobody():
    async def talk(address: str) -> None:
        async with Peer(address) as peer:
            peer.writer.write(b"\0\0\0\x05ab")
            await peer.writer.drain()
        async with Peer(address) as peer:
            assert await peer.call(b"1")

    assert run(talk, echo) == 0


def test_a_handler_that_fails_ends_its_connection_alone():
    async def failing(frame: bytes, peer: str) -> bytes:
        if frame == b"bad":
            raise ValueError(frame)
        return frame

    async def talk(address: str) -> None:
        async with Peer(address) as good, Peer(address) as bad:
            await bad.send(b"bad")
            assert await bad.hung_up_on()
            assert await good.call(b"1") == b"1"

    assert run(talk, failing) == 0


def test_there_is_an_end_to_the_connections_that_are_kept():
    async def talk(address: str) -> None:
        peers = [await Peer(address).__aenter__() for _ in range(framed.MAX_CONNECTIONS)]
        for peer in peers:
            await peer.call(b"1")
        async with Peer(address) as late:
            assert await late.hung_up_on()
        await peers.pop().__aexit__()
        assert await peers[0].call(b"1")
        for peer in peers:
            await peer.__aexit__()

    run(talk, echo)


def test_large_frames_come_in_one_after_the_other():
    """While one announced frame takes all the room, another waits and is then answered."""

    async def talk(address: str) -> None:
        async with Peer(address) as slow, Peer(address) as other:
            slow.writer.write(LIMIT.to_bytes(4, "big") + b"x")
            await slow.writer.drain()
            waiting = asyncio.create_task(other.call(b"y" * 1000))
            done, _ = await asyncio.wait({waiting}, timeout=0.2)
            assert not done
            slow.writer.close()
            assert await waiting == b"127.0.0.1:" + b"y" * 1000

    run(talk, echo)


def test_a_stop_answers_the_frame_in_hand_and_ends_the_rest():
    async def serve() -> bytes:
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def slowly(frame: bytes, peer: str) -> bytes:
            begun.set()
            await go_on.wait()
            return frame

        server = FramedServer(slowly, LIMIT, lambda: None)
        async with serving_frames("127.0.0.1:0", server) as address:
            busy, idle = await Peer(address).__aenter__(), await Peer(address).__aenter__()
            call = asyncio.create_task(busy.call(b"1"))
            await begun.wait()
            asyncio.get_running_loop().call_later(0.1, go_on.set)
        answer = await call
        assert await idle.hung_up_on()
        for peer in (busy, idle):
            peer.writer.close()
        return answer

    assert asyncio.run(serve()) == b"1"


@pytest.mark.parametrize("size", [0, 1])
def test_a_length_of_nothing_is_a_frame(size):
    async def talk(address: str) -> None:
        async with Peer(address) as peer:
            assert await peer.call(b"x" * size) == b"127.0.0.1:" + b"x" * size

    run(talk, echo)
