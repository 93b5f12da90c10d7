"""A door served for a test, in a thread with a loop of its own."""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import uvloop

from collector.transport.asgi import App, Door
from collector.transport.grpc import GrpcMethods
from collector.transport.http import RawHandler
from collector.transport.server import serve


async def no_such_page(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b"fallback"})


class Serving:
    """`address` is host:port; `stop` drains and waits for the end."""

    def __init__(self, door: Door, address: str, **options: Any) -> None:
        self._started: Future[str] = Future()
        self._stopped = asyncio.Event()
        self._thread = threading.Thread(
            target=lambda: uvloop.run(self._serve(door, address, options))
        )
        self._thread.start()
        self.address = self._started.result(timeout=20)

    async def _serve(self, door: Door, address: str, options: dict[str, Any]) -> None:
        self._loop = asyncio.get_running_loop()
        try:
            await serve(
                door,
                [address],
                self._stopped,
                started=lambda bound: self._started.set_result("{}:{}".format(*bound[0])),
                **options,
            )
        except Exception as error:
            if self._started.done():
                raise
            self._started.set_exception(error)

    def begin_stop(self) -> None:
        self.release(self._stopped)

    def release(self, event: asyncio.Event) -> None:
        self._loop.call_soon_threadsafe(event.set)

    def stop(self) -> None:
        if self._thread.is_alive():
            self.begin_stop()
            self._thread.join()


@contextmanager
def serving(
    grpc: GrpcMethods,
    raw: Mapping[str, RawHandler] | None = None,
    *,
    fallback: App = no_such_page,
    address: str = "127.0.0.1:0",
    drain_s: float = 5.0,
    **options: Any,
) -> Iterator[Serving]:
    """`options` are those of `serve`."""
    door = Door(grpc, raw or {}, {}, fallback)
    server = Serving(door, address, drain_s=drain_s, **options)
    try:
        yield server
    finally:
        server.stop()
