"""OTLP spans become rows; what cannot be stored is a dead letter, and nothing is lost between."""

import itertools
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from collector.decoders import decode_group
from collector.decoders.skeleton import inspect_traces
from collector.errors import Malformed, TooLarge
from collector.proto import skeleton_pb2 as skeleton
from collector.store.client import Store
from tests.collector.otlp_messages import requests
from tests.collector.reports import NOW_NS, SECOND, SPAN_ID, TRACE_ID, report, span, text, traces

DAY = 86_400 * SECOND
EXAMPLES = itertools.count()


def decode(*spans, **kwargs):
    return decode_group([report(traces(*spans, **kwargs))], 1)


def only(decoded):
    """The one row, by column."""
    assert decoded.dead == []
    return {name: values[0] for name, values in decoded.tables["spans"].items()}


def value(**kind):
    return KeyValue(key="k", value=AnyValue(**kind))


def test_a_span_is_a_row():
    row = only(decode(span(parent_span_id=b"\x00" * 7 + b"\x05", attributes=[text("a", "b")])))
    assert row == {
        "time": NOW_NS - SECOND,
        "trace_id": TRACE_ID,
        "span_id": int(SPAN_ID.hex(), 16),
        "parent_id": 5,
        "service": "b.default",
        "name": "GET /",
        "kind": 2,
        "status": 0,
        "error": 0,
        "http_status": 0,
        "duration_ns": 5_000_000,
        "attributes": {"a": "b"},
        "resource": {"service.name": "b.default"},
        "events": [],
        "weight": 1.0,
        "shared": 0,
        "_group": 1,
    }


def test_envoys_status_code_is_a_string_and_counts():
    row = only(decode(span(attributes=[text("http.status_code", "503")])))
    assert (row["http_status"], row["error"]) == (503, 1)


def test_a_status_code_may_be_a_number():
    attribute = KeyValue(key="http.response.status_code", value=AnyValue(int_value=404))
    row = only(decode(span(attributes=[attribute])))
    assert (row["http_status"], row["error"]) == (404, 0)


def test_a_proxys_own_check_is_kept_and_weighs_nothing():
    check = "async envoy.service.auth.v3.Authorization.Check egress"
    row = only(decode(span(name=check, kind=Span.SPAN_KIND_CLIENT)))
    assert (row["name"], row["weight"]) == (check, 0)


def test_a_sampled_span_weighs_what_its_trace_state_says():
    assert only(decode(span(trace_state="ot=th:c")))["weight"] == 4


def test_a_proxy_of_a_shared_name_has_its_workloads():
    request = traces(span(), service="linkerd-proxy")
    resource = request.resource_spans[0].resource
    resource.attributes.append(text("linkerd.io/proxy-deployment", "books"))
    row = only(decode_group([report(request)], 1))
    assert row["service"] == "books"
    assert row["resource"]["service.name"] == "linkerd-proxy"


def test_a_span_that_says_error_is_one_and_its_message_is_kept():
    row = only(decode(span(status=Status(code=Status.STATUS_CODE_ERROR, message="why"))))
    assert (row["status"], row["error"]) == (2, 1)
    assert row["attributes"]["otel.status_description"] == "why"


@pytest.mark.parametrize("trace_id", [b"", b"abc", bytes(17), bytes(16)])
def test_a_trace_id_of_another_size_or_of_zeros_is_a_dead_letter(trace_id):
    decoded = decode(span(trace_id=trace_id), span())
    assert [letter.reason for letter in decoded.dead] == ["bad_trace_id"]
    assert len(decoded.tables["spans"]["time"]) == 1


@pytest.mark.parametrize("span_id", [b"", b"abc", bytes(9), bytes(8)])
def test_a_span_id_of_another_size_or_of_zeros_is_a_dead_letter(span_id):
    assert [letter.reason for letter in decode(span(span_id=span_id)).dead] == ["bad_span_id"]


