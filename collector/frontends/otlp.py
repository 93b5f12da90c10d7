"""OTLP traces, logs and metrics: Export over gRPC, and POST over HTTP in protobuf or JSON.

The answer is given when the body is in the outbox, on disk. Under pressure senders are asked to
come again, but for Envoy, which does not: its requests wait for room a little. Items that cannot
be right are known here without decoding the rest and told in `partial_success`; the worker stores
the others.
Sources: https://opentelemetry.io/docs/specs/otlp/, opentelemetry/proto/collector/*/v1
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from collector.decoders.inspection import Inspection
from collector.decoders.otlp_json_logs import inspect_logs_json
from collector.decoders.otlp_json_metrics import inspect_metrics_json
from collector.decoders.otlp_json_traces import inspect_traces_json
from collector.decoders.skeleton import inspect_logs, inspect_metrics, inspect_traces
from collector.errors import CollectorError, Malformed, Unsupported
from collector.frontends.counted import counted, dropped, stored
from collector.frontends.holding import Holding
from collector.frontends.otlp_answers import (
    HEADERS,
    TYPE_JSON,
    TYPE_PROTOBUF,
    Rejection,
    encoded,
    failure,
)
from collector.model import Report, Signal
from collector.services import Services
from collector.settings import Settings
from collector.transport.grpc import Metadata, UnaryMethod
from collector.transport.http import JSON, RawAnswer, RawHandler, RawRequest, error_answer
from collector.transport.status import StatusCode, rpc_error

PATH = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
URL_PATH = "/v1/traces"
GRPC, HTTP = "otlp_grpc", "otlp_http"


@dataclass(frozen=True)
class Encoding:
    """A body's signal, and what looks at one before it is acknowledged."""

    signal: Signal
    inspect: Callable[[bytes, int], Inspection]  # raises Malformed and TooLarge


Encodings = Mapping[str, Encoding]  # by content type


@dataclass(frozen=True)
class Export:
    """A kind of telemetry: where it is sent, how it is read, what is answered."""

    path: str
    url_path: str
    encodings: Encodings
    rejection: Rejection


TRACES = Export(
    PATH,
    URL_PATH,
    {
        TYPE_PROTOBUF: Encoding(Signal.OTLP_TRACES, inspect_traces),
        TYPE_JSON: Encoding(Signal.OTLP_TRACES_JSON, inspect_traces_json),
    },
    Rejection(ExportTraceServiceResponse, "rejected_spans"),
)
LOGS = Export(
    "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    "/v1/logs",
    {
        TYPE_PROTOBUF: Encoding(Signal.OTLP_LOGS, inspect_logs),
        TYPE_JSON: Encoding(Signal.OTLP_LOGS_JSON, inspect_logs_json),
    },
    Rejection(ExportLogsServiceResponse, "rejected_log_records"),
)
METRICS = Export(
    "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    "/v1/metrics",
    {
        TYPE_PROTOBUF: Encoding(Signal.OTLP_METRICS, inspect_metrics),
        TYPE_JSON: Encoding(Signal.OTLP_METRICS_JSON, inspect_metrics_json),
    },
    Rejection(ExportMetricsServiceResponse, "rejected_data_points"),
)
EXPORTS = (TRACES, LOGS, METRICS)


class Exporter:
    """Both doors of one export."""

    def __init__(self, export: Export, services: Services, max_body_bytes: int) -> None:
        self._export = export
        self.path = export.path
        self._reporter = services.reporter
        self._held = {door: Holding(services.reporter, door) for door in (GRPC, HTTP)}
        self._max_body_bytes = max_body_bytes
        self._memory = services.memory

    def admit(self) -> None:
        """Of the gRPC method, before its message is read. Raises MemoryShort."""
        if self._memory.short():
            with counted(GRPC):
                self._memory.refuse()

    async def call(self, metadata: Metadata, body: bytes) -> bytes:
        """The gRPC method. Raises the collector's errors, which the transport turns to codes."""
        with counted(GRPC):
            return await self._accept(GRPC, TYPE_PROTOBUF, body, metadata)

    async def post(self, request: RawRequest) -> RawAnswer:
        """The HTTP route."""
        if request.method != "POST":
            reason = f"{request.method} is not a method of {self._export.url_path}; POST is"
            return failure(405, [(b"allow", b"POST")], StatusCode.UNIMPLEMENTED, reason, TYPE_JSON)
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        try:
            with counted(HTTP):
                check_content_type(content_type)
                self._memory.refuse()
                body = await request.body(self._max_body_bytes)
                answer = await self._accept(HTTP, content_type, body, request.headers)
        except CollectorError as error:
            plain = error_answer(error)
            headers = [header for header in plain.headers if header != JSON]
            code = rpc_error(error).code
            return failure(plain.status, headers, code, str(error), content_type)
        return RawAnswer(200, [HEADERS[content_type]], answer)

    async def _accept(
        self, protocol: str, content_type: str, body: bytes, headers: Metadata
    ) -> bytes:
        received_ns = time.time_ns()
        encodings = self._export.encodings
        found = inspect(encodings, content_type, body, received_ns)
        if found.items == 0:
            dropped(protocol, "empty")
        else:
            signal = encodings[content_type].signal
            envoy = is_envoy(headers)
            report = Report(signal, body, received_ns, headers.identity, found.items, envoy)
            reporter = self._held[protocol] if envoy else self._reporter
            await reporter.report(report)
            stored(protocol, len(body), found.items, found.rejected)
        return encoded(self._export.rejection.told(found.rejected, found.reasons), content_type)


def is_envoy(headers: Metadata) -> bool:
    """It never sends again. Over gRPC it names no user agent, over HTTP itself."""
    agent = headers.get("user-agent", "")
    return not agent or "envoy" in agent.lower()


def check_content_type(content_type: str) -> None:
    """Raises Unsupported."""
    if content_type not in HEADERS:
        named = f"content type {content_type[:64]!r}" if content_type else "a missing content type"
        raise Unsupported(f"{named} is not spoken; send {' or '.join(HEADERS)}")


def inspect(encodings: Encodings, content_type: str, body: bytes, received_ns: int) -> Inspection:
    """Raises Malformed and TooLarge."""
    try:
        return encodings[content_type].inspect(body, received_ns)
    except Malformed as error:
        if content_type == TYPE_PROTOBUF and body[:1] in (b"{", b"["):
            raise Malformed("the body looks like JSON; its content type says protobuf") from error
        raise


def grpc_methods(services: Services, settings: Settings) -> dict[str, UnaryMethod]:
    size = settings.max_body_bytes
    made = [Exporter(export, services, size) for export in EXPORTS]
    return {each.path: UnaryMethod(each.call, size, each.admit) for each in made}


def http_routes(services: Services, settings: Settings) -> dict[str, RawHandler]:
    size = settings.max_body_bytes
    return {export.url_path: Exporter(export, services, size).post for export in EXPORTS}
