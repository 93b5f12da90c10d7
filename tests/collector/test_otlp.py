"""OTLP traces, however sent: what is answered, and what reaches the outbox."""

import gzip
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import httpx
import pytest
from google.protobuf.json_format import Parse
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from collector.frontends import otlp
from collector.model import Signal
from collector.settings import Settings
from collector.transport.grpc import StatusCode
from tests import plain_http
from tests.collector.keeping import Keeping
from tests.collector.messages import rejected, span, traces
from tests.collector.otlp_messages import as_json
from tests.counters import Counters
from tests.transport.serving import serving

MIB = 1024 * 1024
DAY_NS = 86_400 * 10**9
SETTINGS = Settings(max_body_bytes=MIB)
TYPE = {"content-type": "application/x-protobuf"}
JSON = {"content-type": "application/json"}

Send = Callable[[bytes], bytes]


class Sender:
    def __init__(self, address: str) -> None:
        self.url = f"http://{address}/v1/traces"
        self.channel = grpc.insecure_channel(address)

    def post(self, body: bytes, headers: dict[str, str] = TYPE) -> httpx.Response:
        return plain_http.post(self.url, content=body, headers=headers)

    def over_http(self, body: bytes) -> bytes:
        return self.post(body, TYPE | {"x-mesh-node": "cart-1.shop"}).raise_for_status().content

    def in_json(self, body: bytes) -> bytes:
        """The same in JSON, and the answer back."""
        text = as_json(ExportTraceServiceRequest.FromString(body))
        answer = self.post(text, JSON | {"x-mesh-node": "cart-1.shop"}).raise_for_status()
        assert answer.headers["content-type"] == JSON["content-type"]
        return Parse(answer.text, ExportTraceServiceResponse()).SerializeToString()

    def over_grpc(self, body: bytes) -> bytes:
        metadata = (("x-mesh-node", "cart-1.shop"),)
        return self.channel.unary_unary(otlp.PATH)(body, metadata=metadata)


@pytest.fixture
def sender(keeping: Keeping) -> Iterator[Sender]:
    with serving(
        otlp.grpc_methods(keeping.services, SETTINGS), otlp.http_routes(keeping.services, SETTINGS)
    ) as server:
        sender = Sender(server.address)
        yield sender
        sender.channel.close()


@pytest.fixture(params=["over_http", "in_json", "over_grpc"])
def send(request: pytest.FixtureRequest, sender: Sender) -> Send:
    found: Send = getattr(sender, request.param)
    return found


def test_an_answered_body_is_in_the_outbox_as_it_was_sent(send, sender, keeping):
    before_ns, body = time.time_ns(), traces(span())
    assert send(body) == b""
    (report,) = keeping.reports()
    if send == sender.in_json:
        body = as_json(ExportTraceServiceRequest.FromString(body))
        assert (report.signal, report.body) == (Signal.OTLP_TRACES_JSON, body)
    else:
        assert (report.signal, report.body) == (Signal.OTLP_TRACES, body)
    assert report.identity == "cart-1.shop"
    assert before_ns <= report.received_ns <= time.time_ns()


def test_an_unnamed_sender_is_known_by_its_address(sender, keeping):
    sender.post(traces(span())).raise_for_status()
    sender.channel.unary_unary(otlp.PATH)(traces(span()))
    assert [report.identity for report in keeping.reports()] == ["127.0.0.1"] * 2


def test_an_empty_request_is_answered_and_not_stored(send, keeping):
    assert (send(b""), send(traces())) == (b"", b"")
    assert keeping.reports() == []


def test_gzip_is_stored_decompressed(sender, keeping):
    first, second = traces(span()), traces(span())
    gzipped = sender.post(gzip.compress(first), TYPE | {"content-encoding": "gzip"})
    assert gzipped.status_code == 200
    sender.channel.unary_unary(otlp.PATH)(second, compression=grpc.Compression.Gzip)
    assert [report.body for report in keeping.reports()] == [first, second]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"trace_id": b"abc"}, "trace_id"),
        ({"trace_id": bytes(16)}, "trace_id"),
        ({"span_id": b""}, "span_id"),
        ({"span_id": bytes(8)}, "span_id"),
        ({"start_time_unix_nano": 0}, "start"),
        ({"start_time_unix_nano": time.time_ns() + DAY_NS}, "start"),
        ({"start_time_unix_nano": time.time_ns() - 400 * DAY_NS}, "start"),
        ({"start_time_unix_nano": 2**64 - 1}, "start"),
    ],
    ids=[
        "trace id of 3 bytes",
        "trace id of zeros",
        "no span id",
        "span id of zeros",
        "no time",
        "tomorrow",
        "long ago",
        "largest time",
    ],
)
def test_a_span_that_cannot_be_right_is_told_and_the_rest_is_kept(send, keeping, changes, named):
    count, reason = rejected(send(traces(span(), span(**changes), span())))
    assert count == 1
    assert named in reason
    assert len(keeping.reports()) == 1


