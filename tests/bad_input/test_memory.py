"""A collector above its memory limit: no report is read, every check is answered."""

from collections.abc import Iterator

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo

from collector.frontends import als, otlp
from collector.frontends.envoy_ext_authz import PATH as CHECK
from collector.proto import envoy_pb2 as pb
from tests.bad_input.live import LiveCollector
from tests.bad_input.test_wire import POST, answered, status
from tests.collector.messages import http_logs, identifier, span, traces
from tests.collector.test_scribe import SPAN, Peer, head
from tests.collector.zipkin_bodies import log_call
from tests.waiting import eventually

TRY_LATER = {0: 1}


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[LiveCollector]:
    live = LiveCollector(tmp_path_factory.mktemp("collector"), redis_url, memory_soft_bytes=1)
    yield live
    live.kill()


@pytest.mark.parametrize(
    ("path", "protocol", "kind"),
    [
        (b"/v1/traces", "otlp_http", b"application/x-protobuf"),
        (b"/v1/metrics", "otlp_http", b"application/x-protobuf"),
        (b"/api/v2/spans", "zipkin", b"application/json"),
        (b"/api/v1/write", "remote_write", b"application/x-protobuf"),
    ],
)
def test_a_report_is_refused_before_its_body_comes(
    short: LiveCollector, path: bytes, protocol: str, kind: bytes
) -> None:
    counters = short.counters()
    headed = POST.replace(b"/v1/traces", path).replace(b"application/x-protobuf", kind)
    with short.connect() as connection:
        answer = answered(connection, headed + b"content-length: 10000000\r\n\r\n")
    assert status(answer) == 503
    assert b"\r\nretry-after: 1\r\n" in answer.lower()
    assert counters.moved("frontend_messages_dropped", protocol=protocol, reason="memory") == 1


def test_over_grpc_it_is_told_when_to_come_again(short: LiveCollector) -> None:
    counters = short.counters()
    with pytest.raises(grpc.RpcError) as refused:
        short.call(otlp.PATH, traces(span()))
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "of memory are in use" in refused.value.details()
    delay = RetryInfo.FromString(
        dict(refused.value.trailing_metadata())["google.rpc.retryinfo-bin"]
    ).retry_delay
    assert 1 <= delay.seconds + delay.nanos / 1e9 <= 1.5
    assert counters.moved("frontend_messages", protocol="otlp_grpc") == 1
    assert counters.moved("frontend_messages_dropped", protocol="otlp_grpc", reason="memory") == 1


def test_an_access_log_is_not_read_and_its_stream_stays(short: LiveCollector) -> None:
    counters = short.counters()
    log = http_logs(*(f"/{number}" for number in range(1000)), sender=identifier())
    call = short.channel.stream_unary(als.PATH).future(iter([log] * 200))
    eventually(lambda: counters.moved("frontend_waits", protocol="als") == 1)
    assert not call.done()
    assert counters.moved("frontend_messages", protocol="als") == 0
    call.cancel()


def test_scribe_says_try_later(short: LiveCollector) -> None:
    counters = short.counters()
    with Peer(short.settings.scribe) as peer:
        assert head(peer.call(log_call(SPAN)))[3] == TRY_LATER
    assert counters.moved("frontend_messages_dropped", protocol="scribe", reason="memory") == 1


def test_checks_are_answered(short: LiveCollector) -> None:
    answer = short.call(CHECK, pb.CheckRequest().SerializeToString())
    assert pb.CheckResponse.FromString(answer).status.code == 0
