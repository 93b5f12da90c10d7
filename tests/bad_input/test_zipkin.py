"""Zipkin's spans that are wrong: the exact status, a message that helps, and nothing else lost."""

import gzip
import json
import struct
import time
from contextlib import suppress

import httpx
import pytest

from collector.frontends.zipkin import V1_PATH, V2_PATH
from tests import plain_http
from tests.bad_input import bodies
from tests.bad_input.live import MIB, LiveCollector
from tests.collector.zipkin_bodies import (
    fresh,
    json_body,
    log_arguments,
    log_call,
    proto_body,
    proto_span,
    thrift_body,
    thrift_mark,
    thrift_span,
)

JSON = V2_PATH, "application/json"
PROTOBUF = V2_PATH, "application/x-protobuf"
THRIFT = V1_PATH, "application/x-thrift"
TEXT, THRIFT_V2 = (V2_PATH, "text/plain"), (V2_PATH, THRIFT[1])
BAD, LARGE, OTHER = (400, "malformed"), (413, "too_large"), (415, "unsupported")
GZIP = {"content-encoding": "gzip"}
DAY_US = 86_400 * 10**6
RISE = 100 * MIB

GOOD = json_body(fresh())
GOOD_PROTO = proto_body(proto_span())
GOOD_THRIFT = thrift_body(thrift_span(thrift_mark("sr", 0)))


def post(
    collector: LiveCollector,
    body: bytes,
    way: tuple[str, str] = JSON,
    headers: dict[str, str] | None = None,
) -> httpx.Response:
    """`way`: the path and the content type."""
    path, content_type = way
    named = {"content-type": content_type} | (headers or {})
    return plain_http.post(collector.url + path, content=body, headers=named, timeout=60)


@pytest.mark.parametrize(
    ("way", "headers", "body", "answered", "words"),
    [
        pytest.param(*case[1:], id=case[0])
        for case in [
            ("JSON cut short", JSON, {}, GOOD[:-3], BAD, "not JSON"),
            ("protobuf cut short", PROTOBUF, {}, GOOD_PROTO[:-3], BAD, "ListOfSpans"),
            ("Thrift cut short", THRIFT, {}, GOOD_THRIFT[:-3], BAD, "too early"),
            ("noise as JSON", JSON, {}, bodies.NOISE, BAD, "JSON"),
            ("noise as protobuf", PROTOBUF, {}, bodies.NOISE, BAD, "ListOfSpans"),
            ("noise as Thrift", THRIFT, {}, bodies.NOISE, BAD, "Thrift"),
            ("JSON as protobuf", PROTOBUF, {}, GOOD, BAD, "ListOfSpans"),
            ("protobuf as JSON", JSON, {}, GOOD_PROTO, BAD, "not JSON"),
            ("an object", JSON, {}, b"{}", BAD, "not a JSON list"),
            ("a number that is none", JSON, {}, b"[NaN]", BAD, "not JSON"),
            ("2,000 lists in lists", JSON, {}, b"[" * 2000 + b"]" * 2000, BAD, "not JSON"),
            ("text", TEXT, {}, GOOD, OTHER, "'text/plain' is not spoken"),
            ("Thrift as version 2", THRIFT_V2, {}, GOOD_THRIFT, OTHER, "x-thrift"),
            ("brotli", JSON, {"content-encoding": "br"}, GOOD, OTHER, "'br'"),
            ("gzip cut short", JSON, GZIP, gzip.compress(GOOD)[:-6], BAD, "too early"),
            ("gzip and more", JSON, GZIP, gzip.compress(GOOD) + b"and more", BAD, "not gzip"),
            ("gzip twice", JSON, GZIP, gzip.compress(gzip.compress(GOOD)), BAD, "JSON"),
        ]
    ],
)
def test_a_body_that_cannot_be_read_is_refused_by_name(
    collector: LiveCollector,
    way: tuple[str, str],
    headers: dict[str, str],
    body: bytes,
    answered: tuple[int, str],
    words: str,
) -> None:
    counters = collector.counters()
    answer = post(collector, body, way, headers)
    status, reason = answered
    assert answer.status_code == status
    assert words in answer.json()["error"]
    assert counters.moved("frontend_messages", protocol="zipkin") == 1
    assert counters.moved("frontend_messages_dropped", protocol="zipkin", reason=reason) == 1
    assert counters.moved("reports") == 0


