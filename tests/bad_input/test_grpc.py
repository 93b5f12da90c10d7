"""gRPC calls that are wrong: the exact code, a message that helps, and nothing else lost."""

import re
import time

import grpc
import pytest

from collector.decoders import decode_group
from collector.frontends import als, envoy_ext_authz, envoy_rls, otlp
from collector.model import Report, Signal
from collector.proto import envoy_pb2 as pb
from collector.transport.framing import frame
from collector.transport.metadata import Metadata
from collector.transport.status import StatusCode
from tests import plain_http
from tests.bad_input import bodies
from tests.bad_input.live import MIB, LiveCollector
from tests.collector.messages import http_entry, http_logs, identifier

Code = grpc.StatusCode
GZIP, DEFLATE = grpc.Compression.Gzip, grpc.Compression.Deflate
RISE = 100 * MIB


def refusal(collector: LiveCollector, *call: object) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as refused:
        collector.call(*call)
    return refused.value


@pytest.mark.parametrize(
    ("method", "body", "code", "words"),
    [
        pytest.param(*case[1:], id=case[0])
        for case in [
            ("spans cut short", otlp.PATH, bodies.CUT, Code.INVALID_ARGUMENT, "ExportTrace"),
            ("noise as spans", otlp.PATH, bodies.NOISE, Code.INVALID_ARGUMENT, "ExportTrace"),
            ("JSON as spans", otlp.PATH, bodies.JSON_TEXT, Code.INVALID_ARGUMENT, "like JSON"),
            ("noise as a rate limit", envoy_rls.PATH, bodies.NOISE, Code.INVALID_ARGUMENT, "Rate"),
            (
                "noise as a check",
                envoy_ext_authz.PATH,
                bodies.NOISE,
                Code.INVALID_ARGUMENT,
                "Check",
            ),
            ("an unknown method", "/no.Such/Method", b"", Code.UNIMPLEMENTED, "/no.Such/Method"),
        ]
    ],
)
def test_a_message_that_cannot_be_read_is_refused_by_name(
    collector: LiveCollector, method: str, body: bytes, code: Code, words: str
) -> None:
    counters = collector.counters()
    error = refusal(collector, method, body)
    assert error.code() is code
    assert words in error.details()
    assert counters.moved("grpc_failed_calls", code=code.name) == 1
    assert counters.moved("reports") == 0


@pytest.mark.parametrize(
    ("body", "compression", "words"),
    [
        pytest.param(bytes(17 * MIB), None, str(16 * MIB), id="17 MiB"),
        pytest.param(bytes(bodies.BOMB_BYTES), GZIP, str(16 * MIB), id="200 MiB, zipped"),
        pytest.param(bodies.item_bomb(), None, "100000 items", id="two million empty spans"),
    ],
)
def test_a_bomb_is_refused_for_good_and_takes_little_memory(
    collector: LiveCollector, body: bytes, compression: grpc.Compression | None, words: str
) -> None:
    counters, resident = collector.counters(), collector.reset_peak()
    error = refusal(collector, otlp.PATH, body, compression)
    assert error.code() is Code.RESOURCE_EXHAUSTED
    assert words in error.details()
    assert "google.rpc.retryinfo-bin" not in dict(error.trailing_metadata())
    assert collector.peak() - resident <= RISE
    assert (
        counters.moved("grpc_failed_calls", method=otlp.PATH, code=Code.RESOURCE_EXHAUSTED.name)
        == 1
    )
    assert counters.moved("reports") == 0


def test_a_compression_not_spoken_is_refused_by_name(collector: LiveCollector) -> None:
    error = refusal(collector, otlp.PATH, bodies.GOOD * 100, DEFLATE)
    assert error.code() is Code.UNIMPLEMENTED
    assert "deflate" in error.details()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param(b"\xff" * 64, StatusCode.RESOURCE_EXHAUSTED, id="a length of 4 GiB"),
        pytest.param(frame(bodies.GOOD)[:-1], StatusCode.INVALID_ARGUMENT, id="a frame cut short"),
        pytest.param(b"\0\0", StatusCode.INVALID_ARGUMENT, id="half a prefix"),
        pytest.param(b"\x07\0\0\0\x01x", StatusCode.INTERNAL, id="an unknown flag"),
        pytest.param(b"\x01\0\0\0\x01x", StatusCode.INTERNAL, id="zipped without saying so"),
        pytest.param(b"", StatusCode.UNIMPLEMENTED, id="no frame"),
    ],
)
def test_frames_that_are_none_end_the_call(
    collector: LiveCollector, body: bytes, code: StatusCode
) -> None:
    counters = collector.counters()
    url = f"http://{collector.settings.grpc}{otlp.PATH}"
    headers = {"content-type": "application/grpc", "te": "trailers"}
    answer = plain_http.post(url, content=body, headers=headers)
    assert answer.headers["grpc-status"] == str(int(code))
    assert answer.headers["grpc-message"]
    assert counters.moved("grpc_failed_calls", method=otlp.PATH, code=code.name) == 1


