"""Version 1: what was annotated at a client and a server becomes spans of one side each."""

from base64 import b64encode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.decoders import decode_group
from collector.decoders.thrift import MAX_VALUES, Reader
from collector.decoders.zipkin_heads import inspect
from collector.errors import Malformed, TooLarge
from collector.model import Report, Signal
from tests.collector import scribe_capture
from tests.collector.zipkin_bodies import (
    NOW_US,
    SPAN,
    TRACE,
    binary,
    i16,
    i64,
    json_body,
    list_of,
    log_arguments,
    mark,
    structure,
    tag,
    thrift_body,
    thrift_mark,
    thrift_span,
    thrift_tag,
    v1,
    v2,
)

NOW_NS = NOW_US * 1000
SERVER = (mark("sr", 0), mark("ss", 5_000))
CLIENT = (mark("cs", -1_000, "web"), mark("cr", 7_000, "web"))
THRIFT_SERVER = (thrift_mark("sr", 0), thrift_mark("ss", 5_000))


def decode(body, signal):
    return decode_group([Report(signal, body, NOW_NS, "10.0.0.5")], 1)


def decode_json(*spans, signal=Signal.ZIPKIN_JSON_V1):
    return decode(json_body(*spans), signal)


def decode_thrift(*spans):
    return decode(thrift_body(*spans), Signal.ZIPKIN_THRIFT)


def rows(decoded):
    assert decoded.dead == []
    table = decoded.tables["spans"]
    return [dict(zip(table, values, strict=True)) for values in zip(*table.values(), strict=True)]


def only(decoded):
    (row,) = rows(decoded)
    return row


@pytest.mark.parametrize(
    "decoded",
    [
        decode_json(v1(*SERVER, tags=(tag("http.path", "/cart"),))),
        decode_thrift(thrift_span(*THRIFT_SERVER, tags=(thrift_tag("http.path", b"/cart"),))),
    ],
    ids=["JSON", "Thrift"],
)
def test_a_servers_annotations_are_a_servers_span(decoded):
    assert only(decoded) == {
        "time": NOW_NS,
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
        "attributes": {
            "http.path": "/cart",
            "network.local.address": "10.0.0.5",
            "network.local.port": "8080",
        },
        "resource": {"service.name": "cart"},
        "events": [],
        "weight": 1.0,
        "shared": 1,  # it has no timestamp of its own
        "_group": 1,
    }


def test_a_clients_annotations_are_a_clients_span():
    row = only(decode_json(v1(*CLIENT, tags=(tag("sa", True, "cart"),))))
    assert (row["kind"], row["service"], row["shared"]) == (3, "web", 0)
    assert (row["time"], row["duration_ns"]) == (NOW_NS - 10**6, 8_000_000)
    assert row["attributes"]["peer.service"] == "cart"


def test_a_server_with_a_timestamp_is_a_span_of_its_own_and_has_that_time():
    row = only(decode_json(v1(*SERVER, timestamp=NOW_US - 7, duration=9)))
    assert (row["time"], row["duration_ns"], row["shared"]) == (NOW_NS - 7000, 9000, 0)


@pytest.mark.parametrize(
    ("value", "kind", "peer"), [("ms", 4, "kafka"), ("mr", 5, "kafka")], ids=["sent", "received"]
)
def test_messages_sent_and_received_are_producers_and_consumers(value, kind, peer):
    row = only(decode_json(v1(mark(value, 0), tags=(tag("ma", True, peer),))))
    assert (row["kind"], row["attributes"]["peer.service"]) == (kind, peer)


def test_a_span_with_both_sides_is_the_halves_of_a_shared_one():
    both = v1(
        *CLIENT,
        *SERVER,
        mark("retry", 1, "web"),
        mark("cache miss", 2, "cart"),
        tags=(tag("a", "1", "web"), tag("b", "2", "cart"), tag("c", "3", "elsewhere")),
        timestamp=NOW_US - 1_000,
        duration=8_000,
    )
    client, server = rows(decode_json(both))
    assert (client["service"], client["kind"], client["shared"]) == ("web", 3, 0)
    assert (server["service"], server["kind"], server["shared"]) == ("cart", 2, 1)
    assert client["span_id"] == server["span_id"] == int(SPAN, 16)
    assert client["parent_id"] == server["parent_id"] == 5
    assert (client["time"], client["duration_ns"]) == (NOW_NS - 10**6, 8_000_000)
    assert (server["time"], server["duration_ns"]) == (NOW_NS, 5_000_000)
    assert [event[1] for event in client["events"]] == ["retry"]
    assert [event[1] for event in server["events"]] == ["cache miss"]
    assert {"a", "c"} < client["attributes"].keys()
    assert "b" in server["attributes"]
    assert "b" not in client["attributes"]


def test_the_halves_of_one_span_are_counted():
    decoded = decode_json(v1(*CLIENT, *SERVER), v1(*SERVER))
    assert (decoded.counts, decoded.split) == ({"spans": 3}, 1)


