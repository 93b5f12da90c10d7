"""Zipkin over HTTP: what is answered, and what reaches the outbox."""

import gzip
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from collector.frontends import zipkin
from collector.model import Signal
from collector.settings import Settings
from tests import plain_http
from tests.collector.keeping import MIB, Keeping
from tests.collector.zipkin_bodies import (
    NOW_US,
    fresh,
    json_body,
    mark,
    proto_body,
    proto_span,
    thrift_body,
    thrift_mark,
    thrift_span,
    v1,
    v2,
)
from tests.counters import Counters
from tests.transport.serving import serving
from tests.waiting import eventually

SETTINGS = Settings(max_body_bytes=MIB)
V1, V2 = "/api/v1/spans", "/api/v2/spans"
JSON, PROTOBUF, THRIFT = "application/json", "application/x-protobuf", "application/x-thrift"


class Sender:
    def __init__(self, address: str) -> None:
        self.url = f"http://{address}"

    def post(
        self, body: bytes, path: str = V2, content_type: str = JSON, **headers: str
    ) -> httpx.Response:
        named = {"content-type": content_type} if content_type else {}
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        return plain_http.post(self.url + path, content=body, headers=named | more)


@pytest.fixture
def sender(keeping: Keeping) -> Iterator[Sender]:
    with serving({}, zipkin.http_routes(keeping.services, SETTINGS)) as server:
        yield Sender(server.address)


@pytest.mark.parametrize(
    ("path", "content_type", "body", "signal"),
    [
        (V2, JSON, json_body(v2()), Signal.ZIPKIN_JSON),
        (V2, "", json_body(v2()), Signal.ZIPKIN_JSON),
        (V2, "Application/JSON; charset=utf-8", json_body(v2()), Signal.ZIPKIN_JSON),
        (V2, PROTOBUF, proto_body(proto_span()), Signal.ZIPKIN_PROTO),
        (V1, JSON, json_body(v1(mark("sr", 0))), Signal.ZIPKIN_JSON_V1),
        (V1, THRIFT, thrift_body(thrift_span(thrift_mark("sr", 0))), Signal.ZIPKIN_THRIFT),
    ],
)
def test_an_accepted_body_is_in_the_outbox_as_it_was_sent(
    sender, keeping, path, content_type, body, signal
):
    before_ns = time.time_ns()
    answer = sender.post(body, path, content_type, x_mesh_node="cart-1.shop")
    assert (answer.status_code, answer.content) == (202, b"")
    (report,) = keeping.reports()
    assert (report.signal, report.body, report.identity) == (signal, body, "cart-1.shop")
    assert before_ns <= report.received_ns <= time.time_ns()


@pytest.mark.parametrize(
    ("path", "content_type", "body"),
    [(V2, JSON, b""), (V2, JSON, b" [ ] "), (V2, PROTOBUF, b""), (V1, THRIFT, thrift_body())],
)
def test_a_list_of_nothing_is_accepted_and_not_stored(sender, keeping, path, content_type, body):
    assert sender.post(body, path, content_type).status_code == 202
    assert keeping.reports() == []


def test_gzip_is_stored_decompressed(sender, keeping):
    body = json_body(v2())
    assert sender.post(gzip.compress(body), content_encoding="gzip").status_code == 202
    assert [report.body for report in keeping.reports()] == [body]


def test_a_request_with_one_good_span_is_accepted(sender, keeping):
    assert sender.post(json_body(v2(id="x"), v2(), v2(tags=1))).status_code == 202
    assert len(keeping.reports()) == 1


