"""Sends one trace of two services over OTLP/HTTP: `storefront` calls `checkout`.

python examples/send_trace.py [http://127.0.0.1:4318]
"""

import os
import sys
import time

import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

MS = 1_000_000  # nanoseconds


def add_span(
    request: ExportTraceServiceRequest,
    service: str,
    kind: Span.SpanKind.ValueType,
    ids: tuple[bytes, bytes, bytes],
    times_ns: tuple[int, int],
) -> None:
    resource_spans = request.resource_spans.add()
    name = resource_spans.resource.attributes.add(key="service.name")
    name.value.string_value = service
    trace_id, span_id, parent_id = ids
    start_ns, end_ns = times_ns
    span = resource_spans.scope_spans.add().spans.add(
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=parent_id,
        name="GET /cart",
        kind=kind,
        start_time_unix_nano=start_ns,
        end_time_unix_nano=end_ns,
    )
    span.attributes.add(key="http.response.status_code").value.int_value = 200


def two_services() -> ExportTraceServiceRequest:
    trace_id, client, server = os.urandom(16), os.urandom(8), os.urandom(8)
    now_ns = time.time_ns()
    request = ExportTraceServiceRequest()
    add_span(
        request,
        "storefront",
        Span.SPAN_KIND_CLIENT,
        (trace_id, client, b""),
        (now_ns - 30 * MS, now_ns),
    )
    add_span(
        request,
        "checkout",
        Span.SPAN_KIND_SERVER,
        (trace_id, server, client),
        (now_ns - 28 * MS, now_ns - 2 * MS),
    )
    return request


def main() -> None:
    collector = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:4318"
    request = two_services()
    answer = httpx.post(
        f"{collector}/v1/traces",
        content=request.SerializeToString(),
        headers={"content-type": "application/x-protobuf", "x-mesh-node": "example"},
    )
    answer.raise_for_status()
    partial = ExportTraceServiceResponse.FromString(answer.content).partial_success
    if partial.rejected_spans:
        sys.exit(f"refused {partial.rejected_spans} spans: {partial.error_message}")
    trace_id = request.resource_spans[0].scope_spans[0].spans[0].trace_id.hex()
    print(f"2 spans of trace {trace_id} are on the collector's disk")


if __name__ == "__main__":
    main()