def test_half_a_pair_is_enough():
    began = only(decode_json(v1(mark("sr", 0))))
    assert (began["kind"], began["time"], began["duration_ns"]) == (2, NOW_NS, 0)
    assert began["attributes"]["meshmeter.clock_skew"] == "1"
    ended = only(decode_json(v1(mark("cr", 5))))
    assert (ended["kind"], ended["time"]) == (3, NOW_NS + 5_000)


def test_a_span_of_no_side_is_internal_and_of_who_annotated_it():
    span = v1(tags=(tag("lc", "json", "cart"),), timestamp=NOW_US, duration=3)
    row = only(decode_json(span))
    assert (row["kind"], row["service"], row["attributes"]["lc"]) == (1, "cart", "json")
    assert (row["time"], row["duration_ns"]) == (NOW_NS, 3000)


def test_an_address_that_was_only_told_is_a_peer():
    row = only(decode_json(v1(tags=(tag("sa", True, "db"), tag("k", "v")), timestamp=NOW_US)))
    assert (row["service"], row["attributes"]["peer.service"]) == ("cart", "db")


def test_values_of_any_type_are_text():
    tags = (tag("s", "x"), tag("n", 5), tag("b", False), tag("none", None), tag("sa", "no address"))
    attributes = only(decode_json(v1(*SERVER, tags=tags)))["attributes"]
    assert [attributes[key] for key in ("s", "n", "b", "none", "sa")] == [
        "x",
        "5",
        "false",
        "",
        "no address",
    ]
    typed = (
        thrift_tag("bool", b"\x00", 0),
        thrift_tag("bytes", b"\xffx", 1),
        thrift_tag("i16", b"\x00\x05", 2),
        thrift_tag("i32", b"\xff\xff\xff\xff", 3),
        thrift_tag("i64", bytes(7) + b"\x07", 4),
        thrift_tag("double", b"\x3f\xf8" + bytes(6), 5),
        thrift_tag("short i32", b"5", 3),
    )
    attributes = only(decode_thrift(thrift_span(*THRIFT_SERVER, tags=typed)))["attributes"]
    assert {key: attributes[key] for key in ("bool", "bytes", "i16", "i32", "i64", "double")} == {
        "bool": "false",
        "bytes": "�x",
        "i16": "5",
        "i32": "-1",
        "i64": "7",
        "double": "1.5",
    }
    assert attributes["short i32"] == "5"


def test_thrifts_addresses_are_peers():
    span = thrift_span(*THRIFT_SERVER, tags=(thrift_tag("ca", b"\x01", 0, "web"),))
    row = only(decode_thrift(span))
    assert row["attributes"]["peer.service"] == "web"
    assert row["attributes"]["network.peer.address"] == "10.0.0.5"


@pytest.mark.parametrize("signal", [Signal.ZIPKIN_JSON, Signal.ZIPKIN_JSON_V1])
def test_either_version_is_known_by_its_fields_on_either_path(signal):
    old, new = rows(decode_json(v1(*SERVER), v2(tags={"a": "b"}), signal=signal))
    assert (old["duration_ns"], old["events"]) == (5_000_000, [])
    assert (new["attributes"]["a"], new["service"]) == ("b", "cart")


def test_annotations_without_an_endpoint_are_of_the_version_that_the_path_says():
    span = {"traceId": "1", "id": "2", "annotations": [{"timestamp": NOW_US, "value": "sr"}]}
    assert only(decode_json(span))["kind"] == 2
    plain = only(decode_json(span, signal=Signal.ZIPKIN_JSON))
    assert (plain["kind"], plain["events"]) == (1, [(NOW_NS, "sr", {})])


def test_a_64_bit_trace_id_of_thrift_is_filled_with_zeros():
    row = only(decode_thrift(thrift_span(*THRIFT_SERVER, f1=i64(-1), f12=i64(0))))
    assert row["trace_id"] == bytes(8) + b"\xff" * 8


@pytest.mark.parametrize(
    ("span", "reason"),
    [
        (thrift_span(f1=i64(0), f12=i64(0)), "bad_trace_id"),
        (thrift_span(f4=i64(0)), "bad_span_id"),
        (thrift_span(f10=i64(5)), "no_time"),
        (thrift_span(f1=binary(b"x")), "unreadable"),
        (thrift_span(f6=i64(1)), "unreadable"),
        (thrift_span(f6=list_of(i64(1))), "unreadable"),
        (thrift_span(structure({1: binary(b"x")})), "unreadable"),
        (thrift_span(f3=i16(1)), "unreadable"),
    ],
)
def test_a_bad_span_of_thrift_is_a_dead_letter_and_its_neighbours_are_kept(span, reason):
    good = thrift_span(*THRIFT_SERVER)
    decoded = decode_thrift(good, span, good)
    assert decoded.counts == {"spans": 2, "dead_letters": 1}
    assert (decoded.dead[0].reason, decoded.dead[0].item) == (reason, span[1])


def test_an_inspection_counts_bad_ids_and_times():
    bad = [thrift_span(f4=i64(0)), thrift_span(f10=i64(5)), thrift_span(f1=binary(b"x"))]
    found = inspect(Signal.ZIPKIN_THRIFT, thrift_body(thrift_span(), *bad), NOW_NS)
    assert (found.items, found.rejected) == (4, 3)


