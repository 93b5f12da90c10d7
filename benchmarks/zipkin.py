"""CPU of Zipkin's encodings beside OTLP's, in microseconds per span.

    python -m benchmarks.zipkin [--rounds 9] [--requests 8]

Spans of one shape, 512 a request with 12 attributes, in OTLP's protobuf and in each of Zipkin's
encodings: what the front-end looks at, and what the worker decodes.
"""

import argparse
import json
import random
import statistics
import struct
import time
from collections.abc import Callable

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from benchmarks.ingest import ATTRIBUTES, SPANS, own_cpu_us, request
from collector.decoders import decode_group, zipkin_heads
from collector.decoders.inspection import Inspection
from collector.decoders.skeleton import inspect_traces
from collector.model import Report, Signal
from collector.proto import zipkin_pb2 as pb
from tests.collector import zipkin_bodies as bodies

US = 1_000  # nanoseconds

Inspect = Callable[[Signal, bytes, int], Inspection]


def as_json(body: bytes) -> list[bodies.Json]:
    """The spans of an OTLP request, as Zipkin has them; an attribute's value is its text."""
    spans = []
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        (service,) = [
            attribute.value.string_value
            for attribute in resource.resource.attributes
            if attribute.key == "service.name"
        ]
        for span in resource.scope_spans[0].spans:
            tags = {
                attribute.key: attribute.value.string_value or str(attribute.value.int_value)
                for attribute in span.attributes
            }
            spans.append(
                bodies.v2(
                    traceId=span.trace_id.hex(),
                    id=span.span_id.hex(),
                    parentId=span.parent_span_id.hex(),
                    name=span.name,
                    timestamp=span.start_time_unix_nano // US,
                    duration=(span.end_time_unix_nano - span.start_time_unix_nano) // US + 1,
                    localEndpoint=bodies.endpoint(service),
                    tags=tags,
                )
            )
    return spans


def as_protobuf(spans: list[bodies.Json]) -> bytes:
    return bodies.proto_body(
        *(
            bodies.proto_span(
                trace_id=bytes.fromhex(span["traceId"]),
                id=bytes.fromhex(span["id"]),
                parent_id=bytes.fromhex(span["parentId"]),
                name=span["name"],
                timestamp=span["timestamp"],
                duration=span["duration"],
                local_endpoint=pb.Endpoint(
                    service_name=span["localEndpoint"]["serviceName"],
                    ipv4=bytes([10, 0, 0, 5]),
                    port=8080,
                ),
                tags=span["tags"],
            )
            for span in spans
        )
    )


def as_thrift(spans: list[bodies.Json]) -> bytes:
    """Version 1 gives every tag the endpoint it was noted at."""
    return bodies.thrift_body(*map(thrift_span, spans))


def thrift_span(span: bodies.Json) -> bodies.Value:
    service = span["localEndpoint"]["serviceName"]
    high, low = struct.unpack(">qq", bytes.fromhex(span["traceId"]))
    marks = [
        bodies.structure(
            {
                1: bodies.i64(span["timestamp"] + after_us),
                2: bodies.binary(value),
                3: bodies.thrift_endpoint(service),
            }
        )
        for value, after_us in ((b"sr", 0), (b"ss", span["duration"]))
    ]
    tags = tuple(
        bodies.thrift_tag(key, value.encode(), service=service)
        for key, value in span["tags"].items()
    )
    return bodies.thrift_span(
        *marks,
        tags=tags,
        f1=bodies.i64(low),
        f12=bodies.i64(high),
        f3=bodies.binary(span["name"].encode()),
        f4=bodies.i64(struct.unpack(">q", bytes.fromhex(span["id"]))[0]),
        f5=bodies.i64(struct.unpack(">q", bytes.fromhex(span["parentId"]))[0]),
        f10=bodies.i64(span["timestamp"]),
    )


def inspect_otlp(_signal: Signal, body: bytes, received_ns: int) -> Inspection:
    return inspect_traces(body, received_ns)


def main() -> None:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--requests", type=int, default=8)
    asked = parser.parse_args()
    now_ns = time.time_ns()
    dice = random.Random(7)
    otlp = [request(dice, now_ns) for _ in range(asked.requests)]
    spans = [as_json(body) for body in otlp]
    encoded: dict[Signal, tuple[list[bytes], Inspect]] = {
        Signal.OTLP_TRACES: (otlp, inspect_otlp),
        Signal.ZIPKIN_JSON: ([json.dumps(found).encode() for found in spans], zipkin_heads.inspect),
        Signal.ZIPKIN_PROTO: ([as_protobuf(found) for found in spans], zipkin_heads.inspect),
        Signal.ZIPKIN_THRIFT: ([as_thrift(found) for found in spans], zipkin_heads.inspect),
    }
    count = asked.requests * SPANS
    print(f"{count} spans of {ATTRIBUTES} attributes, median of {asked.rounds} rounds")
    print(f"{'':16}{'bytes a span':>14}{'front-end':>14}{'worker':>14}")
    for signal, (sent, inspect) in encoded.items():
        reports = [Report(signal, body, now_ns) for body in sent]
        decoded = decode_group(reports, 0)
        if decoded.dead or decoded.counts != {"spans": count}:
            raise SystemExit(f"{signal}: {decoded.counts}, {decoded.dead[:1]}")

        def look(
            sent: list[bytes] = sent, inspect: Inspect = inspect, signal: Signal = signal
        ) -> None:
            for body in sent:
                inspect(signal, body, now_ns)

        looked = [own_cpu_us(look) / count for _ in range(asked.rounds)]
        work = [
            own_cpu_us(lambda r=reports: decode_group(r, 0)) / count for _ in range(asked.rounds)
        ]
        size = sum(map(len, sent)) / count
        print(
            f"{signal:16}{size:14.0f}{statistics.median(looked):11.2f} µs"
            f"{statistics.median(work):11.2f} µs"
        )


if __name__ == "__main__":
    main()