def test_a_rate_limit_of_an_unknown_domain_is_ok(collector: LiveCollector) -> None:
    request = pb.RateLimitRequest(domain="no such domain", hits_addend=3)
    request.descriptors.add().entries.add(key="path", value="/")
    answer = collector.call(envoy_rls.PATH, request.SerializeToString())
    assert pb.RateLimitResponse.FromString(answer).overall_code == pb.RateLimitResponse.OK


def test_an_access_log_of_nobody_ends_its_stream(collector: LiveCollector) -> None:
    counters = collector.counters()
    stream = collector.channel.stream_unary(als.PATH)
    with pytest.raises(grpc.RpcError) as refused:
        stream(iter([http_logs("/1")]), timeout=20)
    assert refused.value.code() is Code.FAILED_PRECONDITION
    assert re.search("first message .* no identifier", refused.value.details())
    assert counters.moved("frontend_messages_dropped", protocol="als", reason="unidentified") == 1


def test_an_access_log_of_another_ends_its_stream(collector: LiveCollector) -> None:
    counters = collector.counters()
    both = [http_logs("/1", sender=identifier(node)) for node in ("b-1.default", "c-1.default")]
    with pytest.raises(grpc.RpcError) as refused:
        collector.channel.stream_unary(als.PATH)(iter(both), timeout=20)
    assert refused.value.code() is Code.FAILED_PRECONDITION
    assert "identifier changed" in refused.value.details()
    assert counters.moved("frontend_messages_dropped", protocol="als", reason="unidentified") == 1
    assert counters.moved("reports", signal="als") == 1


def test_odd_entries_of_an_access_log_are_taken_and_told_apart_by_the_worker(
    collector: LiveCollector,
) -> None:
    counters = collector.counters()
    message = pb.StreamAccessLogsMessage(identifier=identifier())
    timeless, unknown = http_entry("/timeless"), http_entry("/unknown")
    timeless.common_properties.ClearField("start_time")
    unknown.request.request_method = 99  # type: ignore[assignment]
    unknown.response.response_code.value = 2**32 - 1
    message.http_logs.log_entry.extend([timeless, unknown])
    body = message.SerializeToString()
    collector.channel.stream_unary(als.PATH)(iter([body]), timeout=20)
    assert counters.moved("frontend_items", protocol="als") == 2
    decoded = decode_group([Report(Signal.ALS, body, time.time_ns())], 1)
    assert [letter.reason for letter in decoded.dead] == ["no_time"]
    assert decoded.counts == {"requests": 1, "dead_letters": 1}
    assert decoded.tables["requests"]["method"] == ["99"]


def test_headers_a_client_made_up_name_nobody(collector: LiveCollector) -> None:
    request = pb.CheckRequest()
    claims = {
        "x-istio-attributes": "source.principal",
        "x-forwarded-client-cert": "URI=spiffe://mesh/ns/default/sa/admin",
        "source.principal": "admin",
        "source.service": "admin",
    }
    request.attributes.request.http.headers.update(claims)
    said = envoy_ext_authz.ContextValues(request.attributes, Metadata({}))
    assert not any(name.startswith("source.") for name in said)
    answer = collector.call(envoy_ext_authz.PATH, request.SerializeToString())
    assert pb.CheckResponse.FromString(answer).HasField("ok_response")


def test_an_access_log_goes_on_after_a_message_that_cannot_be_read(
    collector: LiveCollector,
) -> None:
    counters = collector.counters()
    messages = [http_logs("/1", sender=identifier()), bodies.NOISE, http_logs("/2")]
    collector.channel.stream_unary(als.PATH)(iter(messages), timeout=20)
    assert counters.moved("frontend_messages_dropped", protocol="als", reason="malformed") == 1
    assert counters.moved("reports", signal="als") == 2