def test_fields_nobody_knows_are_left_alone():
    more = {
        "f20": structure({1: i64(1)}),
        "f21": (13, b"\x0b\x08" + b"\0\0\0\1" + b"\0\0\0\1k" + b"\0\0\0\2"),
        "f22": (14, b"\x06" + b"\0\0\0\1" + b"\0\1"),
        "f23": (4, bytes(8)),
        "f24": (3, b"\1"),
        "f25": (2, b"\1"),
    }
    assert only(decode_thrift(thrift_span(*THRIFT_SERVER, **more)))["service"] == "cart"


GOOD = thrift_body(thrift_span(*THRIFT_SERVER))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x0c",
        b"\x0b\0\0\0\1",
        GOOD[:-1],
        b"\x0c\xff\xff\xff\xff",
        b"\x0c\x7f\xff\xff\xff\0",
        b"\x0c\0\0\0\1\x0b\0\3\x7f\xff\xff\xff",
        b"\x0c\0\0\0\1\x01\0\3",
        b"\x0c\0\0\0\1" + b"\x0c\0\1" * 17 + b"\0" * 18,
    ],
    ids=[
        "nothing",
        "half a head",
        "a list of texts",
        "cut short",
        "a negative length",
        "a list of billions",
        "a text of 2 GiB",
        "a type nobody knows",
        "nested too deep",
    ],
)
def test_what_is_no_thrift_list_is_refused_and_one_dead_letter(body):
    with pytest.raises(Malformed):
        inspect(Signal.ZIPKIN_THRIFT, body, NOW_NS)
    decoded = decode(body, Signal.ZIPKIN_THRIFT)
    assert [letter.reason for letter in decoded.dead] == ["unreadable"]
    assert decoded.counts == {"dead_letters": 1}


@pytest.mark.parametrize(
    "body",
    [
        b"\x0c\0\1\x86\xa1" + b"\0" * 100_001,
        b"\x0c\0\0\0\1\x0f\0\6\x02\0\x0f\x42\x41" + bytes(MAX_VALUES + 1) + b"\0",
    ],
    ids=["spans", "values"],
)
def test_a_bomb_of_thrift_is_refused(body):
    with pytest.raises(TooLarge):
        inspect(Signal.ZIPKIN_THRIFT, body, NOW_NS)


# --- Scribe: the same spans, each in base64


def scribe(*messages, category=b"zipkin"):
    return decode(log_arguments(*messages, category=category), Signal.SCRIBE)


def test_a_log_calls_messages_are_spans():
    _, raw = thrift_span(*THRIFT_SERVER)
    # Java's encoders break lines.
    folded = b64encode(raw)[:76] + b"\r\n" + b64encode(raw)[76:] + b"\n"
    assert len(rows(scribe(b64encode(raw), folded))) == 2


@pytest.mark.parametrize(
    "message", [b"", b"=", b64encode(b"\xff"), b64encode(b"\x0b\0\3")], ids=repr
)
def test_a_message_that_is_no_span_is_a_dead_letter_and_the_others_are_kept(message):
    good = b64encode(thrift_span(*THRIFT_SERVER)[1])
    decoded = scribe(good, message, good)
    assert decoded.counts == {"spans": 2, "dead_letters": 1}
    assert (decoded.dead[0].reason, decoded.dead[0].item) == ("unreadable", message)


def test_entries_of_other_categories_are_skipped():
    decoded = scribe(b"anything", category=b"access")
    assert (decoded.counts, decoded.skipped) == ({}, 1)
    assert len(rows(scribe(b64encode(thrift_span(*THRIFT_SERVER)[1]), category=b"Zipkin"))) == 1


def test_what_a_third_partys_client_sent_of_a_linkerd_1_is_understood():
    reports = [
        Report(Signal.SCRIBE, Reader(frame).call().arguments, scribe_capture.SENT_NS, "10.0.0.5")
        for frame in (scribe_capture.CLIENT, scribe_capture.SERVER)
    ]
    client, server = rows(decode_group(reports, 1))
    assert (client["kind"], client["parent_id"]) == (3, server["span_id"])
    assert (client["attributes"]["peer.service"], client["duration_ns"]) == ("books", 39_000)
    assert (server["kind"], server["service"], server["http_status"]) == (2, "/svc/books", 200)
    assert server["attributes"]["client"] == "/#/io.l5d.fs/books"
    assert client["trace_id"] == server["trace_id"] == bytes(15) + b"\xaa"


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_whatever_bytes_come_nothing_but_a_refusal_is_raised(data):
    body = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = inspect(Signal.ZIPKIN_THRIFT, bytes(body), NOW_NS)
    except (Malformed, TooLarge):
        found = None
    decoded = decode(bytes(body), Signal.ZIPKIN_THRIFT)
    if found is None:
        assert [letter.reason for letter in decoded.dead] == ["unreadable"]
    else:
        stored = decoded.counts.get("spans", 0) - decoded.split
        assert stored + len(decoded.dead) == found.items
