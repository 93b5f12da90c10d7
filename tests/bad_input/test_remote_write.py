"""Write requests that are wrong: the exact status, a message that helps, and nothing else lost."""

import gzip
import math
import time

import httpx
import pytest

from collector.frontends.remote_write import URL_PATH
from collector.proto import remote_write_pb2 as pb
from tests import plain_http
from tests.bad_input import bodies
from tests.bad_input.live import MIB, LiveCollector
from tests.collector.write_requests import (
    field,
    histogram,
    sample,
    series,
    snappy,
    version_1,
    version_2,
)

V1 = "application/x-protobuf"
V2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request"
BAD, LARGE, OTHER = (400, "malformed"), (413, "too_large"), (415, "unsupported")
DAY_MS = 86_400 * 1000
RISE = 100 * MIB


def good(**labels: str) -> bytes:
    return version_1(series("hits_total", sample(1, time.time_ns() // 10**6), **labels))


def post(
    collector: LiveCollector, body: bytes, content_type: str = V1, encoding: str = "snappy"
) -> httpx.Response:
    headers = {"content-type": content_type, "content-encoding": encoding}
    return plain_http.post(collector.url + URL_PATH, content=body, headers=headers, timeout=60)


@pytest.mark.parametrize(
    ("content_type", "encoding", "body", "answered", "words"),
    [
        pytest.param(*case[1:], id=case[0])
        for case in [
            ("cut short", V1, "snappy", snappy(good())[:-3], BAD, "not snappy"),
            ("cut short within", V1, "snappy", snappy(good()[:-3]), BAD, "not a write request"),
            ("noise", V1, "snappy", bodies.NOISE, BAD, "not snappy"),
            ("noise within", V1, "snappy", snappy(bodies.NOISE), BAD, "not a write request"),
            ("noise within, version 2", V2, "snappy", snappy(bodies.NOISE), BAD, "write request"),
            ("JSON", V1, "snappy", snappy(b'{"timeseries": []}'), BAD, "not a write request"),
            ("not compressed", V1, "snappy", good(), BAD, "not snappy"),
            ("snappy in frames", V1, "snappy", b"\xff\x06\0\0sNaPpY", BAD, "snappy"),
            ("snappy twice", V1, "snappy", snappy(snappy(good())), BAD, "not a write request"),
            ("gzip", V1, "gzip", gzip.compress(good()), OTHER, "'gzip' is not spoken; snappy is"),
            ("no encoding", V1, "", good(), OTHER, "'' is not spoken; snappy is"),
            ("text", "text/plain", "snappy", snappy(good()), OTHER, "'text/plain'"),
            ("no content type", "", "snappy", snappy(good()), OTHER, "''"),
            ("version 3", f"{V1};proto=v3", "snappy", snappy(good()), OTHER, "proto=v3"),
        ]
    ],
)
def test_a_body_that_cannot_be_read_is_refused_by_name(
    collector: LiveCollector,
    content_type: str,
    encoding: str,
    body: bytes,
    answered: tuple[int, str],
    words: str,
) -> None:
    counters = collector.counters()
    answer = post(collector, body, content_type, encoding)
    status, reason = answered
    assert answer.status_code == status
    assert words in answer.json()["error"]
    assert counters.moved("frontend_messages", protocol="remote_write") == 1
    assert counters.moved("frontend_messages_dropped", protocol="remote_write", reason=reason) == 1
    assert counters.moved("reports") == 0


NOW_MS = time.time_ns() // 10**6


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(bad, id=name)
        for name, bad in {
            "1970": series("a", sample(1, 0)),
            "seconds": series("a", sample(1, NOW_MS // 1000)),
            "nanoseconds": series("a", sample(1, NOW_MS * 10**6)),
            "tomorrow": series("a", sample(1, NOW_MS + DAY_MS)),
            "last year": series("a", sample(1, NOW_MS - 400 * DAY_MS)),
            "the largest time": series("a", sample(1, 2**63 - 1)),
            "a histogram of 1970": series("a", histograms=(histogram(timestamp=0),)),
            "no name": series("", sample(1, NOW_MS)),
            "64 KiB": series("a", sample(1, NOW_MS), zone="z" * 65536),
        }.items()
    ],
)
def test_a_sample_that_cannot_be_right_is_told_and_the_rest_is_kept(
    collector: LiveCollector, bad: pb.Series
) -> None:
    counters = collector.counters()
    body = good() + version_1(bad) + good(zone="b")
    answer = post(collector, snappy(body))
    assert answer.status_code == 400
    assert "1 of 3 samples can never be stored" in answer.json()["error"]
    assert counters.moved("frontend_items", protocol="remote_write") == 3
    assert counters.moved("frontend_items_dropped", protocol="remote_write") == 1
    assert counters.moved("reports", signal="remote-write") == 1


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(found, id=name)
        for name, found in {
            "not a number": series("a", sample(math.nan, NOW_MS)),
            "infinity": series("a", sample(-math.inf, NOW_MS)),
            "the largest number": series("a", sample(1.7976931348623157e308, NOW_MS)),
            "10,000 labels": series("a", sample(1, NOW_MS), **{f"l{n}": "" for n in range(4000)}),
            "markup": series("<img src=x onerror=alert(1)>", sample(1, NOW_MS)),
            "SQL": series("a", sample(1, NOW_MS), zone="'); DROP TABLE metric_points --"),
            "names of columns": series("a", sample(1, NOW_MS), _group="1", service="x"),
            "one point twice": series("a", sample(1, NOW_MS), sample(1, NOW_MS)),
        }.items()
    ],
)
def test_a_sample_that_can_be_stored_is_taken(collector: LiveCollector, found: pb.Series) -> None:
    counters = collector.counters()
    assert post(collector, snappy(version_1(found))).status_code == 204
    assert counters.moved("frontend_items_dropped", protocol="remote_write") == 0
    assert counters.moved("reports", signal="remote-write") == 1


def test_text_that_is_not_utf_8_keeps_nobody_out(collector: LiveCollector) -> None:
    counters = collector.counters()
    body = good(zone="BAD?").replace(b"BAD?", b"BAD\xff")
    assert post(collector, snappy(body)).status_code == 204
    assert counters.moved("reports", signal="remote-write") == 1


def filled(unit: bytes) -> bytes:
    return unit * (15 * MIB // len(unit))


@pytest.mark.parametrize(
    ("content_type", "body", "answered"),
    [
        pytest.param(*case[1:], id=case[0])
        for case in [
            ("17 MiB", V1, bytes(17 * MIB), LARGE),
            ("200 MiB, compressed", V1, snappy(bytes(bodies.BOMB_BYTES)), LARGE),
            ("said to be 4 GiB", V1, b"\xff\xff\xff\xff\x0f", LARGE),
            ("empty series", V1, snappy(filled(b"\x0a\0")), LARGE),
            ("empty series of version 2", V2, snappy(filled(b"\x2a\0")), LARGE),
            ("empty metadata", V1, snappy(filled(b"\x1a\0")), LARGE),
            ("empty symbols", V2, snappy(filled(b"\x22\0")), LARGE),
            ("samples of one series", V1, snappy(field(1, filled(b"\x12\0"))), BAD),
            ("labels of one series", V1, snappy(field(1, filled(b"\x0a\0"))), BAD),
            ("samples of many series", V1, snappy(filled(field(1, b"\x12\0" * 1000))), BAD),
        ]
    ],
)
def test_a_bomb_is_refused_and_takes_little_memory(
    collector: LiveCollector, content_type: str, body: bytes, answered: tuple[int, str]
) -> None:
    counters, resident = collector.counters(), collector.reset_peak()
    status, reason = answered
    assert post(collector, body, content_type).status_code == status
    assert collector.peak() - resident <= RISE
    assert counters.moved("frontend_messages_dropped", protocol="remote_write", reason=reason) == 1
    assert counters.moved("reports") == 0


def test_a_request_of_version_2_with_a_bad_reference_is_told_what_was_written(
    collector: LiveCollector,
) -> None:
    bad = pb.SeriesV2(labels_refs=[7, 900], samples=[sample(1, NOW_MS)]).SerializeToString()
    body = version_2(series("hits_total", sample(1, time.time_ns() // 10**6))) + field(5, bad)
    answer = post(collector, snappy(body), V2)
    assert answer.status_code == 400
    assert "beyond the" in answer.json()["error"]
    assert answer.headers["x-prometheus-remote-write-samples-written"] == "1"
