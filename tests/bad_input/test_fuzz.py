"""Whatever is sent: decoders raise nothing, doors refuse or accept, the collector goes on.

Messages are made from their types' descriptors, then damaged. `SEEDS` are bodies that once did
harm, or that chance seldom finds; each is tried with every decoder and at every door.
"""

import json
import time
from contextlib import suppress
from typing import NamedTuple

import grpc
import pytest
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.decoders import DECODERS, decode_group
from collector.errors import Refused
from collector.frontends import (
    als,
    envoy_ext_authz,
    envoy_rlqs,
    envoy_rls,
    otlp,
)
from collector.frontends.otlp_answers import TYPE_JSON, TYPE_PROTOBUF
from collector.frontends.zipkin import SIGNALS
from collector.model import Report, Signal
from collector.proto import envoy_pb2, envoy_rlqs_pb2, remote_write_pb2, zipkin_pb2
from tests import plain_http
from tests.bad_input.bodies import DEEP_JSON, NOISE, empty_messages, length_delimited, nested
from tests.bad_input.from_descriptors import broken, built
from tests.bad_input.live import LiveCollector
from tests.collector.zipkin_bodies import fresh, json_body, log_call, thrift_body, thrift_span

TYPES: dict[Signal, type[Message]] = {
    Signal.OTLP_TRACES: ExportTraceServiceRequest,
    Signal.OTLP_LOGS: ExportLogsServiceRequest,
    Signal.OTLP_METRICS: ExportMetricsServiceRequest,
    Signal.ZIPKIN_PROTO: zipkin_pb2.ListOfSpans,
    Signal.ALS: envoy_pb2.StreamAccessLogsMessage,
}
JSON_TYPES: dict[Signal, type[Message]] = {
    Signal.OTLP_TRACES_JSON: ExportTraceServiceRequest,
    Signal.OTLP_LOGS_JSON: ExportLogsServiceRequest,
    Signal.OTLP_METRICS_JSON: ExportMetricsServiceRequest,
}
# Requests of which only the series are messages: what is before them, their field and type.
SERIES: dict[Signal, tuple[bytes, int, type[Message]]] = {
    Signal.REMOTE_WRITE: (b"", 1, remote_write_pb2.Series),
    Signal.REMOTE_WRITE_V2: (
        length_delimited(4, b"") + length_delimited(4, b"__name__") + length_delimited(4, b"up"),
        5,
        remote_write_pb2.SeriesV2,
    ),
}
TEXTS: dict[Signal, bytes] = {
    Signal.ZIPKIN_JSON: json_body(fresh(), fresh()),
    Signal.ZIPKIN_JSON_V1: json_body(fresh(annotations=[], binaryAnnotations=[])),
    Signal.ZIPKIN_THRIFT: thrift_body(thrift_span()),
    Signal.SCRIBE: log_call(thrift_span()),
    Signal.DECISIONS: json.dumps({"id": "1", "time": time.time_ns()}).encode(),
}
SEEDS = {
    "nothing": b"",
    "noise": NOISE,
    "nested JSON": DEEP_JSON,
    "a group without an end": b"\x0b" * 200,
    "a length of 2^63": b"\x0a" + b"\xff" * 8 + b"\x7f",
    "a hundred levels": nested(*[1] * 100, inner=b""),
    "a thousand empty messages": empty_messages(1, 2000) + empty_messages(2, 2000),
    "a check in a year that is none": nested(1, 4, 1, inner=b"\x08" + b"\xff" * 8 + b"\x7f"),
    "a surrogate": b'[{"traceId":"1","id":"1","name":"\\ud800"}]',
    "numbers for names": b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":1e999}]}]}]}',
}
SOME = settings(max_examples=25, suppress_health_check=list(HealthCheck))
FEW = settings(max_examples=8, suppress_health_check=list(HealthCheck))


def serialized(kind: type[Message]) -> st.SearchStrategy[bytes]:
    return built(kind).map(lambda message: message.SerializeToString())


def in_json(kind: type[Message]) -> st.SearchStrategy[bytes]:
    return built(kind).map(lambda message: MessageToJson(message).encode())


def of_series(before: bytes, field: int, kind: type[Message]) -> st.SearchStrategy[bytes]:
    return st.lists(serialized(kind), max_size=3).map(
        lambda found: before + b"".join(length_delimited(field, one) for one in found)
    )


