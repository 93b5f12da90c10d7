"""OTLP traces: Export over gRPC, and POST /v1/traces with protobuf over HTTP, gzip or plain.

The answer is given when the body is in the outbox, on disk. Spans whose ids or times cannot be
right are known here without decoding the rest and told in `partial_success`; the worker stores
the others. OTLP/JSON is refused with 415.
Sources: https://opentelemetry.io/docs/specs/otlp/,
opentelemetry/proto/collector/trace/v1/trace_service.proto
"""

import time

from google.protobuf.json_format import MessageToJson
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from collector.decoders.skeleton import Inspection, inspect_traces
from collector.errors import CollectorError, Malformed, Unsupported
from collector.frontends.counted import counted, dropped, stored
from collector.model import Report, Signal
from collector.services import Services
from collector.settings import Settings
from collector.transport.grpc import Metadata, UnaryMethod
from collector.transport.http import JSON, RawAnswer, RawHandler, RawRequest, error_answer
from collector.transport.status import Headers, StatusCode, rpc_error

PATH = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
URL_PATH = "/v1/traces"
GRPC, HTTP = "otlp_grpc", "otlp_http"
TYPE_PROTOBUF, TYPE_JSON = "application/x-protobuf", "application/json"
PROTOBUF = (b"content-type", TYPE_PROTOBUF.encode())
REASONS_TOLD = 3

Response = ExportTraceServiceResponse
ACCEPTED = Response().SerializeToString()


class Traces:
    def __init__(self, services: Services, max_body_bytes: int) -> None:
        self._reporter = services.reporter
        self._max_body_bytes = max_body_bytes

    async def export(self, metadata: Metadata, body: bytes) -> bytes:
        """The gRPC method. Raises the collector's errors, which the transport turns to codes."""
        with counted(GRPC):
            return await self._accept(GRPC, body, metadata.identity)

    async def post(self, request: RawRequest) -> RawAnswer:
        """The HTTP route."""
        if request.method != "POST":
            reason = f"{request.method} is not a method of {URL_PATH}; POST is"
            return failure(405, [(b"allow", b"POST")], StatusCode.UNIMPLEMENTED, reason, JSON)
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        try:
            with counted(HTTP):
                check_content_type(content_type)
                body = await request.body(self._max_body_bytes)
                answer = await self._accept(HTTP, body, request.headers.identity)
        except CollectorError as error:
            plain = error_answer(error)
            headers = [header for header in plain.headers if header != JSON]
            encoding = PROTOBUF if content_type == TYPE_PROTOBUF else JSON
            return failure(plain.status, headers, rpc_error(error).code, str(error), encoding)
        return RawAnswer(200, [PROTOBUF], answer)

    async def _accept(self, protocol: str, body: bytes, identity: str) -> bytes:
        received_ns = time.time_ns()
        found = inspect(body, received_ns)
        if found.spans == 0:
            dropped(protocol, "empty")
            return ACCEPTED
        await self._reporter.report(Report(Signal.OTLP_TRACES, body, received_ns, identity))
        stored(protocol, len(body), found.spans, found.rejected)
        if found.rejected == 0:
            return ACCEPTED
        response = Response()
        response.partial_success.rejected_spans = found.rejected
        response.partial_success.error_message = "; ".join(found.reasons[:REASONS_TOLD])
        return response.SerializeToString()


def check_content_type(content_type: str) -> None:
    """Raises Unsupported."""
    if content_type == TYPE_PROTOBUF:
        return
    if content_type == TYPE_JSON:
        raise Unsupported(f"OTLP/JSON is not spoken; send {TYPE_PROTOBUF}")
    named = f"content type {content_type[:64]!r}" if content_type else "a missing content type"
    raise Unsupported(f"{named} is not spoken; send {TYPE_PROTOBUF}")


def inspect(body: bytes, received_ns: int) -> Inspection:
    """Raises Malformed and TooLarge."""
    try:
        return inspect_traces(body, received_ns)
    except Malformed as error:
        if body[:1] in (b"{", b"["):
            raise Malformed("the body looks like JSON; its content type says protobuf") from error
        raise


def failure(
    status: int, headers: Headers, code: StatusCode, message: str, encoding: tuple[bytes, bytes]
) -> RawAnswer:
    """With a google.rpc.Status in the request's own encoding, as the specification wants."""
    body = Status(code=code, message=message)
    if encoding == PROTOBUF:
        return RawAnswer(status, [PROTOBUF, *headers], body.SerializeToString())
    return RawAnswer(status, [JSON, *headers], MessageToJson(body, indent=None).encode() + b"\n")


def grpc_methods(services: Services, settings: Settings) -> dict[str, UnaryMethod]:
    traces = Traces(services, settings.max_body_bytes)
    return {PATH: UnaryMethod(traces.export, settings.max_body_bytes)}


def http_routes(services: Services, settings: Settings) -> dict[str, RawHandler]:
    return {URL_PATH: Traces(services, settings.max_body_bytes).post}
