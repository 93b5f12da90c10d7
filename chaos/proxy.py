"""TCP links that can be disturbed: each a port that leads to another, until it is told otherwise.

They live on an event loop in a thread of their own; `Proxies` is used from other threads.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Coroutine, Mapping
from enum import StrEnum
from typing import Any, TypeVar

Result = TypeVar("Result")

CHUNK = 64 * 1024
DELAY_S = 0.2  # of each chunk
THROTTLE_BYTES, THROTTLE_S = 4096, 0.1
CUT_BYTES = 1000
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER


class Mode(StrEnum):
    PASS = "pass"  # noqa: S105 (no secret)
    REFUSE = "refuse"  # new connections find nobody
    BLACKHOLE = "blackhole"  # accepts, answers nothing, and forgets what it was told
    FREEZE = "freeze"  # nothing moves, and all of it comes later
    RESET = "reset"  # every connection ends with RST
    DELAY = "delay"
    THROTTLE = "throttle"
    CUT = "cut"  # a connection ends after CUT_BYTES


class Link:
    """On its proxies' loop."""

    def __init__(self, upstream: tuple[str, int], host: str) -> None:
        self.mode = Mode.PASS
        self.address = (host, 0)
        self._upstream = upstream
        self._changed = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._connected, *self.address)
        host, port = self._server.sockets[0].getsockname()[:2]
        self.address = (host, port)

    async def become(self, mode: Mode) -> None:
        before, self.mode = self.mode, mode
        self._changed.set()
        self._changed = asyncio.Event()
        if mode is Mode.REFUSE and self._server:
            self._server.close()
        elif before is Mode.REFUSE:
            await self.listen()
        if mode is Mode.RESET:
            self._end_all()

    async def close(self) -> None:
        if self._server:
            self._server.close()
        self._end_all()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _end_all(self) -> None:
        for task in self._connections:
            task.cancel()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 (asyncio runs it in one)
        self._connections.add(task)
        writers = [writer]
        try:
            if self.mode is not Mode.RESET:
                far_reader, far_writer = await asyncio.open_connection(*self._upstream)
                writers.append(far_writer)
                await self._both_ways(reader, writer, far_reader, far_writer)
        except (OSError, asyncio.CancelledError):
            for one in writers:
                reset(one)
        finally:
            self._connections.discard(task)
            for one in writers:
                one.close()

    async def _both_ways(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        far_reader: asyncio.StreamReader,
        far_writer: asyncio.StreamWriter,
    ) -> None:
        ways = [
            asyncio.create_task(self._pump(reader, far_writer)),
            asyncio.create_task(self._pump(far_reader, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One way, until it ends or is ended."""
        left = CUT_BYTES
        while chunk := await reader.read(CHUNK):
            while self.mode in (Mode.FREEZE, Mode.BLACKHOLE):
                forgotten = self.mode is Mode.BLACKHOLE
                await self._changed.wait()
                if forgotten:
                    return
            match self.mode:
                case Mode.DELAY:
                    await asyncio.sleep(DELAY_S)
                case Mode.THROTTLE:
                    await trickle(chunk, writer)
                    continue
                case Mode.CUT:
                    chunk, left = chunk[:left], left - len(chunk)
            writer.write(chunk)
            await writer.drain()
            if left <= 0:
                return


async def trickle(chunk: bytes, writer: asyncio.StreamWriter) -> None:
    for at in range(0, len(chunk), THROTTLE_BYTES):
        writer.write(chunk[at : at + THROTTLE_BYTES])
        await writer.drain()
        await asyncio.sleep(THROTTLE_S)


def reset(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE
        )
    writer.transport.abort()


class Proxies:
    """One link for each name of `upstreams`, at an address of this machine."""

    def __init__(self, upstreams: Mapping[str, tuple[str, int]], host: str = "127.0.0.1") -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxies", daemon=True)
        self._thread.start()
        self._links = self._run(listening(upstreams, host))

    def address(self, name: str) -> str:
        host, port = self._links[name].address
        return f"{host}:{port}"

    def mode(self, name: str) -> Mode:
        return self._links[name].mode

    def become(self, name: str, mode: Mode) -> None:
        self._run(self._links[name].become(mode))

    def close(self) -> None:
        for link in self._links.values():
            self._run(link.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, doing: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(doing, self._loop).result(10)


async def listening(upstreams: Mapping[str, tuple[str, int]], host: str) -> dict[str, Link]:
    links = {name: Link(upstream, host) for name, upstream in upstreams.items()}
    for link in links.values():
        await link.listen()
    return links