def test_no_more_than_three_reasons_are_told(send):
    bad = [{"trace_id": b"abc"}, {"span_id": b"abc"}, {"start_time_unix_nano": 0}]
    bad += [{"start_time_unix_nano": time.time_ns() + DAY_NS}, {"trace_id": b"abcd"}]
    count, reasons = rejected(send(traces(*[span(**changes) for changes in bad])))
    assert count == len(bad)
    assert len(reasons.split("; ")) == 3


def test_what_cannot_be_read_is_refused_in_the_encoding_of_the_request(sender, keeping):
    answer = sender.post(b"\xff")
    assert (answer.status_code, answer.headers["content-type"]) == (400, TYPE["content-type"])
    status = Status.FromString(answer.content)
    assert status.code == StatusCode.INVALID_ARGUMENT
    assert "ExportTraceServiceRequest" in status.message
    with pytest.raises(grpc.RpcError) as refused:
        sender.over_grpc(b"\xff")
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.value.details() == status.message
    assert keeping.reports() == []


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"content-type": "text/plain; charset=utf-8"}, "content type 'text/plain'"),
        ({}, "a missing content type"),
    ],
    ids=["text", "none"],
)
def test_other_content_types_are_told_what_to_send(sender, headers, message):
    answer = sender.post(b"{}", headers)
    status = Parse(answer.text, Status())
    assert answer.status_code == 415
    assert status.message.startswith(message)
    assert status.message.endswith("send application/x-protobuf or application/json")


@pytest.mark.parametrize(
    ("body", "content_type"),
    [(b"", "Application/X-Protobuf; v=1"), (b"{}", "Application/JSON; charset=utf-8")],
)
def test_a_parameter_of_the_content_type_is_ignored(sender, body, content_type):
    answer = sender.post(body, {"content-type": content_type})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == content_type.partition(";")[0].lower()


def test_an_answer_in_json_is_what_the_specification_says(sender):
    assert sender.post(b"{}", JSON).json() == {}
    refused = as_json(ExportTraceServiceRequest.FromString(traces(span(trace_id=b"abc"))))
    partial = sender.post(refused, JSON).json()["partialSuccess"]
    assert partial["rejectedSpans"] == "1"  # 64 bits: a string
    assert "trace_id" in partial["errorMessage"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", traces(span()), b'{"resourceSpans":{}}'])
def test_what_is_no_request_in_json_is_refused_in_json(sender, keeping, body):
    answer = sender.post(body, JSON)
    assert (answer.status_code, answer.headers["content-type"]) == (400, JSON["content-type"])
    status = answer.json()
    assert status["code"] == StatusCode.INVALID_ARGUMENT
    assert "not an ExportTraceServiceRequest in JSON" in status["message"]
    assert keeping.reports() == []


def test_only_post_is_a_method(sender):
    answer = plain_http.get(sender.url)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_a_larger_body_is_refused_and_not_to_be_sent_again(sender, keeping):
    body = traces(span(name="x" * MIB))
    answer = sender.post(body)
    assert answer.status_code == 413
    assert str(MIB) in Status.FromString(answer.content).message
    with pytest.raises(grpc.RpcError) as refused:
        sender.over_grpc(body)
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert str(MIB) in refused.value.details()
    assert "google.rpc.retryinfo-bin" not in dict(refused.value.trailing_metadata())
    assert keeping.reports() == []


def test_while_the_outbox_is_full_senders_are_told_to_try_again(tmp_path: Path):
    keeping = Keeping(tmp_path / "small", max_bytes=2 * MIB)
    with serving(
        otlp.grpc_methods(keeping.services, SETTINGS), otlp.http_routes(keeping.services, SETTINGS)
    ) as server:
        sender = Sender(server.address)
        answer = httpx.Response(200)
        while answer.status_code == 200:
            answer = sender.post(traces(span(name="x" * 300_000)))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert Status.FromString(answer.content).code == StatusCode.UNAVAILABLE
        large = ExportTraceServiceRequest.FromString(traces(span(name="x" * 300_000)))
        answer = sender.post(as_json(large), JSON)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert answer.json()["code"] == StatusCode.UNAVAILABLE
        with pytest.raises(grpc.RpcError) as refused:
            sender.over_grpc(traces(span(name="x" * 300_000)))
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        retry = dict(refused.value.trailing_metadata())["google.rpc.retryinfo-bin"]
        assert RetryInfo.FromString(retry).retry_delay.seconds == 1
        assert keeping.reports() != []
        assert sender.over_grpc(traces(span(name="x" * 300_000))) == b""
        sender.channel.close()
    keeping.outbox.close()


def test_messages_and_spans_add_up(sender, keeping):
    counters = Counters()
    bodies = [traces(span(), span(trace_id=b"abc")), traces(span()), b"", b"\xff"]
    for body in bodies:
        sender.post(body)
    sender.post(b"", {})

    def moved(name: str, **labels: str) -> float:
        return counters.moved(f"frontend_{name}", protocol="otlp_http", **labels)

    assert moved("messages") == 5
    reasons = ("empty", "malformed", "unsupported")
    assert [moved("messages_dropped", reason=reason) for reason in reasons] == [1, 1, 1]
    assert moved("messages") - moved("messages_dropped") == len(keeping.reports())
    assert (moved("items"), moved("items_dropped")) == (3, 1)
    assert moved("bytes") == len(bodies[0]) + len(bodies[1])
