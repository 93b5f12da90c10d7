"""Who is answered what while the outbox fills: the table of docs/pipeline.md, row by row."""

import os
import queue
from collections.abc import Iterator

import grpc
import httpx
import pytest
from google.rpc.error_details_pb2 import RetryInfo

from collector.decoders.thrift import Fields
from collector.frontends import als, otlp
from collector.frontends.envoy_ext_authz import PATH as CHECK
from collector.proto import envoy_pb2 as pb
from collector.store.client import Store
from tests import plain_http
from tests.bad_input.live import PROTOBUF, LiveCollector
from tests.collector.messages import http_logs, identifier, span, traces
from tests.collector.test_scribe import SPAN, Peer, head
from tests.collector.zipkin_bodies import fresh, json_body, log_call
from tests.conftest import ValkeyProcess
from tests.counters import samples
from tests.pipeline.processes import running
from tests.waiting import eventually

MIB = 1024 * 1024
MAX_BYTES = 8 * MIB
JSON = {"content-type": "application/json"}
TAKEN, TRY_LATER = {0: 0}, {0: 1}
ENVOY = {"user-agent": "OTel-OTLP-Exporter-Envoy/1.36.0"}


class Pressure:
    """A collector with a small outbox that nobody empties."""

    def __init__(self, collector: LiveCollector) -> None:
        self.collector = collector

    def post(self, **headers: str) -> httpx.Response:
        """A span of 200 KB, over OTLP's HTTP."""
        body = traces(span(name=os.urandom(100_000).hex()))
        return plain_http.post(
            f"{self.collector.url}/v1/traces", content=body, headers=PROTOBUF | headers, timeout=20
        )

    def fill(self, **headers: str) -> httpx.Response:
        """Until it is refused: the refusal."""
        for _ in range(2 * MAX_BYTES // 200_000):
            answer = self.post(**headers)
            if not answer.is_success:
                return answer
        raise AssertionError("it was never refused")

    def outbox(self) -> dict[str, object]:
        answer: dict[str, object] = plain_http.get(f"{self.collector.url}/api/v1/outbox").json()
        return answer

    def gauge(self, name: str) -> float:
        text = plain_http.get(f"{self.collector.url}/metrics").text
        return samples(text)[f"meshmeter_outbox_{name}", ()]

    def level(self) -> float:
        return self.gauge("used_bytes") / self.gauge("max_bytes")

    def waits(self, protocol: str) -> float:
        text = plain_http.get(f"{self.collector.url}/metrics").text
        name = ("meshmeter_frontend_waits_total", (("protocol", protocol),))
        return samples(text).get(name, 0)

    def scribes(self) -> Fields:
        """What a call of Scribe's is answered."""
        with Peer(self.collector.settings.scribe) as peer:
            return head(peer.call(log_call(SPAN)))[3]

    def a_check_is_answered(self) -> bool:
        answer = self.collector.channel.unary_unary(CHECK)(pb.CheckRequest().SerializeToString())
        return pb.CheckResponse.FromString(answer).status.code == 0


@pytest.fixture
def pressure(tmp_path, valkey: ValkeyProcess, store_url: str) -> Iterator[Pressure]:
    collector = LiveCollector(
        tmp_path,
        valkey.url,
        clickhouse_url=store_url,
        broker_url=valkey.url,
        outbox_max_bytes=MAX_BYTES,
    )
    yield Pressure(collector)
    collector.kill()


class AccessLog:
    """One stream of Envoy's, to which messages are added while it runs."""

    def __init__(self, collector: LiveCollector) -> None:
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        call = collector.channel.stream_unary(als.PATH)
        self.answer = call.future(iter(self._queue.get, None))
        self._queue.put(http_logs("/first", sender=identifier()))

    def send(self, path: str) -> None:
        self._queue.put(http_logs(path))

    def end(self) -> None:
        self._queue.put(None)


def test_while_it_fills_room_is_kept_for_those_who_never_send_again(pressure, store_url, tmp_path):
    assert pressure.outbox()["pressure"] == "none"
    refusal = pressure.fill()
    assert 0.7 <= pressure.level() < 0.8

    # From 70 % on: those who send again are told when.
    assert (refusal.status_code, refusal.headers["retry-after"]) == (503, "1")
    with pytest.raises(grpc.RpcError) as refused:
        pressure.collector.call(otlp.PATH, traces(span()))
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    trailers = dict(refused.value.trailing_metadata())
    delay = RetryInfo.FromString(trailers["google.rpc.retryinfo-bin"]).retry_delay
    assert 1 <= delay.seconds + delay.nanos / 1e9 <= 1.5
    assert "grpc-status-details-bin" in trailers

    assert pressure.scribes() == TRY_LATER

    # Zipkin's tracers never do, and are held for a while.
    before = pressure.waits("zipkin")
    url = f"{pressure.collector.url}/api/v2/spans"
    answer = plain_http.post(url, content=json_body(fresh()), headers=JSON, timeout=20)
    assert answer.status_code == 503
    assert pressure.waits("zipkin") >= before + 5

    # Access logs and Envoy's OTLP are taken, to 90 %.
    kept = pressure.collector.counters()
    stream = AccessLog(pressure.collector)
    eventually(lambda: kept.moved("frontend_items", protocol="als") == 1)
    assert pressure.outbox()["pressure"] == "soft"
    assert pressure.post(**ENVOY).is_success
    eventually(lambda: 0 < pressure.gauge("time_to_full_seconds") < 3600)
    assert pressure.outbox()["time_to_full_s"] > 0
    refusal = pressure.fill(**ENVOY)

    # From 90 % on: Envoy's OTLP is held and then refused, its access logs are not read.
    assert refusal.status_code == 503
    assert pressure.outbox()["pressure"] == "hard"
    assert 0.9 <= pressure.level() < 1
    assert pressure.waits("otlp_http") >= 5
    paths = [f"/{number:04d}/{'x' * 4000}" for number in range(200)]
    for path in paths:
        stream.send(path)
    eventually(lambda: pressure.waits("als") >= 3)
    assert kept.moved("frontend_items", protocol="als") == 1
    assert not stream.answer.done()
    assert pressure.a_check_is_answered()

    # A worker comes, and all goes on where it was.
    with running("worker", pressure.collector.settings, tmp_path):
        stream.end()
        assert stream.answer.result(60) is not None
        eventually(lambda: pressure.outbox()["pending_requests"] == 0, timeout_s=60)
    assert pressure.post().is_success
    assert pressure.scribes() == TAKEN
    assert pressure.outbox()["pressure"] == "none"
    with Store(store_url) as store:
        rows = store.rows("SELECT path FROM requests ORDER BY path")
    assert [path for (path,) in rows] == sorted(["/first", *paths])