NOW_US = time.time_ns() // 1000


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(changes, id=name)
        for name, changes in {
            "a trace id of 3 bytes too many": {"traceId": "1" * 38},
            "a trace id of zeros": {"traceId": "0" * 32},
            "no span id": {"id": None},
            "a span id that is no hexadecimal": {"id": "xyz"},
            "1970": {"timestamp": 1},
            "milliseconds": {"timestamp": NOW_US // 1000},
            "nanoseconds": {"timestamp": NOW_US * 1000},
            "tomorrow": {"timestamp": NOW_US + DAY_US},
            "last year": {"timestamp": NOW_US - 400 * DAY_US},
            "the largest number": {"timestamp": 2**64 - 1},
            "an id that is a number": {"traceId": 5},
        }.items()
    ],
)
def test_a_span_that_cannot_be_right_is_counted_and_the_rest_is_kept(
    collector: LiveCollector, changes: dict[str, object]
) -> None:
    counters = collector.counters()
    body = json_body(fresh(), fresh(**changes), fresh())
    assert post(collector, body).status_code == 202
    assert counters.moved("frontend_items", protocol="zipkin") == 3
    assert counters.moved("frontend_items_dropped", protocol="zipkin") == 1
    assert counters.moved("reports", signal="zipkin-json") == 1
    alone = post(collector, json_body(fresh(**changes)))
    assert alone.status_code == 400
    assert "no span of the request can be stored" in alone.json()["error"]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(changes, id=name)
        for name, changes in {
            "a short trace id": {"traceId": "abc"},
            "no time": {"timestamp": None},
            "no service": {"localEndpoint": None},
            "no duration": {"duration": None},
            "its own parent": {"id": "5", "parentId": "5"},
            "half a character": {"name": "\ud800"},
            "a kind nobody knows": {"kind": "BOTH"},
            "10,000 tags": {"tags": {f"k{number}": "v" for number in range(10_000)}},
            "a tag of 1 MB": {"tags": {"k": "v" * 10**6}},
            "tags without a name": {"tags": {"": "v"}},
            "tags named like columns": {"tags": {"_group": "1", "service": "x"}},
            "markup": {"localEndpoint": {"serviceName": "<img src=x onerror=alert(1)>"}},
            "SQL": {"name": "'); DROP TABLE spans --"},
            "a field of 5,000 digits": {"extra": 10**4000},
            "version 1": {"binaryAnnotations": []},
        }.items()
    ],
)
def test_a_span_that_can_be_stored_is_taken(
    collector: LiveCollector, changes: dict[str, object]
) -> None:
    counters = collector.counters()
    assert post(collector, json_body(fresh(**changes))).status_code == 202
    assert counters.moved("frontend_items_dropped", protocol="zipkin") == 0
    assert counters.moved("reports", signal="zipkin-json") == 1


def test_one_id_twice_in_a_list_is_two_spans(collector: LiveCollector) -> None:
    counters = collector.counters()
    span = fresh()
    assert post(collector, json_body(span, span)).status_code == 202
    assert counters.moved("frontend_items", protocol="zipkin") == 2


