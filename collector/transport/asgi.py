"""The door: one ASGI application for gRPC, raw routes, health and, behind them, FastAPI.

The checks and reports are answered around the web framework, not through it: 26 to 36 µs a
request instead of 86 to 125 (benchmarks/check.py).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from inspect import isawaitable
from typing import Any

from collector.errors import CollectorError
from collector.transport.grpc import GrpcApp, GrpcMethods
from collector.transport.grpc_health import health_methods
from collector.transport.http import (
    JSON,
    RawAnswer,
    RawHandler,
    RawRequest,
    error_answer,
)
from collector.transport.reading import PeerLeft
from observe import Check, health_answer

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

PREFIX_MARK = "/*"
GRPC = b"application/grpc"
GRPC_WEB = b"application/grpc-web"
HEALTH_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
ONLY_GRPC = RawAnswer(415, [JSON], b'{"error":"this path speaks application/grpc"}\n')
BUG = RawAnswer(500, [JSON], b'{"error":"internal error"}\n')


class Door:
    """`raw` maps a path, or with `/*` at its end a path and all below it, to its handler.

    "POST /path" is of that method alone; what else is asked of the path is the fallback's.
    """

    def __init__(
        self,
        grpc: GrpcMethods,
        raw: Mapping[str, RawHandler],
        health: Mapping[str, Check],
        fallback: App,
    ) -> None:
        self._draining = False
        self._health: dict[str, Check] = {
            **health,
            "server": lambda: "closing" if self._draining else "",
        }
        asked = health_methods(
            grpc,
            ready=lambda: not any(check() for check in self._health.values()),
            closing=lambda: self._draining,
        )
        self._grpc_methods = {**grpc, **asked}
        self._grpc = GrpcApp(self._grpc_methods)
        self._exact = {path: route for path, route in raw.items() if not path.endswith(PREFIX_MARK)}
        self._below = {
            path.removesuffix(PREFIX_MARK): route
            for path, route in raw.items()
            if path.endswith(PREFIX_MARK)
        }
        self._fallback = fallback
        self.busy: dict[tuple[str, int] | None, int] = {}  # requests in hand, by peer

    def lose_readiness(self) -> None:
        """From now on /readyz says no, so that balancers look elsewhere."""
        self._draining = True

    def end_streams(self) -> None:
        self._grpc.drain()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._fallback(scope, receive, send)
            return
        peer = scope.get("client")
        self.busy[peer] = self.busy.get(peer, 0) + 1  # a Counter takes 2 µs for it
        try:
            await self._answer(scope, receive, send)
        finally:
            left = self.busy.pop(peer) - 1
            if left:
                self.busy[peer] = left

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["raw_path"].decode("latin-1")  # %2f is no slash of ours
        if is_grpc(scope):
            await self._grpc(scope, receive, send)
        elif (handler := self._raw(scope["method"], path)) is not None:
            await answer_raw(handler, scope, receive, send)
        elif path in HEALTH_PATHS:
            await self._answer_health(path, send)
        elif path in self._grpc_methods:
            await send_answer(ONLY_GRPC, send)
        else:
            await self._fallback(scope, receive, send)

    def _raw(self, method: str, path: str) -> RawHandler | None:
        exact = self._exact.get(path) or self._exact.get(f"{method} {path}")
        if exact is not None:
            return exact
        for prefix, handler in self._below.items():
            if path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in ("", "/"):
                return handler
        return None

    async def _answer_health(self, path: str, send: Send) -> None:
        # Metrics are many lines to write: checks would wait for them on the loop.
        if path == "/metrics":
            found = await asyncio.to_thread(health_answer, path, self._health)
        else:
            found = health_answer(path, self._health)
        assert found is not None  # noqa: S101 (HEALTH_PATHS are the paths it knows)
        status, content_type, body = found
        await send_answer(RawAnswer(status, [(b"content-type", content_type.encode())], body), send)


def is_grpc(scope: Scope) -> bool:
    for name, value in scope["headers"]:
        if name == b"content-type":
            return value.startswith(GRPC) and not value.startswith(GRPC_WEB)
    return False


async def answer_raw(handler: RawHandler, scope: Scope, receive: Receive, send: Send) -> None:
    try:
        answer = handler(RawRequest(scope, receive))
        if isawaitable(answer):
            answer = await answer
    except PeerLeft:
        return
    except CollectorError as error:
        answer = error_answer(error)
    except Exception:
        log.exception("An HTTP handler failed", extra={"path": scope["path"]})
        answer = BUG
    await send_answer(answer, send)


async def send_answer(answer: RawAnswer, send: Send) -> None:
    length = (b"content-length", b"%d" % len(answer.body))
    await send(
        {
            "type": "http.response.start",
            "status": answer.status,
            "headers": [*answer.headers, length],
        }
    )
    await send({"type": "http.response.body", "body": answer.body})
