"""Zipkin: POST /api/v2/spans, JSON or protobuf, and POST /api/v1/spans, JSON or Thrift.

Answered 202, and by Zipkin's tracers nothing else counts, when the body is in the outbox. None of
them sends anything twice: so while the outbox is full a request waits for it a little.
Source: https://zipkin.io/zipkin-api/
"""

import asyncio
import json
import time

from collector.decoders.zipkin_heads import inspect
from collector.errors import CollectorError, Malformed, Unsupported
from collector.frontends.counted import counted, dropped, stored
from collector.frontends.holding import Holding
from collector.memory import Memory
from collector.model import Report, Signal
from collector.services import Services
from collector.settings import Settings
from collector.transport.http import JSON, RawAnswer, RawHandler, RawRequest, error_answer

PROTOCOL = "zipkin"
V2_PATH, V1_PATH = "/api/v2/spans", "/api/v1/spans"
TYPE_JSON = "application/json"
SIGNALS: dict[str, dict[str, Signal]] = {
    V2_PATH: {TYPE_JSON: Signal.ZIPKIN_JSON, "application/x-protobuf": Signal.ZIPKIN_PROTO},
    V1_PATH: {TYPE_JSON: Signal.ZIPKIN_JSON_V1, "application/x-thrift": Signal.ZIPKIN_THRIFT},
}
LONG_BODY = 256 * 1024  # looked through beside the event loop, not on it


class Spans:
    """One of the two paths."""

    def __init__(self, path: str, held: Holding, memory: Memory, max_body_bytes: int) -> None:
        self._path = path
        self._signals = SIGNALS[path]
        self._held = held
        self._memory = memory
        self._max_body_bytes = max_body_bytes

    async def post(self, request: RawRequest) -> RawAnswer:
        if request.method != "POST":
            reason = f"{request.method} is not a method of {self._path}; POST is"
            body = json.dumps({"error": reason}).encode() + b"\n"
            return RawAnswer(405, [JSON, (b"allow", b"POST")], body)
        try:
            with counted(PROTOCOL):
                signal = self._signal(request.headers.get("content-type", ""))
                self._memory.refuse()
                body = await request.body(self._max_body_bytes)
                await self._accept(signal, body, request.headers.identity)
        except CollectorError as error:
            return error_answer(error)
        return RawAnswer(202)

    def _signal(self, content_type: str) -> Signal:
        """JSON when nothing is said, as with Zipkin. Raises Unsupported."""
        named = content_type.partition(";")[0].strip().lower() or TYPE_JSON
        signal = self._signals.get(named)
        if signal is None:
            spoken = " and ".join(self._signals)
            raise Unsupported(f"content type {named[:64]!r} is not spoken here; {spoken} are")
        return signal

    async def _accept(self, signal: Signal, body: bytes, identity: str) -> None:
        """Raises Malformed when there are spans and none can be stored."""
        if not body:
            dropped(PROTOCOL, "empty")
            return
        received_ns = time.time_ns()
        if len(body) > LONG_BODY:
            found = await asyncio.to_thread(inspect, signal, body, received_ns)
        else:
            found = inspect(signal, body, received_ns)
        if found.items == 0:
            dropped(PROTOCOL, "empty")
            return
        if found.rejected == found.items:
            raise Malformed("no span of the request can be stored: " + "; ".join(found.reasons))
        await self._held.report(Report(signal, body, received_ns, identity, found.items))
        stored(PROTOCOL, len(body), found.items, found.rejected)


def http_routes(services: Services, settings: Settings) -> dict[str, RawHandler]:
    held = Holding(services.reporter, PROTOCOL)
    posts = {
        path: Spans(path, held, services.memory, settings.max_body_bytes).post for path in SIGNALS
    }
    # The other methods of version 2's path are the read API's.
    return {f"POST {V2_PATH}": posts[V2_PATH], V1_PATH: posts[V1_PATH]}
