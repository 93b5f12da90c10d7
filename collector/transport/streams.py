"""Streaming gRPC calls: one handler a call, held back by not being read."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Mapping
from inspect import isawaitable
from typing import Any

from collector.transport.framing import Frames
from collector.transport.handlers import DuplexHandler, Messages, StreamHandler
from collector.transport.reading import PeerLeft, Receive
from collector.transport.response import Response
from collector.transport.status import RpcError, StatusCode

QUIET_S = 0.1  # a draining stream from which nothing came for so long is ended


class Streams:
    """Every stream of a server, so that all can be ended together."""

    def __init__(self) -> None:
        self._idle: set[asyncio.Task[Any]] = set()
        self._draining = False

    def drain(self) -> None:
        """Ends streams with UNAVAILABLE once what has arrived of them is read."""
        self._draining = True
        for task in self._idle:
            task.cancel()

    async def run(
        self, handler: StreamHandler, frames: Frames, receive: Receive, response: Response
    ) -> None:
        """Raises RpcError, PeerLeft and what the handler raises."""
        async for message in self._messages(frames, receive):
            await answer(handler.message(message), response)
        await answer(handler.end(), response)
        await response.end()

    async def run_duplex(
        self, handler: DuplexHandler, frames: Frames, receive: Receive, response: Response
    ) -> None:
        """Raises RpcError, PeerLeft and what the handler raises."""

        async def read() -> None:
            async for message in self._messages(frames, receive):
                await handler.message(message)

        async def push() -> None:
            async for message in handler.pushes():
                await response.message(message)

        both = asyncio.create_task(read()), asyncio.create_task(push())
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            ended = await asyncio.gather(*both, return_exceptions=True)
            handler.closed(peer_left=ended[0] is None or isinstance(ended[0], PeerLeft))
        for task in both:
            if not task.cancelled():
                task.result()
        await response.end()

    async def _messages(self, frames: Frames, receive: Receive) -> AsyncIterator[bytes]:
        """Until the peer's end of the stream. Raises RpcError and PeerLeft."""
        more = True
        while more:
            event = await self._next(receive)
            if event["type"] != "http.request":
                raise PeerLeft
            for message in frames.feed(event.get("body", b"")):
                yield message
            more = event.get("more_body", False)
        frames.end()

    async def _next(self, receive: Receive) -> Mapping[str, Any]:
        if not self._draining:
            task = asyncio.current_task()
            assert task is not None  # noqa: S101 (a server runs each call in a task)
            self._idle.add(task)
            try:
                return await receive()
            except asyncio.CancelledError:
                if not self._draining:
                    raise
                task.uncancel()
            finally:
                self._idle.discard(task)
        try:
            async with asyncio.timeout(QUIET_S):
                return await receive()
        except TimeoutError:
            raise RpcError(StatusCode.UNAVAILABLE, "this server is closing") from None


async def answer(messages: Messages | Awaitable[Messages], response: Response) -> None:
    if isawaitable(messages):
        messages = await messages
    if isinstance(messages, AsyncIterable):
        async for message in messages:
            await response.message(message)
    else:
        for message in messages:
            await response.message(message)
