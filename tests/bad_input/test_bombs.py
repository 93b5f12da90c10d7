"""Small on the wire and large in memory: each is refused by name, for little."""

from collections.abc import Callable

import grpc
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from collector.frontends import als, envoy_ext_authz, envoy_rlqs, envoy_rls, otlp
from collector.proto import envoy_pb2 as pb
from tests import plain_http
from tests.bad_input.bodies import empty_messages, length_delimited, nested
from tests.bad_input.live import MIB, PROTOBUF, LiveCollector
from tests.collector.messages import identifier, span

RISE = 100 * MIB
ROOM = 16 * MIB - 1024  # in a body of the largest size
JSON = {"content-type": "application/json"}
IDENTIFIED = pb.StreamAccessLogsMessage(identifier=identifier()).SerializeToString()

RESOURCES, SCOPES, ITEMS = 1, 2, 2
HISTOGRAM, POINTS, PACKED_COUNTS = 10, 1, nested(8, 2, inner=bytes(ROOM))
DESCRIPTORS, HEADERS = 2, (1, 4, 2)


def items(inner: bytes) -> bytes:
    return nested(RESOURCES, SCOPES, ITEMS, inner=inner)


def full_span(parts: bytes) -> bytes:
    return items(span().SerializeToString() + parts)


ATTRIBUTES, EVENTS = Span.ATTRIBUTES_FIELD_NUMBER, Span.EVENTS_FIELD_NUMBER

CASES: dict[str, tuple[otlp.Export, bytes, str]] = {
    f"{name} of {kind}": (export, body, "100000 items")
    for kind, export in {"traces": otlp.TRACES, "logs": otlp.LOGS, "metrics": otlp.METRICS}.items()
    for name, body in {
        "16 MiB of empty resources": empty_messages(RESOURCES, ROOM),
        "16 MiB of empty scopes": nested(RESOURCES, inner=empty_messages(SCOPES, ROOM)),
        "16 MiB of empty items": nested(RESOURCES, SCOPES, inner=empty_messages(ITEMS, ROOM)),
    }.items()
} | {
    "16 MiB of empty points": (
        otlp.METRICS,
        items(length_delimited(HISTOGRAM, empty_messages(POINTS, ROOM))),
        "100000 items",
    ),
    "a point of 16 million counts": (
        otlp.METRICS,
        items(nested(HISTOGRAM, POINTS, inner=PACKED_COUNTS)),
        "100000 attributes",
    ),
    "a span of 8 million attributes": (
        otlp.TRACES,
        full_span(empty_messages(ATTRIBUTES, ROOM)),
        "100000 attributes",
    ),
    "a span of 8 million events": (
        otlp.TRACES,
        full_span(empty_messages(EVENTS, ROOM)),
        "100000 attributes",
    ),
    "an attribute of 8 million values": (
        otlp.TRACES,
        full_span(nested(ATTRIBUTES, 2, 5, inner=empty_messages(1, ROOM))),
        "100000 attributes",
    ),
}


@pytest.mark.parametrize(("export", "body", "words"), CASES.values(), ids=CASES)
def test_a_bomb_over_otlp_is_refused_and_takes_little_memory(
    collector: LiveCollector, export: otlp.Export, body: bytes, words: str
) -> None:
    counters, resident = collector.counters(), collector.reset_peak()
    answer = plain_http.post(f"{collector.url}{export.url_path}", content=body, headers=PROTOBUF)
    assert answer.status_code == 413
    assert words.encode() in answer.content
    assert collector.peak() - resident <= RISE
    dropped = {"protocol": "otlp_http", "reason": "too_large"}
    assert counters.moved("frontend_messages_dropped", **dropped) == 1
    assert counters.moved("reports") == 0


def unary(collector: LiveCollector, path: str, body: bytes) -> None:
    collector.call(path, body)


def streamed(collector: LiveCollector, path: str, body: bytes) -> None:
    list(collector.channel.stream_stream(path)(iter([body]), timeout=60))


Way = Callable[[LiveCollector, str, bytes], None]
CALLS: dict[str, tuple[Way, str, bytes, str]] = {
    "descriptors": (unary, envoy_rls.PATH, empty_messages(DESCRIPTORS, 4 * MIB), "65536 are"),
    "64 KiB of descriptors": (
        unary,
        envoy_rls.PATH,
        empty_messages(DESCRIPTORS, 64 * 1024),
        "may hold 128",
    ),
    "buckets of a quota": (
        streamed,
        envoy_rlqs.PATH,
        length_delimited(1, b"d") + empty_messages(2, 4 * MIB),
        "1048576 are",
    ),
    "17 MiB of an access log": (streamed, als.PATH, bytes(17 * MIB), "4194304 are"),
}


@pytest.mark.parametrize(("way", "path", "body", "words"), CALLS.values(), ids=CALLS)
def test_a_bomb_over_grpc_is_refused_and_takes_little_memory(
    collector: LiveCollector, way: Way, path: str, body: bytes, words: str
) -> None:
    counters, resident = collector.counters(), collector.reset_peak()
    with pytest.raises(grpc.RpcError) as refused:
        way(collector, path, body)
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert words in refused.value.details()
    assert collector.peak() - resident <= RISE
    assert counters.moved("grpc_failed_calls", method=path, code="RESOURCE_EXHAUSTED") == 1


def test_an_access_log_of_two_million_entries_is_counted_and_its_stream_goes_on(
    collector: LiveCollector,
) -> None:
    counters, resident = collector.counters(), collector.reset_peak()
    bomb = IDENTIFIED + nested(2, inner=empty_messages(1, 4 * MIB - 1024))
    streamed(collector, als.PATH, IDENTIFIED + bomb)
    assert collector.peak() - resident <= RISE
    assert counters.moved("frontend_messages_dropped", protocol="als", reason="too_large") == 1
    assert counters.moved("reports", signal="als") == 0


def test_a_check_with_four_mebibytes_of_headers_takes_little_memory(
    collector: LiveCollector,
) -> None:
    headers = b"".join(nested(3, 1, inner=b"%x" % number) for number in range(400_000))
    resident = collector.reset_peak()
    answer = collector.call(envoy_ext_authz.PATH, nested(*HEADERS, inner=headers))
    assert pb.CheckResponse.FromString(answer).HasField("ok_response")
    assert collector.peak() - resident <= RISE


@pytest.mark.parametrize("path", ["/api/v1/rules", "/api/v1/evaluate"])
def test_a_bomb_to_the_api_is_refused_and_takes_little_memory(
    collector: LiveCollector, path: str
) -> None:
    resident = collector.reset_peak()
    bomb = b"[" + b"{}," * (5 * MIB) + b"{}]"
    answer = plain_http.post(f"{collector.url}{path}", content=bomb, headers=JSON)
    assert answer.status_code == 413
    assert "500000 values" in answer.json()["detail"]
    assert collector.peak() - resident <= RISE


def test_a_rule_that_says_a_thing_twice_is_refused(collector: LiveCollector) -> None:
    twice = b'{"kind": "deny", "name": "a", "match": "true", "match": "false"}'
    answer = plain_http.post(f"{collector.url}/api/v1/rules", content=twice, headers=JSON)
    assert answer.status_code == 422
    assert "'match' is there twice" in answer.json()["detail"]
