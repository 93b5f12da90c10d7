"""Traces decoded by columns are what the reference decoder makes of them, to the last value."""

import dataclasses
import json
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from collector.decoders import Decoded, decode_group
from collector.decoders.columns import requests as by_columns
from collector.decoders.columns.wire import read
from collector.decoders.decoded import Collected
from collector.decoders.names import OTHER
from collector.model import Names, Report, Signal
from collector.store.block import Block
from tests.bad_input.bodies import length_delimited, nested
from tests.bad_input.from_descriptors import broken, built
from tests.collector import otlp_messages
from tests.collector.reports import NOW_NS, SECOND, TRACE_ID, span, text, traces
from tests.collector.zipkin_bodies import fresh, json_body

ENOUGH = 1000  # items of a report, so that columns are worth it


def reports(*bodies: bytes) -> list[Report]:
    return [Report(Signal.OTLP_TRACES, body, NOW_NS, "node", ENOUGH) for body in bodies]


def told(decoded: Decoded) -> dict[str, Any]:
    found = dataclasses.asdict(decoded) | {"dead": decoded.dead}
    tables = {table: dict(columns) for table, columns in decoded.tables.items()}
    return found | {"tables": tables, "accounts": list(decoded.accounts)}


def agree(group: Sequence[Report]) -> Decoded:
    """What both made of it, and were asked about the names in it."""
    asked: list[Names] = []

    def over(names: Names) -> Names:
        asked.append(names)
        return {"service": {}, "operation": {}}

    fast = decode_group(group, 7, over)
    reference = decode_group(group, 7, over, by_columns=False)
    assert json.dumps(asked[: len(asked) // 2]) == json.dumps(asked[len(asked) // 2 :])
    assert not isinstance(reference.tables.get("spans"), Block)
    if "spans" in fast.tables:
        assert isinstance(fast.tables["spans"], Block)
    assert told(fast) == told(reference)
    return fast


def no_reference(report: Report, out: Collected) -> Any:
    raise AssertionError("the reference decoder was asked")


def several(*spans: Span) -> bytes:
    """Odd spans among plain ones."""
    others = [span(span_id=bytes([1] * 8)), span(span_id=bytes([2] * 8), name="GET /2")]
    return traces(others[0], *spans, others[1]).SerializeToString()


def value(**kind: Any) -> KeyValue:
    return KeyValue(key="k", value=AnyValue(**kind))


PLAIN = span(
    parent_span_id=b"\x00" * 7 + b"\x05",
    attributes=[
        text("http.request.method", "GET"),
        value(bool_value=True),
        KeyValue(key="http.response.status_code", value=AnyValue(int_value=503)),
        KeyValue(key="ratio", value=AnyValue(double_value=0.5)),
        KeyValue(key="nothing"),
        KeyValue(key="empty", value=AnyValue(string_value="")),
    ],
    events=[
        Span.Event(time_unix_nano=NOW_NS, name="exception", attributes=[text("at", "x" * 2000)])
    ],
    links=[Span.Link(trace_id=TRACE_ID, span_id=b"12345678")],
    trace_state="ot=th:8",
    status=Status(code=Status.STATUS_CODE_ERROR),
)
ODD = {
    "a key twice": span(attributes=[text("k", "1"), text("j", "2"), text("k", "3")]),
    "no key": span(attributes=[text("", "1")]),
    "a long key": span(attributes=[text("k" * 2000, "1")]),
    "a key that seems long": span(attributes=[text("ü" * 200, "1")]),
    "a long value": span(attributes=[text("k", "ü" * 4096)]),
    "a value that seems long": span(attributes=[text("k", "x" * 1500)]),
    "a long name": span(name="n" * 5000),
    "many attributes": span(attributes=[text(f"k{number}", "1") for number in range(130)]),
    "many events": span(events=[Span.Event(name="e")] * 130),
    "an event after the end of time": span(events=[Span.Event(time_unix_nano=2**64 - 1)]),
    "a list": span(attributes=[value(array_value=ArrayValue(values=[AnyValue(int_value=1)]))]),
    "a map": span(attributes=[value(kvlist_value=KeyValueList(values=[text("a", "b")]))]),
    "a long list": span(
        attributes=[value(array_value=ArrayValue(values=[AnyValue(string_value="x" * 200)]))]
    ),
    "bytes": span(attributes=[value(bytes_value=b"\x00\xff")]),
    "not a number": span(attributes=[value(double_value=float("nan"))]),
    "a reference into another message": span(attributes=[value(string_value_strindex=1)]),
    "a status message": span(status=Status(message="it failed", code=Status.STATUS_CODE_ERROR)),
    "a status of its own": span(status=Status(code=200)),
    "a kind of its own": span(kind=-129),
    "an end before the start": span(end_time_unix_nano=1),
    "its own parent": span(parent_span_id=span().span_id),
    "half a parent": span(parent_span_id=b"1234"),
    "an Envoy's check": span(name="async envoy.service.auth.v3.Authorization.Check egress", kind=3),
    "a check by its tag": span(attributes=[text("ext_authz_status", "ok")], kind=3),
    "Traefik's check": span(name="AuthRequest", attributes=[text("http.url", "/v1/check")], kind=3),
    "a server named like a check": span(name="AuthRequest", kind=2),
    "three keys of a status": span(
        attributes=[text("http.rsp.status", "500"), text("http.status_code", "000")]
    ),
    "a status that is none": span(
        attributes=[text("http.rsp.status", "404"), text("http.response.status_code", "²00")]
    ),
    "no trace id": span(trace_id=b""),
    "a short trace id": span(trace_id=b"123"),
    "a trace id of zeros": span(trace_id=bytes(16)),
    "a span id of zeros": span(span_id=bytes(8)),
    "a long span id": span(span_id=bytes(9)),
    "no start": span(start_time_unix_nano=0),
    "a start long ago": span(start_time_unix_nano=NOW_NS - 8 * 86_400 * SECOND),
    "a start to come": span(start_time_unix_nano=NOW_NS + 3600 * SECOND),
}
WHOLE = several(PLAIN)
LONG = traces(*[span(attributes=[text("k", "x" * 4096)])] * 300).SerializeToString()
SEEDS = {
    "nothing": b"",
    "noise": b"\xff" * 20,
    "no spans": ExportTraceServiceRequest(
        resource_spans=[ResourceSpans(scope_spans=[ScopeSpans()]), ResourceSpans()]
    ).SerializeToString(),
    "text that is not UTF-8": WHOLE.replace(b"GET", b"G\xff\xfe"),
    "a resource that is not UTF-8": WHOLE.replace(b"service.name", b"service.nam\xff"),
    "larger than is read at once": LONG,
    "two resources of one": length_delimited(
        1,
        length_delimited(1, length_delimited(1, text("a", "b").SerializeToString()))
        + length_delimited(1, length_delimited(1, text("c", "d").SerializeToString()))
        + length_delimited(2, length_delimited(2, PLAIN.SerializeToString())),
    ),
    "a scope that is none": length_delimited(
        1,
        length_delimited(
            2, length_delimited(1, b"\xff") + length_delimited(2, PLAIN.SerializeToString())
        ),
    ),
    "an event that is none": nested(
        1, 2, 2, inner=PLAIN.SerializeToString() + length_delimited(11, b"\xff")
    ),
    "a link that is none": nested(
        1, 2, 2, inner=PLAIN.SerializeToString() + length_delimited(13, b"\xff")
    ),
    "a list that is none": nested(
        1, 2, 2, inner=PLAIN.SerializeToString() + nested(9, 2, 5, inner=b"\xff")
    ),
    "a value of two kinds": nested(
        1, 2, 2, inner=PLAIN.SerializeToString() + nested(9, 2, inner=b"\x0a\x01v\x18\x05")
    ),
    "two values of one attribute": nested(
        1,
        2,
        2,
        inner=PLAIN.SerializeToString() + nested(9, inner=b"\x12\x02\x18\x05\x12\x02\x10\x01"),
    ),
    "two statuses": nested(
        1, 2, 2, inner=PLAIN.SerializeToString() + nested(15, inner=b"\x12\x01a")
    ),
}


def test_plain_spans_need_no_reference():
    found = by_columns.decode_spans(reports(several(PLAIN)), Collected(), no_reference)
    block = found.block([], 7)
    assert block
    assert len(block["name"]) == 3
    agree(reports(several(PLAIN), several()))


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_an_odd_span_is_what_the_reference_makes_of_it(odd: Span):
    agree(reports(several(PLAIN), several(odd), several(odd, PLAIN, odd)))


@pytest.mark.parametrize("seed", SEEDS.values(), ids=SEEDS)
def test_a_body_is_what_the_reference_makes_of_it(seed: bytes):
    agree(reports(WHOLE, seed, WHOLE, seed))


@pytest.mark.parametrize("depth", range(20, 60))
def test_what_is_nested_is_read_as_deep_as_the_reference_reads(depth: int):
    lists = nested(*[1, 5] * depth, inner=b"\x0a\x01v")
    inside = nested(9, 2, 5, inner=lists)
    event = length_delimited(11, nested(3, 2, 5, inner=lists))
    for more in (inside, event):
        agree(reports(WHOLE, nested(1, 2, 2, inner=PLAIN.SerializeToString() + more)))


def test_spans_of_other_protocols_come_after():
    zipkin = Report(Signal.ZIPKIN_JSON, json_body(fresh()), time.time_ns(), "zipkin")
    found = agree([zipkin, *reports(WHOLE, several(ODD["a list"])), zipkin])
    assert len(found.tables["spans"]["name"]) == 8


def test_names_without_a_place_are_replaced_as_in_the_reference():
    def over(_: Names) -> Names:
        return {"service": {}, "operation": {"b.default": ["GET /2"]}}

    group = reports(WHOLE, several(ODD["a list"]))
    fast, reference = decode_group(group, 7, over), decode_group(group, 7, over, by_columns=False)
    assert told(fast) == told(reference)
    assert OTHER in fast.tables["spans"]["name"]


def test_small_groups_are_rows():
    small = [Report(Signal.OTLP_TRACES, WHOLE, NOW_NS, items=4)]
    assert not isinstance(decode_group(small, 7).tables["spans"], Block)


keys = st.sampled_from(["a", "b", "c", "http.status_code", "http.response.status_code", "url.full"])
plain_attributes = st.lists(
    st.builds(
        KeyValue,
        key=keys,
        value=st.one_of(
            st.builds(lambda v: AnyValue(string_value=v), st.sampled_from(["200", "504", "v"])),
            otlp_messages.any_values,
        ),
    ),
    max_size=4,
)
plain_spans = st.builds(
    span,
    span_id=st.binary(min_size=8, max_size=8),
    parent_span_id=st.sampled_from([b"", b"12345678", b"1"]),
    name=st.sampled_from(["", "GET /", "AuthRequest", "ü"]),
    kind=st.integers(0, 6),
    attributes=plain_attributes,
    status=st.builds(Status, code=st.integers(-1, 3), message=st.sampled_from(["", "", "m"])),
    trace_state=st.sampled_from(["", "ot=th:c", "ot=p:3"]),
    events=st.lists(
        st.builds(
            Span.Event,
            time_unix_nano=otlp_messages.times,
            name=st.text(),
            attributes=otlp_messages.attributes,
        ),
        max_size=2,
    ),
    links=st.lists(st.builds(Span.Link, trace_id=st.binary()), max_size=1),
)
messages = st.one_of(
    st.lists(plain_spans, max_size=4).map(lambda spans: traces(*spans)),
    st.builds(traces, plain_spans, otlp_messages.spans, service=st.text()),
    built(ExportTraceServiceRequest),
)
bodies = messages.map(lambda message: message.SerializeToString())
# Spans of two, as a parser has to put them together.
two_in_one = st.tuples(plain_spans, plain_spans | built(Span)).map(
    lambda two: nested(1, 2, 2, inner=b"".join(one.SerializeToString() for one in two))
)


@given(st.lists(bodies | two_in_one, max_size=4))
@settings(max_examples=20)
def test_any_messages_are_what_the_reference_makes_of_them(sent: list[bytes]):
    agree(reports(*sent))


@given(st.lists(broken(bodies | two_in_one), max_size=4))
@settings(max_examples=20)
def test_damaged_messages_are_what_the_reference_makes_of_them(sent: list[bytes]):
    agree(reports(WHOLE, *sent))


@given(st.binary())
def test_the_parser_raises_nothing_but_what_is_expected(body: bytes):
    with suppress(ValueError):
        read([body])
