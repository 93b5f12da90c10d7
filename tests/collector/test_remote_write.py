"""Prometheus remote write over HTTP: what is answered, and what reaches the outbox."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from collector.frontends import remote_write
from collector.model import Signal
from collector.settings import Settings
from tests import plain_http
from tests.collector.keeping import MIB, Keeping
from tests.collector.write_requests import (
    histogram,
    sample,
    series,
    snappy,
    version_1,
    version_2,
)
from tests.counters import Counters
from tests.transport.serving import serving

SETTINGS = Settings(max_body_bytes=MIB)
V1 = "application/x-protobuf"
V1_NAMED = "application/x-protobuf;proto=prometheus.WriteRequest"
V2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request"
WRITTEN = "x-prometheus-remote-write-{}-written"


class Sender:
    def __init__(self, address: str) -> None:
        self.url = f"http://{address}/api/v1/write"

    def post(self, body: bytes, content_type: str = V1, encoding: str = "snappy") -> httpx.Response:
        """`body` is on the wire as it is."""
        headers = {"content-type": content_type, "content-encoding": encoding}
        told = {name: value for name, value in headers.items() if value}
        return plain_http.post(
            self.url, content=body, headers=told | {"x-mesh-node": "prometheus-0"}
        )

    def send(self, body: bytes, content_type: str = V1) -> httpx.Response:
        return self.post(snappy(body), content_type)


@pytest.fixture
def sender(keeping: Keeping) -> Iterator[Sender]:
    with serving({}, remote_write.http_routes(keeping.services, SETTINGS)) as server:
        yield Sender(server.address)


def written(answer: httpx.Response) -> list[str | None]:
    kinds = ("samples", "histograms", "exemplars")
    return [answer.headers.get(WRITTEN.format(kind)) for kind in kinds]


@pytest.mark.parametrize(
    ("content_type", "body", "signal"),
    [
        (V1, version_1(series("a", sample(1))), Signal.REMOTE_WRITE),
        (V1_NAMED, version_1(series("a", sample(1))), Signal.REMOTE_WRITE),
        (V2, version_2(series("a", sample(1))), Signal.REMOTE_WRITE_V2),
        (
            V2.replace(";proto=", "; Proto = "),
            version_2(series("a", sample(1))),
            Signal.REMOTE_WRITE_V2,
        ),
    ],
)
def test_an_accepted_request_is_in_the_outbox_as_it_was_sent(
    sender, keeping, content_type, body, signal
):
    answer = sender.send(body, content_type)
    assert (answer.status_code, answer.content) == (204, b"")
    (report,) = keeping.reports()
    assert (report.signal, report.body, report.identity) == (signal, body, "prometheus-0")


@pytest.mark.parametrize("content_type", [V1, V2])
def test_a_request_without_samples_is_accepted_and_not_stored(sender, keeping, content_type):
    assert sender.send(b"", content_type).status_code == 204
    assert keeping.reports() == []


def test_version_2_is_told_how_many_were_written(sender):
    body = version_2(series("a", sample(1), sample(2)), series("b", histograms=(histogram(),)))
    answer = sender.send(body, V2)
    assert (answer.status_code, written(answer)) == (204, ["2", "1", "0"])
    assert written(sender.send(version_1(series("c", sample(1))))) == [None, None, None]


@pytest.mark.parametrize("content_type", [V1, V2])
def test_what_can_never_be_stored_is_told_and_the_rest_is_kept(sender, keeping, content_type):
    make = version_2 if content_type == V2 else version_1
    answer = sender.send(make(series("a", sample(1), sample(2, 0))), content_type)
    assert answer.status_code == 400
    assert "1 of 2 samples can never be stored: time 0 ns is before" in answer.json()["error"]
    assert written(answer) == (["1", "0", "0"] if content_type == V2 else [None] * 3)
    assert len(keeping.reports()) == 1


def test_a_request_without_a_good_sample_is_not_kept(sender, keeping):
    answer = sender.send(version_1(series("a", sample(1, 0)), series("", sample(1))))
    assert answer.status_code == 400
    assert "2 of 2 samples" in answer.json()["error"]
    assert "__name__" in answer.json()["error"]
    assert keeping.reports() == []


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not snappy"),
        (version_1(series("a", sample(1))), "not snappy"),
        (snappy(version_1(series("a", sample(1))))[:-3], "not snappy"),
        (snappy(b"{}"), "not a write request"),
        (snappy(b"\xff" * 20), "not a write request"),
    ],
    ids=["nothing", "not compressed", "cut short", "JSON", "noise"],
)
def test_what_cannot_be_read_is_refused_and_says_why(sender, keeping, body, words):
    answer = sender.post(body)
    assert answer.status_code == 400
    assert words in answer.json()["error"]
    assert keeping.reports() == []


@pytest.mark.parametrize(
    ("content_type", "encoding"),
    [
        ("", "snappy"),
        ("application/json", "snappy"),
        ("application/x-protobuf;proto=io.prometheus.write.v3.Request", "snappy"),
        (V1, ""),
        (V1, "gzip"),
        (V1, "zstd"),
    ],
)
def test_other_content_is_told_what_to_send(sender, content_type, encoding):
    answer = sender.post(snappy(version_1(series("a", sample(1)))), content_type, encoding)
    assert (answer.status_code, answer.headers["accept-encoding"]) == (415, "snappy")
    assert "is not spoken" in answer.json()["error"]


def test_a_larger_body_is_refused_before_it_is_decompressed(sender, keeping):
    answer = sender.post(snappy(bytes(16 * MIB)))
    assert answer.status_code == 413
    assert str(16 * MIB) in answer.json()["error"]
    assert sender.post(bytes(MIB + 1)).status_code == 413
    assert keeping.reports() == []


def test_a_long_body_is_looked_through_as_well(sender, keeping):
    body = version_1(*(series("a", sample(1), n=str(number)) for number in range(3000)))
    assert len(body) > remote_write.LONG_BODY
    counters = Counters()
    assert sender.send(body).status_code == 204
    assert counters.moved("frontend_items", protocol="remote_write") == 3000


def test_only_post_is_a_method(sender):
    answer = plain_http.get(sender.url)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_while_the_outbox_is_full_senders_are_told_to_try_again(tmp_path: Path):
    keeping = Keeping(tmp_path / "small", max_bytes=2 * MIB)
    with serving({}, remote_write.http_routes(keeping.services, SETTINGS)) as server:
        sender, number = Sender(server.address), 0
        answer = httpx.Response(204)
        while answer.status_code == 204:
            number += 1
            found = [series("a", sample(number), zone="z" * 3000, n=str(n)) for n in range(100)]
            answer = sender.send(version_1(*found))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        keeping.reports()
        assert sender.send(version_1(*found)).status_code == 204
    keeping.outbox.close()


def test_messages_and_samples_add_up(sender, keeping):
    counters = Counters()
    good = version_1(series("a", sample(1), sample(2, 0)))
    for body in (snappy(good), snappy(b""), b"x", snappy(b"\xff")):
        sender.post(body)
    sender.post(snappy(good), "text/plain")

    def moved(name: str, **labels: str) -> float:
        return counters.moved(f"frontend_{name}", protocol="remote_write", **labels)

    assert moved("messages") == 5
    reasons = ("empty", "malformed", "unsupported")
    assert [moved("messages_dropped", reason=reason) for reason in reasons] == [1, 2, 1]
    assert moved("messages") - moved("messages_dropped") == len(keeping.reports())
    assert (moved("items"), moved("items_dropped"), moved("bytes")) == (2, 1, len(good))
