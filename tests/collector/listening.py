"""A front-end that listens on a socket of its own, in a thread with a loop of its own."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager

import uvloop

from collector.services import Services
from collector.settings import Settings

Listening = Callable[[Services, Settings], AbstractAsyncContextManager[str]]


class Served:
    """`address` is where it listens; `stop` ends it and waits for the end."""

    def __init__(self, listening: Listening, services: Services, settings: Settings) -> None:
        self._stop = asyncio.Event()
        self._started: Future[str] = Future()
        self._thread = threading.Thread(
            target=lambda: uvloop.run(self._serve(listening, services, settings))
        )
        self._thread.start()
        self.address = self._started.result(timeout=20)

    async def _serve(self, listening: Listening, services: Services, settings: Settings) -> None:
        self._loop = asyncio.get_running_loop()
        async with listening(services, settings) as address:
            self._started.set_result(address)
            await self._stop.wait()

    def stop(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()
