"""Scribe, over which Finagle's tracers and Linkerd 1 send spans: framed Thrift calls on TCP.

`Log` is answered OK when its entries are in the outbox and TRY_LATER when that takes none now.
Source: openzipkin/zipkin-api, scribe.thrift; apache/thrift, doc/specs/thrift-rpc.md.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from collector.decoders.limits import MAX_ITEMS
from collector.decoders.thrift import Call, Reader, application_error, reply
from collector.decoders.zipkin_thrift import entries, is_span
from collector.errors import Refused, TooLarge, Unready, Unsupported
from collector.frontends.counted import MESSAGES, counted, dropped, stored
from collector.model import Report, Signal
from collector.services import Services
from collector.settings import Settings
from collector.transport.framed import FramedServer, serving_frames

PROTOCOL = "scribe"
METHOD = "Log"
OK, TRY_LATER = 0, 1  # ResultCode
UNKNOWN_METHOD, PROTOCOL_ERROR = 1, 7  # of a TApplicationException


class Scribe:
    def __init__(self, services: Services) -> None:
        self._reporter = services.reporter
        self._memory = services.memory

    async def answer(self, frame: bytes, peer: str) -> bytes:
        """To one call, under its name and number."""
        call = Call("", 0, b"")
        try:
            with counted(PROTOCOL):
                call = Reader(frame).call()
                self._memory.refuse()
                await self._take(call, peer)
        except Unready:
            return reply(call, TRY_LATER)
        except Unsupported as error:
            return application_error(call, UNKNOWN_METHOD, str(error))
        except Refused as error:
            return application_error(call, PROTOCOL_ERROR, str(error))
        return reply(call, OK)

    async def _take(self, call: Call, peer: str) -> None:
        """Raises the collector's errors."""
        if call.name != METHOD:
            raise Unsupported(f"method {call.name[:64]!r} is not known; {METHOD} is")
        spans = [is_span(entry) for entry in entries(call.arguments)]
        if len(spans) > MAX_ITEMS:
            raise TooLarge(f"a call may hold {MAX_ITEMS} entries")
        if not any(spans):
            dropped(PROTOCOL, "empty")
            return
        report = Report(Signal.SCRIBE, call.arguments, time.time_ns(), peer, len(spans))
        await self._reporter.report(report)
        stored(PROTOCOL, len(call.arguments), len(spans))


def too_long() -> None:
    MESSAGES.labels(PROTOCOL).inc()
    dropped(PROTOCOL, "too_large")


@asynccontextmanager
async def listening(services: Services, settings: Settings) -> AsyncIterator[str]:
    """Gives the address in use, "" when none is set. Raises InvalidSetting."""
    if not settings.scribe:
        yield ""
        return
    scribe = Scribe(services)
    server = FramedServer(scribe.answer, settings.max_body_bytes, too_long)
    async with serving_frames(settings.scribe, server) as address:
        yield address
