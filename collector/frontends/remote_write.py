"""Prometheus remote write: POST /api/v1/write, versions 1 and 2, protobuf in a snappy block.

Answered 204 when all of the samples are in the outbox, and 400 when some can never be: the others
are stored all the same, and a sender sends neither again. 503 is sent again.
Sources: https://prometheus.io/docs/specs/prw/remote_write_spec/ and remote_write_spec_2_0/.
"""

import asyncio
import json
import time

from collector.decoders.remote_write import Written, inspect
from collector.errors import CollectorError, Malformed, Unsupported
from collector.frontends.counted import counted, dropped, stored
from collector.model import Report, Signal
from collector.services import Services
from collector.settings import Settings
from collector.transport.compression import unsnappy
from collector.transport.http import JSON, RawAnswer, RawHandler, RawRequest, error_answer
from collector.transport.status import Headers

PROTOCOL = "remote_write"
URL_PATH = "/api/v1/write"
TYPE = "application/x-protobuf"
SIGNALS = {
    "": Signal.REMOTE_WRITE,
    "prometheus.WriteRequest": Signal.REMOTE_WRITE,
    "io.prometheus.write.v2.Request": Signal.REMOTE_WRITE_V2,
}
ENCODINGS = {"snappy": unsnappy}
LONG_BODY = 128 * 1024  # looked through beside the event loop, not on it


class Write:
    def __init__(self, services: Services, max_body_bytes: int) -> None:
        self._reporter = services.reporter
        self._memory = services.memory
        self._max_body_bytes = max_body_bytes

    async def post(self, request: RawRequest) -> RawAnswer:
        if request.method != "POST":
            reason = f"{request.method} is not a method of {URL_PATH}; POST is"
            return refusal(405, [(b"allow", b"POST")], reason)
        try:
            with counted(PROTOCOL):
                signal = signal_of(request.headers.get("content-type", ""))
                self._memory.refuse()
                body = await request.body(self._max_body_bytes, ENCODINGS)
                found = await self._accept(signal, body, request.headers.identity)
        except Unsupported as error:
            return refusal(415, [(b"accept-encoding", b"snappy")], str(error))
        except CollectorError as error:
            return error_answer(error)
        headers = written(found) if signal is Signal.REMOTE_WRITE_V2 else []
        if found.rejected:
            return refusal(400, headers, why(found))
        return RawAnswer(204, headers)

    async def _accept(self, signal: Signal, body: bytes, identity: str) -> Written:
        """Raises Malformed when there are samples and none can be stored."""
        received_ns = time.time_ns()
        if len(body) > LONG_BODY:
            found = await asyncio.to_thread(inspect, signal, body, received_ns)
        else:
            found = inspect(signal, body, received_ns)
        if found.items == 0:  # of metadata alone, or of exemplars
            dropped(PROTOCOL, "empty")
            return found
        if found.rejected == found.items:
            raise Malformed(why(found))
        await self._reporter.report(Report(signal, body, received_ns, identity, found.items))
        stored(PROTOCOL, len(body), found.items, found.rejected)
        return found


def signal_of(content_type: str) -> Signal:
    """Raises Unsupported."""
    named, *parameters = [part.strip() for part in content_type.split(";")]
    message = ""
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip().lower() == "proto":
            message = value.strip().strip('"')
    if named.lower() != TYPE or message not in SIGNALS:
        spoken = " and ".join(filter(None, SIGNALS))
        raise Unsupported(
            f"content type {content_type[:128]!r} is not spoken; {TYPE} of {spoken} is"
        )
    return SIGNALS[message]


def why(found: Written) -> str:
    reasons = "; ".join(found.reasons)
    return f"{found.rejected} of {found.items} samples can never be stored: {reasons}"


def written(found: Written) -> Headers:
    """Exemplars are not kept."""
    return [
        (b"x-prometheus-remote-write-samples-written", b"%d" % found.samples),
        (b"x-prometheus-remote-write-histograms-written", b"%d" % found.histograms),
        (b"x-prometheus-remote-write-exemplars-written", b"0"),
    ]


def refusal(status: int, headers: Headers, reason: str) -> RawAnswer:
    return RawAnswer(status, [JSON, *headers], json.dumps({"error": reason}).encode() + b"\n")


def http_routes(services: Services, settings: Settings) -> dict[str, RawHandler]:
    return {URL_PATH: Write(services, settings.max_body_bytes).post}