def test_a_request_without_a_good_span_is_refused_with_the_reasons(sender, keeping):
    answer = sender.post(json_body(v2(id="x"), v2(traceId=""), v2(timestamp=NOW_US // 1000)))
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert all(words in error for words in ("a span id is", "a trace id is", "before the year"))
    assert keeping.reports() == []


@pytest.mark.parametrize(
    ("path", "content_type", "body", "words"),
    [
        (V2, JSON, b"{}", "not a JSON list"),
        (V2, JSON, b'[{"traceId"', "not JSON"),
        (V2, JSON, proto_body(proto_span()), "not JSON"),
        (V2, PROTOBUF, json_body(v2()), "not a ListOfSpans"),
        (V1, JSON, thrift_body(thrift_span()), "not JSON"),
        (V1, THRIFT, json_body(v1()), "not a Thrift list"),
    ],
)
def test_what_cannot_be_read_is_refused_and_says_why(
    sender, keeping, path, content_type, body, words
):
    answer = sender.post(body, path, content_type)
    assert answer.status_code == 400
    assert words in answer.json()["error"]
    assert keeping.reports() == []


@pytest.mark.parametrize(
    ("path", "content_type"), [(V2, "text/plain"), (V2, THRIFT), (V1, PROTOBUF)]
)
def test_other_content_types_are_told_what_to_send(sender, path, content_type):
    answer = sender.post(json_body(v2()), path, content_type)
    assert answer.status_code == 415
    error = answer.json()["error"]
    assert content_type in error
    assert JSON in error


def test_another_encoding_is_refused_by_name(sender):
    answer = sender.post(json_body(v2()), content_encoding="br")
    assert (answer.status_code, answer.headers["accept-encoding"]) == (415, "gzip, zstd")


def test_a_larger_body_is_refused(sender, keeping):
    assert sender.post(json_body(v2(name="x" * MIB))).status_code == 413
    assert keeping.reports() == []


def test_a_long_body_is_looked_through_as_well(sender, keeping):
    body = json_body(*(fresh() for _ in range(2000)), v2(id="x"))
    assert len(body) > zipkin.LONG_BODY
    counters = Counters()
    assert sender.post(body).status_code == 202
    assert counters.moved("frontend_items", protocol="zipkin") == 2001
    assert counters.moved("frontend_items_dropped", protocol="zipkin") == 1


def test_only_post_is_a_method_of_version_one(sender):
    answer = plain_http.get(sender.url + V1)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert V1 in answer.json()["error"]


def test_other_methods_of_version_two_are_left_to_the_read_api(sender):
    assert plain_http.get(sender.url + V2).status_code == 404  # there is none behind this door


def test_messages_and_spans_add_up(sender, keeping):
    counters = Counters()
    good = json_body(v2(), v2(id="x"))
    for body in (good, b"", b"{}"):
        sender.post(body)
    sender.post(good, content_type="text/plain")

    def moved(name: str, **labels: str) -> float:
        return counters.moved(f"frontend_{name}", protocol="zipkin", **labels)

    assert moved("messages") == 4
    reasons = ("empty", "malformed", "unsupported")
    assert [moved("messages_dropped", reason=reason) for reason in reasons] == [1, 1, 1]
    assert moved("messages") - moved("messages_dropped") == len(keeping.reports())
    assert (moved("items"), moved("items_dropped"), moved("bytes")) == (2, 1, len(good))


def big(number: int) -> bytes:
    return json_body(v2(name=f"{number} " + "x" * 300_000))


@pytest.fixture
def full(tmp_path: Path) -> Iterator[tuple[Keeping, Sender]]:
    """A collector whose outbox takes nothing more."""
    keeping = Keeping(tmp_path / "small", max_bytes=2 * MIB)
    with serving({}, zipkin.http_routes(keeping.services, SETTINGS)) as server:
        sender, number = Sender(server.address), 1
        while plain_http.post(sender.url + V2, content=big(number), timeout=10).status_code == 202:
            number += 1
        yield keeping, sender
    keeping.outbox.close()


def test_while_the_outbox_is_full_senders_are_told_to_try_again(full):
    _, sender = full
    counters = Counters()
    answer = plain_http.post(sender.url + V2, content=big(0), timeout=10)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert counters.moved("frontend_messages_dropped", protocol="zipkin", reason="overloaded") == 1
    assert counters.moved("frontend_waits", protocol="zipkin") > 1


def test_a_request_waits_for_room_in_the_outbox(full):
    keeping, sender = full
    counters = Counters()
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(httpx.post, sender.url + V2, content=big(0), timeout=10)
        eventually(lambda: counters.moved("frontend_waits", protocol="zipkin"))
        found = keeping.reports()  # it may be among them: there is room as soon as one has gone
        assert answer.result().status_code == 202
    found += keeping.reports()
    assert [report.body for report in found].count(big(0)) == 1