def bodies_of(signal: Signal) -> st.SearchStrategy[bytes]:
    """Good, and damaged."""
    if signal in TYPES:
        good = serialized(TYPES[signal])
    elif signal in JSON_TYPES:
        good = in_json(JSON_TYPES[signal])
    elif signal in SERIES:
        good = of_series(*SERIES[signal])
    else:
        good = st.just(TEXTS[signal])
    return good | broken(good)


def decode(signal: Signal, body: bytes) -> None:
    """Each column of a table has a value for each row."""
    decoded = decode_group([Report(signal, body, time.time_ns(), "fuzz")], 1)
    for table, columns in decoded.tables.items():
        assert {len(values) for values in columns.values()} == {decoded.counts[table]}


def test_every_signal_is_fuzzed() -> None:
    assert {*TYPES, *JSON_TYPES, *SERIES, *TEXTS} == set(DECODERS)


@pytest.mark.parametrize("signal", DECODERS)
@SOME
@given(data=st.data())
def test_a_decoder_raises_nothing(signal: Signal, data: st.DataObject) -> None:
    decode(signal, data.draw(bodies_of(signal)))


@pytest.mark.parametrize("seed", SEEDS.values(), ids=SEEDS)
@pytest.mark.parametrize("signal", DECODERS)
def test_a_decoder_raises_nothing_for_what_once_did_harm(signal: Signal, seed: bytes) -> None:
    decode(signal, seed)


@pytest.mark.parametrize("export", otlp.EXPORTS, ids=lambda export: export.url_path)
@SOME
@given(data=st.data())
def test_the_front_end_knows_no_more_than_the_worker(
    export: otlp.Export, data: st.DataObject
) -> None:
    """An inspection is of the items there are, or a refusal; it raises nothing else."""
    for encoding in export.encodings.values():
        body = data.draw(bodies_of(encoding.signal))
        try:
            found = encoding.inspect(body, time.time_ns())
        except Refused:
            continue
        assert 0 <= found.rejected <= found.items


class Door(NamedTuple):
    """Where a live collector takes it: gRPC when there is no content type. A call of one message
    is on the wire what a stream of one is."""

    path: str
    bodies: st.SearchStrategy[bytes]
    content_type: str = ""


def door_of(path: str, kind: type[Message]) -> Door:
    return Door(path, serialized(kind) | broken(serialized(kind)))


DOORS = (
    *(Door(export.path, bodies_of(signal))
      for export, signal in zip(otlp.EXPORTS, (Signal.OTLP_TRACES, Signal.OTLP_LOGS,
                                               Signal.OTLP_METRICS), strict=True)),
    *(Door(export.url_path, bodies_of(export.encodings[kind].signal), kind)
      for export in otlp.EXPORTS for kind in (TYPE_PROTOBUF, TYPE_JSON)),
    *(Door(path, bodies_of(signal), kind)
      for path, signals in SIGNALS.items() for kind, signal in signals.items()),
    Door(als.PATH, bodies_of(Signal.ALS)),
    door_of(envoy_rls.PATH, envoy_pb2.RateLimitRequest),
    door_of(envoy_ext_authz.PATH, envoy_pb2.CheckRequest),
    door_of(envoy_rlqs.PATH, envoy_rlqs_pb2.RateLimitQuotaUsageReports),
)  # fmt: skip
NAMES = [f"{door.path} {door.content_type}" for door in DOORS]
ACCEPTED_OR_REFUSED = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.UNIMPLEMENTED,
}


def knock(collector: LiveCollector, door: Door, body: bytes) -> None:
    """It is accepted, or refused as the sender's fault."""
    if door.content_type:
        headers = {"content-type": door.content_type}
        answer = plain_http.post(
            f"{collector.url}{door.path}", content=body, headers=headers, timeout=20
        )
        assert answer.status_code in (200, 202, 400, 413), answer.text
        return
    call = collector.channel.stream_stream(door.path)(iter([body]), timeout=20)
    with suppress(grpc.RpcError):  # its code is looked at below
        list(call)
    assert call.code() in ACCEPTED_OR_REFUSED, call.details()


@pytest.mark.parametrize("door", DOORS, ids=NAMES)
@FEW
@given(data=st.data())
def test_a_door_accepts_or_refuses(
    collector: LiveCollector, door: Door, data: st.DataObject
) -> None:
    knock(collector, door, data.draw(door.bodies))


@pytest.mark.parametrize("door", DOORS, ids=NAMES)
def test_a_door_accepts_or_refuses_what_once_did_harm(collector: LiveCollector, door: Door) -> None:
    for seed in SEEDS.values():
        knock(collector, door, seed)
