"""Frames over plain TCP: four bytes of length and that many more, each answered by one, in turn."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from collector.transport.listening import listener

log = logging.getLogger(__name__)

PREFIX_BYTES = 4
FRAME_S = 10.0  # from a frame's length to its last byte
MAX_CONNECTIONS = 256
ROOM_BYTES = 64 * 1024 * 1024  # of all frames that are coming in at a time

Handler = Callable[[bytes, str], Awaitable[bytes]]  # a frame and its peer's address


class FrameTooLong(Exception):
    pass


class FramedServer:
    """`handle` answers each frame; `too_long` is told of one over `limit`, which ends its
    connection."""

    def __init__(self, handle: Handler, limit: int, too_long: Callable[[], None]) -> None:
        self._handle = handle
        self._limit = limit
        self._too_long = too_long
        self._room_bytes = max(ROOM_BYTES, limit)
        self._more_room = asyncio.Condition()
        self._connections: set[asyncio.Task[None]] = set()
        self._idle: set[asyncio.Task[None]] = set()
        self._closing = False

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, to its end."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 (asyncio runs it in one)
        host = (writer.get_extra_info("peername") or [""])[0]
        try:
            if len(self._connections) < MAX_CONNECTIONS:
                self._connections.add(task)
                while not self._closing:
                    frame = await self._frame(reader, task)
                    reply = await self._handle(frame, host)
                    writer.write(len(reply).to_bytes(PREFIX_BYTES, "big") + reply)
                    await writer.drain()
        except FrameTooLong:
            self._too_long()
        except (OSError, EOFError, TimeoutError, asyncio.CancelledError):
            log.debug("A connection ended", extra={"peer": host})
        except Exception:
            log.exception("A frame's handler failed", extra={"peer": host})
        finally:
            self._connections.discard(task)
            writer.close()

    async def close(self) -> None:
        """Ends what is idle; a frame that is here is answered first."""
        self._closing = True
        for task in self._idle:
            task.cancel()
        if self._connections:
            await asyncio.wait(self._connections, timeout=FRAME_S)

    async def _frame(self, reader: asyncio.StreamReader, task: asyncio.Task[None]) -> bytes:
        self._idle.add(task)
        try:
            prefix = await reader.readexactly(PREFIX_BYTES)
        finally:
            self._idle.discard(task)
        size = int.from_bytes(prefix, "big")
        if size > self._limit:
            raise FrameTooLong
        async with asyncio.timeout(FRAME_S), self._room(size):
            return await reader.readexactly(size)

    @asynccontextmanager
    async def _room(self, size: int) -> AsyncIterator[None]:
        async with self._more_room:
            await self._more_room.wait_for(lambda: self._room_bytes >= size)
            self._room_bytes -= size
        try:
            yield
        finally:
            self._room_bytes += size
            async with self._more_room:
                self._more_room.notify_all()


@asynccontextmanager
async def serving_frames(address: str, server: FramedServer) -> AsyncIterator[str]:
    """Gives the address in use. Raises InvalidSetting when it cannot be had."""
    sock = listener(address)
    host, port = sock.getsockname()[:2]
    listening = await asyncio.start_server(server.connected, sock=sock)
    log.info("Serving frames", extra={"address": f"{host}:{port}"})
    try:
        yield f"{host}:{port}"
    finally:
        listening.close()
        await server.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(FRAME_S):
                await listening.wait_closed()
