"""A door served for a test, in a thread with a loop of its own."""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from concurrent.futures import Future
from typing import Any

import uvloop

from collector.transport.asgi import Door
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

    def __init__(self, door: Door, address: str, reuse_port: bool, drain_s: float) -> None:
        self._started: Future[str] = Future()
        self._stopped = asyncio.Event()
        self._thread = threading.Thread(
            target=lambda: uvloop.run(self._serve(door, address, reuse_port, drain_s))
        )
        self._thread.start()
        self.address = self._started.result(timeout=20)

    async def _serve(self, door: Door, address: str, reuse_port: bool, drain_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        try:
            await serve(
                door,
                [address],
                self._stopped,
                reuse_port=reuse_port,
                drain_s=drain_s,
                started=lambda bound: self._started.set_result("%s:%d" % bound[0]),
            )
        except Exception as error:
            if self._started.done():
                raise
            self._started.set_exception(error)

    def begin_stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)

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
    address: str = "127.0.0.1:0",
    reuse_port: bool = False,
    drain_s: float = 5.0,
) -> Iterator[Serving]:
    server = Serving(Door(grpc, raw or {}, {}, no_such_page), address, reuse_port, drain_s)
    try:
        yield server
    finally:
        server.stop()
