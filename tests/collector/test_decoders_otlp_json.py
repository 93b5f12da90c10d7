"""OTLP/JSON gives the rows that protobuf gives; and what senders write all the same is read."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from collector.decoders import decode_group
from collector.decoders.json_repair import repaired
from collector.decoders.limits import MAX_ITEMS, MAX_JSON_VALUES
from collector.decoders.otlp_json_traces import inspect_traces_json
from collector.errors import Malformed, TooLarge
from collector.model import Signal
from tests.collector.otlp_messages import as_json, requests
from tests.collector.reports import NOW_NS, SECOND, SPAN_ID, TRACE_ID, report, span, traces

DEEPER_THAN_READ = 2000
GOOD = {
    "traceId": TRACE_ID.hex(),
    "spanId": SPAN_ID.hex(),
    "name": "GET /",
    "kind": 2,
    "startTimeUnixNano": str(NOW_NS - SECOND),
    "endTimeUnixNano": str(NOW_NS),
}


def body(*spans: object, resource: object = None) -> bytes:
    """Spans as Python has JSON, or as bytes of it."""
    items = [one if isinstance(one, bytes) else json.dumps(one).encode() for one in spans]
    told = json.dumps(resource or {}).encode()
    return (
        b'{"resourceSpans":[{"resource":%s,"scopeSpans":[{"spans":[' % told
        + b",".join(items)
        + b"]}]}]}"
    )


def decode(*spans: object, resource: object = None):
    raw = body(*spans, resource=resource)
    return decode_group([report(raw, Signal.OTLP_TRACES_JSON)], 1)


def only(decoded):
    """The one row, by column."""
    assert decoded.dead == []
    return {name: values[0] for name, values in decoded.tables["spans"].items()}


@settings(max_examples=200, deadline=None)
@given(requests)
def test_json_and_protobuf_give_the_same_rows_and_refuse_the_same_spans(messages):
    binary = [report(message) for message in messages]
    texts = [report(as_json(message), Signal.OTLP_TRACES_JSON) for message in messages]
    first, second = decode_group(binary, 3), decode_group(texts, 3)
    assert first.tables.get("spans") == second.tables.get("spans")
    refused = [(letter.reason, letter.detail) for letter in first.dead]
    assert refused == [(letter.reason, letter.detail) for letter in second.dead]
    seen = [inspect_traces_json(told.body, NOW_NS) for told in texts]
    assert sum(found.items for found in seen) == 2 * len(messages)
    assert sum(found.rejected for found in seen) == len(second.dead)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_whatever_bytes_come_nothing_but_malformed_is_raised(data):
    (message, *_) = data.draw(requests) or [traces(span())]
    raw = bytearray(as_json(message))
    for _ in range(data.draw(st.integers(1, 5))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    told = bytes(raw[: data.draw(st.integers(0, len(raw)))])
    decoded = decode_group([report(told, Signal.OTLP_TRACES_JSON)], 3)
    rows = len(decoded.tables.get("spans", {}).get("time", []))
    try:
        found = inspect_traces_json(told, NOW_NS)
    except Malformed:
        assert (rows, [letter.item for letter in decoded.dead]) == (0, [told])
    else:
        assert found.items == rows + len(decoded.dead)
        assert found.rejected <= len(decoded.dead)


def test_a_sampled_span_weighs_what_its_trace_state_says():
    assert only(decode({**GOOD, "traceState": "ot=th:c"}))["weight"] == 4


def test_ids_are_hex_in_either_case():
    upper = {**GOOD, "traceId": "AB" * 16, "spanId": "aB" * 8, "parentSpanId": "CD" * 8}
    row = only(decode(upper))
    assert row["trace_id"] == b"\xab" * 16
    assert (row["span_id"], row["parent_id"]) == (0xABABABABABABABAB, 0xCDCDCDCDCDCDCDCD)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("traceId", "AQIDBAUGBwgJCgsMDQ4PEA==", "bad_trace_id"),  # base64
        ("traceId", "zz" * 16, "bad_trace_id"),
        ("traceId", " " * 32, "bad_trace_id"),
        ("traceId", "ab " * 16, "bad_trace_id"),
        ("spanId", "AQIDBAUGBwg=", "bad_span_id"),
        ("spanId", "0" * 16, "bad_span_id"),
    ],
)
def test_an_id_that_is_no_hex_is_a_dead_letter_with_a_hint(field, value, reason):
    decoded = decode({**GOOD, field: value}, GOOD)
    assert [letter.reason for letter in decoded.dead] == [reason]
    assert "hex digits" in decoded.dead[0].detail
    assert decoded.counts == {"spans": 1, "dead_letters": 1}


@pytest.mark.parametrize("spelt", ["{}", '"{}"'])
def test_64_bits_may_be_a_number_or_a_string(spelt):
    text = json.dumps(GOOD).replace(f'"{NOW_NS}"', spelt.format(NOW_NS))
    assert only(decode(text.encode()))["duration_ns"] == SECOND


@pytest.mark.parametrize("kind", [2, "SPAN_KIND_SERVER"])
def test_an_enum_may_be_a_number_or_a_name(kind):
    status = {"code": 2 if kind == 2 else "STATUS_CODE_ERROR"}
    row = only(decode({**GOOD, "kind": kind, "status": status}))
    assert (row["kind"], row["status"], row["error"]) == (2, 2, 1)


def test_an_unknown_enum_is_its_number_and_an_unknown_name_is_0():
    assert only(decode({**GOOD, "kind": 77}))["kind"] == 77
    assert only(decode({**GOOD, "kind": "SPAN_KIND_NEW"}))["kind"] == 0


def test_unknown_fields_and_the_names_of_protobuf_are_ignored():
    more = {**GOOD, "no such field": [{"x": None}], "parent_span_id": "ab" * 8}
    assert only(decode(more))["parent_id"] == 0


@pytest.mark.parametrize(
    "nulls",
    [
        {"parentSpanId": None, "status": None, "events": None, "attributes": None, "kind": None},
        {"attributes": [{"key": "k", "value": None}]},
        {"attributes": [{"key": "k", "value": {"stringValue": None}}]},
    ],
)
def test_null_is_what_is_absent(nulls):
    row = only(decode({**GOOD, **nulls}))
    assert row["attributes"] in ({}, {"k": ""})


@pytest.mark.parametrize("level", ["resourceSpans", "scopeSpans", "spans"])
def test_a_list_that_is_null_is_empty(level):
    raw = {"spans": b'{"resourceSpans":[{"scopeSpans":[{"spans":null}]}]}'}
    raw |= {"scopeSpans": b'{"resourceSpans":[{"scopeSpans":null}]}'}
    raw |= {"resourceSpans": b'{"resourceSpans":null}'}
    assert inspect_traces_json(raw[level], NOW_NS).items == 0
    assert decode_group([report(raw[level], Signal.OTLP_TRACES_JSON)], 1).counts == {}


@pytest.mark.parametrize("told", ["+/8=", "-_8=", "+/8", "-_8"])
def test_bytes_are_base64_of_either_alphabet(told):
    attribute = {"key": "k", "value": {"bytesValue": told}}
    assert only(decode({**GOOD, "attributes": [attribute]}))["attributes"] == {"k": "+/8="}


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        (rb"\ud800", "\N{REPLACEMENT CHARACTER}"),
        (rb"a\udc00b", "a\N{REPLACEMENT CHARACTER}b"),
        (b"a\xffb", "a\N{REPLACEMENT CHARACTER}b"),
        (rb"\ud83d\ude00\ud800", "\N{GRINNING FACE}\N{REPLACEMENT CHARACTER}"),
        (rb"\ud83d\ude00", "\N{GRINNING FACE}"),
        (rb"\\ud800\ud800", "\\ud800\N{REPLACEMENT CHARACTER}"),
    ],
)
def test_text_that_is_no_unicode_is_repaired(name, stored):
    odd = json.dumps(GOOD).encode().replace(b"GET /", name)
    assert decode(GOOD, odd).tables["spans"]["name"] == ["GET /", stored]
    assert inspect_traces_json(body(GOOD, odd), NOW_NS).rejected == 0


def test_what_is_right_is_not_repaired():
    right = rb'{"a": "\\ud800 \ud83d\ude00 \n \" \u00e9"}'
    assert repaired(right) == right


@pytest.mark.parametrize(
    "change",
    [
        {"startTimeUnixNano": "soon"},
        {"startTimeUnixNano": -1},
        {"startTimeUnixNano": 2**64},
        {"endTimeUnixNano": 2**64},
        {"endTimeUnixNano": 1.5},
        {"name": 5},
        {"attributes": {"k": "v"}},
        {"events": [{"timeUnixNano": 2**64}]},
        {"attributes": [{"key": "k", "value": {"intValue": "9" * 5000}}]},
        {"attributes": [{"key": "k", "value": {"bytesValue": "?"}}]},
    ],
)
def test_a_field_that_is_not_what_it_should_be_costs_one_span(change):
    decoded = decode(GOOD, {**GOOD, **change}, GOOD)
    assert decoded.counts == {"spans": 2, "dead_letters": 1}
    (letter,) = decoded.dead
    assert (letter.reason, letter.signal) == ("unreadable", "otlp-traces-json")
    assert json.loads(letter.item) == {**GOOD, **change}


def test_a_dead_letter_is_the_span_as_it_came():
    odd = b'{ "spanId" : "x",  "unknown" : 1 }'
    assert decode(odd).dead[0].item == odd


def test_a_number_too_large_for_a_double_is_refused_and_infinity_is_text():
    infinite = {"key": "k", "value": {"doubleValue": "Infinity"}}
    assert only(decode({**GOOD, "attributes": [infinite]}))["attributes"] == {"k": "inf"}
    raw = json.dumps({**GOOD, "attributes": [infinite]}).replace('"Infinity"', "1e999").encode()
    assert [letter.reason for letter in decode(raw).dead] == ["unreadable"]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"7",
        b"{",
        b'{"resourceSpans": NaN}',
        b'{"resourceSpans": {}}',
        b'{"resourceSpans": [7]}',
        b'{"resourceSpans": []} x',
        b"{}, {}",
        b"{}], [{}",
        b"\x0a\x00",
        b'{"x": ' + b"[" * DEEPER_THAN_READ + b"]" * DEEPER_THAN_READ + b"}",
        b"[" * 1_000_000,
        body(b'{"x":' * 100_000 + b"1" + b"}" * 100_000),
        body(*[GOOD] * 2)[:-9],
    ],
)
def test_what_is_no_request_is_malformed(raw):
    with pytest.raises(Malformed, match="not an ExportTraceServiceRequest in JSON"):
        inspect_traces_json(raw, NOW_NS)
    decoded = decode_group([report(raw, Signal.OTLP_TRACES_JSON)], 1)
    assert [(letter.reason, letter.item) for letter in decoded.dead] == [
        ("unreadable", raw[: 64 * 1024])
    ]


def test_what_is_read_at_the_door_can_be_read_on_a_deeper_stack():
    def deepest() -> int:
        low, high = 100, DEEPER_THAN_READ
        while low + 1 < high:
            depth = (low + high) // 2
            try:
                inspect_traces_json(b'{"x": ' + b"[" * depth + b"]" * depth + b"}", NOW_NS)
            except Malformed:
                high = depth
            else:
                low = depth
        return low

    def deeper(frames: int, raw: bytes):
        if frames:
            return deeper(frames - 1, raw)
        return decode_group([report(raw, Signal.OTLP_TRACES_JSON)], 1)

    depth = deepest()
    raw = b'{"x": ' + b"[" * depth + b"]" * depth + b"}"
    assert deeper(80, raw).dead == []


def test_a_value_nested_deep_is_cut_off_and_not_refused():
    value: object = {"stringValue": "deep"}
    for _ in range(100):
        value = {"arrayValue": {"values": [value]}}
    row = only(decode({**GOOD, "attributes": [{"key": "k", "value": value}]}))
    assert row["attributes"]["k"] == "[" * 16 + '"…"' + "]" * 16


@pytest.mark.parametrize(
    "raw",
    [
        body(*[b"{}"] * (MAX_ITEMS + 1)),
        b'{"resourceSpans":[' + b",".join([b"{}"] * (MAX_ITEMS + 1)) + b"]}",
        body(b'{"attributes":[' + b",".join([b"0"] * (MAX_JSON_VALUES + 1)) + b"]}"),
    ],
    ids=["spans", "resources", "values"],
)
def test_a_bomb_is_refused(raw):
    with pytest.raises(TooLarge, match="a request"):
        inspect_traces_json(raw, NOW_NS)


def test_the_service_is_the_resources():
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "cart"}}]}
    assert only(decode(GOOD, resource=resource))["service"] == "cart"
    assert only(decode(GOOD, resource={"attributes": 5}))["service"] == "unknown"


def test_a_message_with_everything_is_read_whole():
    event = Span.Event(time_unix_nano=NOW_NS, name="e")
    told = traces(span(status=Status(code=2, message="why"), events=[event]))
    binary = decode_group([report(told)], 1)
    assert decode_group([report(as_json(told), Signal.OTLP_TRACES_JSON)], 1).tables == binary.tables