@pytest.mark.parametrize(
    ("start_ns", "reason"),
    [
        (0, "no_time"),
        (1_000_000, "no_time"),
        (NOW_NS // 1000, "no_time"),  # microseconds
        (NOW_NS - 7 * DAY - 1, "too_old"),
        (NOW_NS + 600 * SECOND + 1, "in_the_future"),
        (2**64 - 1, "in_the_future"),
    ],
)
def test_a_start_outside_of_what_is_kept_is_a_dead_letter(start_ns, reason):
    decoded = decode(span(start_time_unix_nano=start_ns))
    assert [letter.reason for letter in decoded.dead] == [reason]


@pytest.mark.parametrize("start_ns", [NOW_NS - 7 * DAY, NOW_NS + 600 * SECOND])
def test_a_start_at_the_edge_of_what_is_kept_is_stored(start_ns):
    assert only(decode(span(start_time_unix_nano=start_ns)))["time"] == start_ns


def test_a_dead_letter_says_whose_it_was_and_carries_the_span():
    refused = span(span_id=b"abc", name="the one")
    decoded = decode(refused)
    letter = decoded.dead[0]
    assert (letter.time_ns, letter.signal, letter.identity) == (
        NOW_NS,
        "otlp-traces",
        "b-1.default",
    )
    assert "span_id must be 8 bytes" in letter.detail
    assert Span.FromString(letter.item) == refused
    assert decoded.tables["dead_letters"]["item"] == [letter.item]


@pytest.mark.parametrize("end_ns", [0, NOW_NS - 2 * SECOND])
def test_a_span_that_ends_before_it_starts_lasts_0_and_is_flagged(end_ns):
    row = only(decode(span(end_time_unix_nano=end_ns)))
    assert row["duration_ns"] == 0
    assert row["attributes"]["meshmeter.clock_skew"] == "1"


def test_a_span_that_is_its_own_parent_is_stored_and_flagged():
    row = only(decode(span(parent_span_id=SPAN_ID)))
    assert row["parent_id"] == row["span_id"]
    assert row["attributes"]["meshmeter.self_parent"] == "1"


def test_spans_of_one_id_are_all_stored():
    assert decode(span(), span()).counts == {"spans": 2}


@pytest.mark.parametrize(
    ("attribute", "stored"),
    [
        (value(string_value=""), ""),
        (value(), ""),
        (value(bool_value=False), "false"),
        (value(int_value=-(2**63)), "-9223372036854775808"),
        (value(int_value=0), "0"),
        (value(double_value=1e308), "1e+308"),
        (value(double_value=float("nan")), "nan"),
        (value(bytes_value=b"\x00\xff"), "AP8="),
        (value(array_value=ArrayValue(values=[AnyValue(int_value=1), AnyValue()])), "[1,null]"),
        (
            value(kvlist_value=KeyValueList(values=[text("ü", '"'), value(bool_value=True)])),
            '{"ü":"\\"","k":true}',
        ),
    ],
)
def test_any_value_is_text(attribute, stored):
    assert only(decode(span(attributes=[attribute])))["attributes"] == {"k": stored}


def nested(depth):
    inner = AnyValue(string_value="deep")
    for _ in range(depth):
        inner = AnyValue(array_value=ArrayValue(values=[inner]))
    return KeyValue(key="k", value=inner)


def test_a_value_nested_16_deep_is_whole_and_one_deeper_is_cut_off():
    kept = only(decode(span(attributes=[nested(16)])))["attributes"]["k"]
    assert "deep" in kept
    cut_off = only(decode(span(attributes=[nested(17)])))["attributes"]["k"]
    assert cut_off == "[" * 16 + '"…"' + "]" * 16
    json.loads(cut_off)


def field(tag, body):
    return bytes([tag, *varint(len(body))]) + body


def varint(number):
    return [number & 127 | 128, number >> 7] if number > 127 else [number]


def raw_traces(*raw_spans):
    """A request with spans given as bytes."""
    resource_items = skeleton.ResourceItems(scopes=[skeleton.ScopeItems(items=raw_spans)])
    return skeleton.Request(resources=[resource_items]).SerializeToString()


def test_a_value_nested_too_deep_to_read_is_a_dead_letter_and_its_neighbours_are_kept():
    value_bytes = field(0x0A, b"deep")
    for _ in range(80):  # AnyValue.array_value of ArrayValue.values
        value_bytes = field(0x2A, field(0x0A, value_bytes))
    good = span().SerializeToString()
    too_deep = good + field(0x4A, field(0x0A, b"k") + field(0x12, value_bytes))
    decoded = decode_group([report(raw_traces(good, too_deep, good))], 1)
    assert decoded.counts == {"spans": 2, "dead_letters": 1}
    assert (decoded.dead[0].reason, decoded.dead[0].item) == ("unreadable", too_deep)


def test_128_attributes_are_kept_and_the_others_counted():
    row = only(decode(span(attributes=[text(f"k{n}", "v") for n in range(10_000)])))
    assert len(row["attributes"]) == 129
    assert row["attributes"]["meshmeter.dropped_attributes"] == "9872"


def test_a_long_value_is_cut_at_4_kib_in_whole_characters_and_flagged():
    row = only(decode(span(attributes=[text("k", "x" + "ü" * 500_000)])))
    assert row["attributes"]["k"] == "x" + "ü" * 2047
    assert row["attributes"]["meshmeter.cut_values"] == "1"


def test_attributes_without_a_proper_key_are_dropped_and_counted():
    row = only(decode(span(attributes=[text("", "v"), text("k" * 1025, "v"), text("ok", "v")])))
    assert row["attributes"] == {"ok": "v", "meshmeter.dropped_attributes": "2"}


def test_of_two_attributes_with_one_key_the_last_counts():
    row = only(decode(span(attributes=[text("k", "1"), text("k", "2")])))
    assert row["attributes"] == {"k": "2"}


def test_an_attribute_named_like_a_column_stays_an_attribute():
    row = only(decode(span(attributes=[text("service", "x"), text("_group", "9")])))
    assert (row["service"], row["_group"]) == ("b.default", 1)


def test_events_are_kept_with_a_time_the_column_holds():
    event = Span.Event(time_unix_nano=2**64 - 1, name="oops", attributes=[text("a", "b")])
    row = only(decode(span(events=[event])))
    assert row["events"] == [(2**63 - 1, "oops", {"a": "b"})]


def test_128_events_are_kept_and_the_others_counted():
    row = only(decode(span(events=[Span.Event(name="e")] * 200)))
    assert len(row["events"]) == 128
    assert row["attributes"]["meshmeter.dropped_events"] == "72"


def test_a_service_without_a_name_is_unknown_and_markup_is_only_text():
    assert only(decode(span(), service=""))["service"] == "unknown"
    markup = "<img src=x onerror=alert(1)>"
    assert only(decode(span(), service=markup))["service"] == markup


def test_kinds_and_codes_we_do_not_know_stay_numbers_the_column_holds():
    row = only(decode(span(kind=77, status=Status(code=9))))
    assert (row["kind"], row["status"]) == (77, 9)
    assert only(decode(span(kind=2**31 - 1)))["kind"] == 0


def test_text_that_is_not_utf_8_is_repaired_and_its_neighbours_are_untouched():
    body = traces(span(name="one"), span(name="BAD?", attributes=[text("k", "BAD?")]))
    raw = body.SerializeToString().replace(b"BAD?", b"BAD\xff")
    decoded = decode_group([report(raw)], 1)
    assert decoded.dead == []
    assert decoded.tables["spans"]["name"] == ["one", "BAD�"]
    assert decoded.tables["spans"]["attributes"][1] == {"k": "BAD�"}
    assert decoded.tables["spans"]["trace_id"] == [TRACE_ID] * 2
    assert decoded.tables["spans"]["service"] == ["b.default"] * 2


def test_ids_that_are_no_utf_8_survive_the_repair_of_text_beside_them():
    ids = {"trace_id": b"\xff" * 16, "span_id": b"\xfe" * 8}
    raw = traces(span(name="BAD?", **ids)).SerializeToString().replace(b"BAD?", b"BAD\xff")
    row = only(decode_group([report(raw)], 1))
    assert row["trace_id"] == b"\xff" * 16
    assert row["span_id"] == int("fe" * 8, 16)


def test_a_body_that_is_no_request_is_one_dead_letter():
    decoded = decode_group([report(b"\xff\xff\xff"), report(traces(span()))], 1)
    assert [letter.reason for letter in decoded.dead] == ["unreadable"]
    assert decoded.counts == {"spans": 1, "dead_letters": 1}


def test_an_empty_request_is_nothing():
    decoded = decode_group([report(b"")], 1)
    assert (decoded.tables, decoded.dead) == ({}, [])


def test_a_group_is_decoded_the_same_every_time():
    reports = [report(traces(span(), span(span_id=b"x"), service=f"s{n}")) for n in range(3)]
    assert decode_group(reports, 5) == decode_group(reports, 5)


# --- the front-end's look at the same bytes


def test_an_inspection_counts_what_will_be_dead_letters_and_says_why():
    body = traces(span(), span(trace_id=b"x"), span(start_time_unix_nano=0)).SerializeToString()
    found = inspect_traces(body, NOW_NS)
    assert (found.items, found.rejected) == (3, 2)
    assert any("trace_id must be 16 bytes" in reason for reason in found.reasons)


def test_an_item_bomb_is_refused():
    with pytest.raises(TooLarge, match="100000"):
        inspect_traces(raw_traces(*[b""] * 100_001), NOW_NS)


def test_a_bomb_of_empty_resources_is_refused():
    with pytest.raises(TooLarge):
        inspect_traces(b"\x0a\x00" * 100_001, NOW_NS)


@pytest.mark.parametrize("body", [b"\xff", b"\x0a\x05abc", b"{}"])
def test_an_inspection_of_nonsense_is_malformed(body):
    with pytest.raises(Malformed):
        inspect_traces(body, NOW_NS)


# --- any message


@settings(max_examples=100, deadline=None)
@given(requests)
def test_rows_and_dead_letters_are_all_the_spans_and_the_front_end_knew(messages):
    decoded = decode_group([report(message) for message in messages], 3)
    rows = len(decoded.tables.get("spans", {}).get("time", []))
    assert rows + len(decoded.dead) == 2 * len(messages)
    for columns in decoded.tables.values():
        assert len({len(values) for values in columns.values()}) == 1
    seen = [inspect_traces(message.SerializeToString(), NOW_NS) for message in messages]
    assert sum(found.items for found in seen) == 2 * len(messages)
    assert sum(found.rejected for found in seen) == len(decoded.dead)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_whatever_bytes_come_nothing_but_malformed_is_raised(data):
    message = data.draw(requests)
    whole = b"".join(one.SerializeToString() for one in message) or b"\x0a\x00"
    raw = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 5))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    body = bytes(raw[: data.draw(st.integers(0, len(raw)))])
    decoded = decode_group([report(body)], 3)
    rows = len(decoded.tables.get("spans", {}).get("time", []))
    try:
        found = inspect_traces(body, NOW_NS)
    except Malformed:
        assert (rows, [letter.item for letter in decoded.dead]) == (0, [body])
    else:
        assert found.items == rows + len(decoded.dead)
        assert found.rejected <= len(decoded.dead)


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(messages=requests)
def test_what_is_decoded_can_be_stored(store_url, messages):
    decoded = decode_group([report(message) for message in messages], 3)
    token = f"example:{next(EXAMPLES)}"
    with Store(store_url) as store:
        before = {table: count(store, table) for table in decoded.tables}
        for table, columns in decoded.tables.items():
            store.insert(table, columns, token=token)
        after = {table: count(store, table) for table in decoded.tables}
    assert {table: after[table] - before[table] for table in after} == decoded.counts


def count(store, table):
    return store.rows(f"SELECT count() FROM {table}")[0][0]