def filled(unit: bytes) -> bytes:
    """A list of 15 MiB."""
    return b"[" + unit * (15 * MIB // len(unit)) + unit.rstrip(b",") + b"]"


def one_span(extra: bytes) -> bytes:
    return b"[" + json.dumps(fresh()).encode()[:-1] + b',"traceId":1,"extra":' + extra + b"}]"


EMOJI = "😀".encode() * 3 * MIB
TAGS = bodies.length_delimited(1, b"\x5a\0" * 2 * MIB)
PROTOBUF_SPANS = b"\x0a\x00" * 7 * MIB
BOOLEANS = b"\x0c\0\0\0\1\x0f\0\6\x02\0\xe0\0\0" + bytes(15 * MIB)


@pytest.mark.parametrize(
    ("way", "headers", "body", "answered"),
    [
        pytest.param(*case[1:], id=case[0])
        for case in [
            ("17 MiB", JSON, {}, bytes(17 * MIB), LARGE),
            ("200 MiB, zipped", JSON, GZIP, bodies.gzip_bomb(), LARGE),
            ("empty objects", JSON, {}, filled(b"{},"), LARGE),
            ("numbers", JSON, {}, filled(b"1,"), LARGE),
            ("smallest spans", JSON, {}, filled(b'{"traceId":"1","id":"2"},'), LARGE),
            ("lists in a span", JSON, {}, one_span(filled(b"[],")), LARGE),
            ("a long text in a span", JSON, {}, one_span(b'"' + EMOJI + b'"'), BAD),
            ("empty protobuf spans", PROTOBUF, {}, PROTOBUF_SPANS, LARGE),
            ("tags of one protobuf span", PROTOBUF, {}, TAGS, BAD),
            ("empty Thrift spans", THRIFT, {}, b"\x0c\0\xff\xff\xff" + bytes(15 * MIB), LARGE),
            ("Thrift booleans", THRIFT, {}, BOOLEANS, LARGE),
        ]
    ],
)
def test_a_bomb_is_refused_and_takes_little_memory(
    collector: LiveCollector,
    way: tuple[str, str],
    headers: dict[str, str],
    body: bytes,
    answered: tuple[int, str],
) -> None:
    counters, resident = collector.counters(), collector.reset_peak()
    status, reason = answered
    assert post(collector, body, way, headers).status_code == status
    assert collector.peak() - resident <= RISE
    assert counters.moved("frontend_messages_dropped", protocol="zipkin", reason=reason) == 1
    assert counters.moved("reports") == 0


# --- Scribe


def called(collector: LiveCollector, frame: bytes) -> bytes:
    """The answer to it, "" when there is none but the end of the connection."""
    with collector.connect(collector.settings.scribe) as connection:
        connection.sendall(struct.pack(">I", len(frame)) + frame)
        head = connection.recv(4, 0x100)  # MSG_WAITALL
        return connection.recv(struct.unpack(">I", head)[0], 0x100) if head else b""


@pytest.mark.parametrize(
    ("frame", "words", "reason"),
    [
        pytest.param(*case[1:], id=case[0])
        for case in [
            ("noise", bodies.NOISE, b"Thrift", "malformed"),
            ("nothing", b"", b"too early", "malformed"),
            ("a call cut short", log_call(thrift_span())[:-5], b"too early", "malformed"),
            ("another method", log_call(name=b"Nuke"), b"'Nuke' is not known", "unsupported"),
            (
                "100,001 entries",
                log_call()[: -len(log_arguments())] + log_arguments(*[b""] * 100_001),
                b"100000 entries",
                "too_large",
            ),
            (
                "15 million entries",
                log_call()[: -len(log_arguments())]
                + b"\x0f\0\1\x0c\0\xf0\0\0"
                + bytes(0xF00000 + 1),
                b"1000000 values",
                "too_large",
            ),
        ]
    ],
)
def test_a_frame_that_is_no_log_call_is_answered_with_the_reason(
    collector: LiveCollector, frame: bytes, words: bytes, reason: str
) -> None:
    counters, resident = collector.counters(), collector.reset_peak()
    answer = called(collector, frame)
    assert answer[:4] == b"\x80\x01\0\3"  # an exception
    assert words in answer
    assert collector.peak() - resident <= RISE
    assert counters.moved("frontend_messages_dropped", protocol="scribe", reason=reason) == 1
    assert counters.moved("reports") == 0


@pytest.mark.parametrize(
    "start",
    [b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"GET / HTTP/1.1\r\n\r\n", log_call(thrift_span())],
    ids=["a length of 2 GiB", "a negative length", "HTTP", "no frame around it"],
)
def test_what_cannot_be_the_length_of_a_frame_ends_the_connection(
    collector: LiveCollector, start: bytes
) -> None:
    counters = collector.counters()
    with collector.connect(collector.settings.scribe) as connection:
        connection.sendall(start)
        with suppress(ConnectionResetError):
            assert connection.recv(1) == b""
    assert counters.moved("frontend_messages_dropped", protocol="scribe", reason="too_large") == 1
    assert called(collector, log_call(thrift_span(thrift_mark("sr", 0)))).endswith(b"\0\0\0\0\0")


def test_a_message_that_is_no_span_does_not_keep_the_others_out(collector: LiveCollector) -> None:
    counters = collector.counters()
    frame = log_call()[: -len(log_arguments())] + log_arguments(b"not base64!", b"=")
    assert called(collector, frame).endswith(b"\0\0\0\0\0")
    assert counters.moved("reports", signal="scribe") == 1
    assert counters.moved("frontend_items", protocol="scribe") == 2
