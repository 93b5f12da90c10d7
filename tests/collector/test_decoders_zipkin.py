"""Zipkin's spans of version 2 become rows, the same from JSON and from protobuf."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.decoders import decode_group
from collector.decoders.zipkin_heads import inspect
from collector.errors import Malformed, TooLarge
from collector.model import Report, Signal
from collector.proto import zipkin_pb2 as pb
from tests.collector.zipkin_bodies import (
    NOW_US,
    SPAN,
    TRACE,
    json_body,
    proto_body,
    proto_span,
    v2,
)

NOW_NS = NOW_US * 1000
DAY_US = 86_400 * 10**6


def report(body, signal=Signal.ZIPKIN_JSON):
    return Report(signal, body, NOW_NS, "10.0.0.5")


def decode(*spans):
    return decode_group([report(json_body(*spans))], 1)


def decode_proto(*spans):
    return decode_group([report(proto_body(*spans), Signal.ZIPKIN_PROTO)], 1)


def only(decoded):
    """The one row, by column."""
    assert decoded.dead == []
    return {name: values[0] for name, values in decoded.tables["spans"].items()}


def reasons(decoded):
    return [letter.reason for letter in decoded.dead]


@pytest.mark.parametrize("decoded", [decode(v2()), decode_proto(proto_span())], ids=["JSON", "pb"])
def test_a_span_is_a_row(decoded):
    assert only(decoded) == {
        "time": NOW_NS - 10**9,
        "trace_id": bytes.fromhex(TRACE),
        "span_id": int(SPAN, 16),
        "parent_id": 5,
        "service": "cart",
        "name": "get /cart",
        "kind": 2,
        "status": 0,
        "error": 0,
        "http_status": 0,
        "duration_ns": 5_000_000,
        "attributes": {"network.local.address": "10.0.0.5", "network.local.port": "8080"},
        "resource": {"service.name": "cart"},
        "events": [],
        "weight": 1.0,
        "shared": 0,
        "_group": 1,
    }


def test_all_that_a_span_may_have_is_kept_by_either_encoding():
    tags = {"http.path": "/cart", "error": "timeout"}
    told = only(
        decode(
            v2(
                kind="CLIENT",
                remoteEndpoint={"serviceName": "db", "ipv6": "2001:db8::c001", "port": 5432},
                annotations=[{"timestamp": NOW_US, "value": "retry"}],
                tags=tags,
                shared=True,
                debug=True,
            )
        )
    )
    packed = only(
        decode_proto(
            proto_span(
                kind=pb.Span.CLIENT,
                remote_endpoint=pb.Endpoint(
                    service_name="db", ipv6=bytes.fromhex("20010db8" + "0" * 20 + "c001"), port=5432
                ),
                annotations=[pb.Annotation(timestamp=NOW_US, value="retry")],
                tags=tags,
                shared=True,
                debug=True,
            )
        )
    )
    assert told == packed
    assert (told["kind"], told["error"], told["status"], told["shared"]) == (3, 1, 2, 1)
    assert told["events"] == [(NOW_NS, "retry", {})]
    assert told["attributes"] == tags | {
        "network.local.address": "10.0.0.5",
        "network.local.port": "8080",
        "network.peer.address": "2001:db8::c001",
        "network.peer.port": "5432",
        "peer.service": "db",
        "zipkin.debug": "true",
    }


@pytest.mark.parametrize(
    ("kind", "number"),
    [(None, 1), ("SERVER", 2), ("CLIENT", 3), ("PRODUCER", 4), ("CONSUMER", 5), ("server", 2)],
)
def test_a_kind_is_opentelemetrys_and_none_is_internal(kind, number):
    assert only(decode(v2(kind=kind)))["kind"] == number


def test_a_kind_nobody_knows_is_none_of_them():
    assert only(decode(v2(kind="NEITHER")))["kind"] == 0
    assert only(decode_proto(proto_span(kind=77)))["kind"] == 0
    assert only(decode_proto(proto_span(kind=0)))["kind"] == 1


@pytest.mark.parametrize(
    ("sent", "stored"),
    [("48485A3953BB6124", "0" * 16 + "48485a3953bb6124"), ("1", "0" * 31 + "1"), (TRACE, TRACE)],
)
def test_a_short_trace_id_is_filled_with_zeros_on_its_left(sent, stored):
    assert only(decode(v2(traceId=sent)))["trace_id"].hex() == stored


def test_a_64_bit_trace_id_is_filled_up_in_protobuf_too():
    row = only(decode_proto(proto_span(trace_id=bytes.fromhex(TRACE[16:]))))
    assert row["trace_id"].hex() == "0" * 16 + TRACE[16:]


@pytest.mark.parametrize("trace_id", ["", "0" * 32, "x", "1" * 33, "ab cd", "0x12", "\ud800"])
def test_a_trace_id_that_is_none_is_a_dead_letter(trace_id):
    assert reasons(decode(v2(traceId=trace_id), v2())) == ["bad_trace_id"]


@pytest.mark.parametrize("span_id", ["", "0" * 16, "g", "1" * 17])
def test_a_span_id_that_is_none_is_a_dead_letter(span_id):
    decoded = decode(v2(id=span_id), v2())
    assert reasons(decoded) == ["bad_span_id"]
    assert decoded.counts == {"spans": 1, "dead_letters": 1}


@pytest.mark.parametrize(
    ("timestamp", "reason"),
    [
        (1, "no_time"),
        (NOW_US // 1000, "no_time"),  # milliseconds
        (NOW_US * 1000, "in_the_future"),  # nanoseconds
        (NOW_US + 601 * 10**6, "in_the_future"),
        (NOW_US - 7 * DAY_US - 1, "too_old"),
        (2**64 - 1, "in_the_future"),
        (-1, "no_time"),
    ],
)
def test_a_time_outside_of_what_is_kept_is_a_dead_letter(timestamp, reason):
    assert reasons(decode(v2(timestamp=timestamp))) == [reason]


@pytest.mark.parametrize("absent", [None, 0])
def test_a_span_without_a_time_has_that_of_its_first_annotation(absent):
    noted = [{"timestamp": NOW_US - ago, "value": "x"} for ago in (5, 9, 7)]
    row = only(decode(v2(timestamp=absent, annotations=noted)))
    assert row["time"] == (NOW_US - 9) * 1000
    assert "meshmeter.no_time" not in row["attributes"]


@pytest.mark.parametrize(
    "decoded",
    [decode(v2(timestamp=None)), decode_proto(proto_span(timestamp=0))],
    ids=["JSON", "pb"],
)
def test_a_span_without_any_time_has_that_of_its_receipt_and_is_flagged(decoded):
    row = only(decoded)
    assert (row["time"], row["attributes"]["meshmeter.no_time"]) == (NOW_NS, "1")


@pytest.mark.parametrize("duration", [None, 0, -5])
def test_a_span_that_was_not_said_to_end_lasts_0_and_is_flagged(duration):
    row = only(decode(v2(duration=duration)))
    assert row["duration_ns"] == 0
    assert row["attributes"]["meshmeter.clock_skew"] == "1"


def test_a_duration_of_ages_is_the_longest_the_column_holds():
    assert only(decode(v2(duration=2**63)))["duration_ns"] == 2**63 - 1


@pytest.mark.parametrize(
    ("tags", "status", "error"),
    [
        ({"error": ""}, 2, 1),
        ({"error": "true"}, 2, 1),
        ({"error": "connection refused"}, 2, 1),
        ({"error": "false"}, 0, 0),
        ({"otel.status_code": "ERROR"}, 2, 1),
        ({"otel.status_code": "OK"}, 1, 0),
        ({"http.status_code": "503"}, 0, 1),
        ({"http.status_code": "404"}, 0, 0),
    ],
)
def test_the_tag_error_and_a_status_of_500_make_an_error(tags, status, error):
    row = only(decode(v2(tags=tags)))
    assert (row["status"], row["error"]) == (status, error)
    assert tags.items() <= row["attributes"].items()


def test_a_status_is_a_number():
    assert only(decode(v2(tags={"http.status_code": "404"})))["http_status"] == 404


def test_a_span_without_a_local_endpoint_is_of_an_unknown_service_and_keeps_its_peer():
    row = only(decode(v2(localEndpoint=None, remoteEndpoint={"serviceName": "db"})))
    assert (row["service"], row["attributes"]) == ("unknown", {"peer.service": "db"})


def test_what_a_span_says_itself_is_not_replaced_by_what_its_endpoint_says():
    row = only(decode(v2(tags={"peer.service": "mine"}, remoteEndpoint={"serviceName": "db"})))
    assert row["attributes"]["peer.service"] == "mine"


def test_envoys_own_check_weighs_nothing():
    name = "async envoy.service.auth.v3.Authorization.Check egress"
    assert only(decode(v2(name=name, kind="CLIENT")))["weight"] == 0


def test_a_span_that_is_its_own_parent_is_stored_and_flagged():
    row = only(decode(v2(parentId=SPAN)))
    assert row["parent_id"] == row["span_id"]
    assert row["attributes"]["meshmeter.self_parent"] == "1"


def test_a_server_of_linkerd_1_is_the_service_it_stands_before():
    tags = {"router.label": "http", "service": "/svc/books"}
    assert only(decode(v2(tags=tags)))["service"] == "/svc/books"
    assert only(decode(v2(tags=tags, kind="CLIENT")))["service"] == "cart"


@pytest.mark.parametrize(
    ("field", "sent", "column", "stored"),
    [
        ("timestamp", str(NOW_US), "time", NOW_NS),
        ("timestamp", float(NOW_US), "time", NOW_NS),
        ("duration", "5", "duration_ns", 5000),
        ("name", "half \ud800 whole \U0001f600 \\ud800", "name", "half � whole 😀 \\ud800"),
        ("parentId", None, "parent_id", 0),
    ],
    ids=["time as text", "time as a float", "duration as text", "half a character", "no parent"],
)
def test_what_can_be_put_right_is(field, sent, column, stored):
    assert only(decode(v2(**{field: sent})))[column] == stored


def test_tags_may_be_numbers_and_lists_and_nothing():
    tags = {"n": 1, "f": 1.5, "b": True, "l": [1, {"ü": None}], "none": None, "s": "x"}
    row = only(decode(v2(tags=tags, localEndpoint={"serviceName": "cart", "ipv4": None})))
    assert row["attributes"] == {
        "n": "1",
        "f": "1.5",
        "b": "true",
        "l": '[1, {"ü": null}]',
        "s": "x",
    }


def test_text_that_is_not_utf_8_is_repaired_and_its_neighbours_are_untouched():
    body = json_body(v2(name="one"), v2(name="BAD?")).replace(b"BAD?", b"BAD\xff")
    assert decode_group([report(body)], 1).tables["spans"]["name"] == ["one", "BAD�"]
    packed = proto_body(proto_span(name="one"), proto_span(name="BAD?"))
    packed = packed.replace(b"BAD?", b"BAD\xff")
    decoded = decode_group([report(packed, Signal.ZIPKIN_PROTO)], 1)
    assert decoded.tables["spans"]["name"] == ["one", "BAD�"]


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (v2(tags=[1]), "$.tags"),
        (v2(traceId=7), "$.traceId"),
        (v2(id=None), "`id`"),
        (v2(timestamp=1.5), "$.timestamp"),
        (v2(annotations=[{"value": "x"}]), "$.annotations[0]"),
        (v2(localEndpoint="cart"), "$.localEndpoint"),
        ("a span", "`object`"),
        (None, "`object`"),
    ],
)
def test_a_span_that_cannot_be_read_is_a_dead_letter_that_says_where(bad, why):
    decoded = decode(v2(), bad, v2())
    assert decoded.counts == {"spans": 2, "dead_letters": 1}
    assert decoded.dead[0].reason == "unreadable"
    assert why in decoded.dead[0].detail
    assert json.loads(decoded.dead[0].item) == bad


def test_a_long_span_with_a_fault_is_not_put_right():
    decoded = decode(v2(), v2(name="x" * 70_000, tags={"n": 1}))
    assert decoded.counts == {"spans": 1, "dead_letters": 1}
    assert "$.tags" in decoded.dead[0].detail


@pytest.mark.parametrize("extra", [b"9" * 5000, b"[" * 600 + b"]" * 600], ids=["digits", "lists"])
@pytest.mark.parametrize("tags", [b"{}", b"[]"], ids=["good", "bad"])
def test_no_value_of_a_field_we_do_not_know_harms_another_span(extra, tags):
    good = json.dumps(v2()).encode()
    odd = good[:-1] + b',"extra":' + extra + b',"tags":' + tags + b"}"
    body = b"[" + good + b"," + odd + b"," + good + b"]"
    assert inspect(Signal.ZIPKIN_JSON, body, NOW_NS).items == 3
    decoded = decode_group([report(body)], 1)
    assert len(decoded.tables["spans"]["time"]) + len(decoded.dead) == 3
    assert len(decoded.dead) == (tags == b"[]")


def test_a_dead_letter_carries_the_span_as_it_was_sent():
    body = b'[ {"traceId":"1","id":"2","extra":1} , {"traceId" : "0", "id":"2",  "extra":1} ]'
    (letter,) = decode_group([report(body)], 1).dead
    assert letter.item == b'{"traceId" : "0", "id":"2",  "extra":1}'
    refused = proto_span(id=b"")
    (letter,) = decode_proto(proto_span(), refused).dead
    assert (letter.reason, pb.Span.FromString(letter.item)) == ("bad_span_id", refused)


def test_a_message_that_is_no_span_is_a_dead_letter_in_protobuf_too():
    good = proto_body(proto_span())
    body = good + b"\x0a\x01\xff" + good
    decoded = decode_group([report(body, Signal.ZIPKIN_PROTO)], 1)
    assert decoded.counts == {"spans": 2, "dead_letters": 1}
    assert decoded.dead[0].item == b"\xff"


def test_limits_are_kept_and_told():
    tags = {f"k{number}": "v" for number in range(200)} | {"k0": "x" * 5000}
    noted = [{"timestamp": NOW_US, "value": "x"}] * 200
    row = only(decode(v2(tags=tags, annotations=noted)))
    assert len(row["attributes"]["k0"]) == 4096
    assert row["attributes"]["meshmeter.cut_values"] == "1"
    assert int(row["attributes"]["meshmeter.dropped_attributes"]) > 70
    assert len(row["events"]) == 128


def test_times_of_annotations_are_those_the_column_holds():
    noted = [{"timestamp": stamp, "value": "x"} for stamp in (-1, 2**64)]
    assert [event[0] for event in only(decode(v2(annotations=noted)))["events"]] == [0, 2**63 - 1]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"null",
        b"[",
        b"[{]",
        b"[{},]",
        b"[{}{}]",
        b"[{}] x",
        b"[NaN]",
        b"[" * 100_000,
    ],
    ids=repr,
)
def test_what_is_no_json_list_is_refused_and_one_dead_letter(body):
    with pytest.raises(Malformed):
        inspect(Signal.ZIPKIN_JSON, body, NOW_NS)
    assert reasons(decode_group([report(body)], 1)) == ["unreadable"]


def test_a_group_is_decoded_the_same_every_time():
    reports = [report(json_body(v2(), v2(id=""), v2(tags=1))) for _ in range(3)]
    assert decode_group(reports, 5) == decode_group(reports, 5)


# --- the front-end's look at the same bytes


def seen(*spans):
    return inspect(Signal.ZIPKIN_JSON, json_body(*spans), NOW_NS)


def test_an_inspection_counts_what_will_be_dead_letters_and_says_why():
    found = seen(v2(), v2(traceId="x"), v2(timestamp=1), v2(timestamp=None))
    assert (found.items, found.rejected) == (4, 2)
    assert any("trace id" in reason for reason in found.reasons)
    packed = proto_body(proto_span(), proto_span(id=b""), proto_span(timestamp=1))
    found = inspect(Signal.ZIPKIN_PROTO, packed, NOW_NS)
    assert (found.items, found.rejected) == (3, 2)


def test_an_inspection_of_a_list_with_a_fault_counts_all_the_same():
    found = seen(v2(), "x", v2(traceId=1), v2(id="x"), v2(timestamp="1"), v2(name="\ud800"))
    assert (found.items, found.rejected) == (6, 4)


@pytest.mark.parametrize(
    ("signal", "body"),
    [
        (Signal.ZIPKIN_JSON, b"[" + b"{}," * 100_000 + b"{}]"),
        (Signal.ZIPKIN_JSON, b"[" + b"1," * 1_000_001 + b"1]"),
        (Signal.ZIPKIN_JSON, b"[" + b"1," * 100_000 + b"1]"),
        (Signal.ZIPKIN_JSON, b"[" + b'{"traceId":"1","id":"2"},' * 100_000 + b"{}]"),
        (
            Signal.ZIPKIN_JSON,
            b"[" + b'{"\\u0074raceId":"1","id":"2"},' * 100_000 + b'{"traceId":"1","id":"2"}]',
        ),
        (Signal.ZIPKIN_PROTO, b"\x0a\x00" * 100_001),
    ],
    ids=[
        "empty objects",
        "a million numbers",
        "numbers",
        "smallest spans",
        "disguised",
        "protobuf",
    ],
)
def test_a_bomb_of_spans_is_refused(signal, body):
    with pytest.raises(TooLarge, match="100000"):
        inspect(signal, body, NOW_NS)


hexes = st.one_of(st.just(TRACE), st.text("0123456789abcdefABCDEF", max_size=33), st.text())
times = st.one_of(st.just(NOW_US), st.integers(-(2**64), 2**64), st.none())
json_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(),
    ),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)
spans = st.fixed_dictionaries(
    {"traceId": hexes, "id": hexes},
    optional={
        "parentId": hexes,
        "name": st.text(),
        "kind": st.sampled_from(["SERVER", "CLIENT", "?"]),
        "timestamp": times,
        "duration": times,
        "localEndpoint": st.just({"serviceName": "a"}) | json_values,
        "tags": st.dictionaries(st.text(), st.text(), max_size=3) | json_values,
        "annotations": st.lists(
            st.fixed_dictionaries({"timestamp": st.integers(), "value": st.text()}), max_size=2
        ),
        "shared": st.booleans(),
        "extra": json_values,
    },
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(spans, json_values), max_size=3))
def test_rows_and_dead_letters_are_all_the_spans(sent):
    decoded = decode(*sent)
    assert decoded.counts.get("spans", 0) - decoded.split + len(decoded.dead) == len(sent)
    found = seen(*sent)
    assert found.items == len(sent)
    assert found.rejected <= len(decoded.dead)


@settings(max_examples=300, deadline=None)
@given(st.data(), st.sampled_from([Signal.ZIPKIN_JSON, Signal.ZIPKIN_PROTO]))
def test_whatever_bytes_come_nothing_but_a_refusal_is_raised(data, signal):
    good = (
        json_body(v2(tags={"a": "b"})) if signal is Signal.ZIPKIN_JSON else proto_body(proto_span())
    )
    body = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        inspect(signal, bytes(body), NOW_NS)
    except (Malformed, TooLarge):
        refused = True
    else:
        refused = False
    decoded = decode_group([report(bytes(body), signal)], 1)
    if refused:
        assert reasons(decoded) == ["unreadable"]
