"""HTTP requests that are wrong: the exact status, a message that helps, and nothing else lost."""

import gzip
import json
import time

import httpx
import pytest
import zstandard
from google.protobuf.json_format import Parse
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests import plain_http
from tests.bad_input import bodies
from tests.bad_input.live import MIB, PROTOBUF, LiveCollector
from tests.collector.messages import rejected, span, traces
from tests.collector.otlp_messages import as_json
from tests.collector.reports import log_record, logs

GZIP, ZSTD = {"content-encoding": "gzip"}, {"content-encoding": "zstd"}
JSON = {"content-type": "application/json"}
LIMIT = str(16 * MIB)
DAY_NS = 86_400 * 10**9
RISE = 100 * MIB


def message(answer: httpx.Response) -> str:
    if answer.headers["content-type"] == PROTOBUF["content-type"]:
        return Status.FromString(answer.content).message
    return Parse(answer.text, Status()).message


@pytest.mark.parametrize(
    ("body", "headers", "status", "words", "reason"),
    [
        pytest.param(*case[1:], id=case[0])
        for case in [
            ("protobuf cut short", bodies.CUT, {}, 400, "ExportTraceServiceRequest", "malformed"),
            ("random bytes", bodies.NOISE, {}, 400, "ExportTraceServiceRequest", "malformed"),
            ("JSON as protobuf", bodies.JSON_TEXT, {}, 400, "looks like JSON", "malformed"),
            ("gzip cut short", bodies.CUT_GZIP, GZIP, 400, "ends too early", "malformed"),
            ("not gzip", bodies.GOOD, GZIP, 400, "not gzip", "malformed"),
            ("gzip and more", bodies.GZIP_AND_MORE, GZIP, 400, "not gzip", "malformed"),
            ("gzip twice, said once", bodies.TWICE, GZIP, 400, "Request", "malformed"),
            (
                "gzip twice, said twice",
                bodies.TWICE,
                {"content-encoding": "gzip, gzip"},
                415,
                "'gzip, gzip'",
                "unsupported",
            ),
            (
                "brotli",
                bodies.GOOD,
                {"content-encoding": "br"},
                415,
                "'br' is not spoken; gzip or zstd is",
                "unsupported",
            ),
            ("protobuf as JSON", bodies.GOOD, JSON, 400, "Request in JSON", "malformed"),
            ("half of JSON", bodies.JSON_TEXT[:-1], JSON, 400, "truncated", "malformed"),
            ("JSON and more", bodies.JSON_TEXT + b"{}", JSON, 400, "trailing", "malformed"),
            ("nothing as JSON", b"", JSON, 400, "Request in JSON", "malformed"),
            (
                "deflate",
                bodies.GOOD,
                {"content-encoding": "deflate"},
                415,
                "'deflate' is not spoken; gzip or zstd is",
                "unsupported",
            ),
            ("zstd cut short", bodies.ZSTD[:-3], ZSTD, 400, "not one frame of zstd", "malformed"),
            ("not zstd", bodies.GOOD, ZSTD, 400, "not one frame of zstd", "malformed"),
            ("zstd and more", bodies.ZSTD + b"and more", ZSTD, 400, "8 bytes", "malformed"),
            ("gzip of 65 members", gzip.compress(b"") * 65, GZIP, 400, "64 members", "malformed"),
            ("infinity in JSON", b'{"x": -Infinity}', JSON, 400, "byte 7", "malformed"),
            ("NaN in JSON", b'{"x": NaN}', JSON, 400, "byte 6", "malformed"),
            ("JSON 2000 deep", bodies.DEEP_JSON, JSON, 400, "recursion", "malformed"),
            (
                "text",
                bodies.GOOD,
                {"content-type": "text/plain"},
                415,
                "'text/plain' is not spoken",
                "unsupported",
            ),
            (
                "no content type",
                bodies.GOOD,
                {"content-type": ""},
                415,
                "a missing content type",
                "unsupported",
            ),
        ]
    ],
)
def test_a_body_that_cannot_be_read_is_refused_by_name(
    collector: LiveCollector,
    body: bytes,
    headers: dict[str, str],
    status: int,
    words: str,
    reason: str,
) -> None:
    counters = collector.counters()
    answer = collector.post(body, headers)
    assert answer.status_code == status
    assert answer.headers.get("accept-encoding") == ("gzip, zstd" if status == 415 else None)
    assert words in message(answer)
    assert counters.moved("frontend_messages", protocol="otlp_http") == 1
    assert counters.moved("frontend_messages_dropped", protocol="otlp_http", reason=reason) == 1
    assert counters.moved("reports") == 0


@pytest.mark.parametrize(
    ("body", "headers", "words"),
    [
        pytest.param(bodies.gzip_bomb(), GZIP, LIMIT, id="200 KB of gzip that are 200 MiB"),
        pytest.param(
            zstandard.compress(bytes(bodies.BOMB_BYTES)), ZSTD, LIMIT, id="6 KB of zstd, the same"
        ),
        pytest.param(
            bodies.unsized(bytes(bodies.BOMB_BYTES)), ZSTD, LIMIT, id="zstd that tells no size"
        ),
        pytest.param(
            bodies.unsized(bodies.GOOD, 27), ZSTD, "a window of 134217728", id="a wide window"
        ),
        pytest.param(bodies.item_bomb(), {}, "100000 items", id="two million empty spans"),
        pytest.param(
            gzip.compress(bodies.item_bomb()), GZIP, "100000 items", id="the same, zipped"
        ),
        pytest.param(bytes(17 * MIB), {}, LIMIT, id="17 MiB"),
        pytest.param(bodies.json_item_bomb(), JSON, "1000000 values", id="5 million spans in JSON"),
        pytest.param(
            bodies.json_item_bomb(900_000), JSON, "100000 items", id="900,000 spans in JSON"
        ),
    ],
)
def test_a_bomb_is_refused_and_takes_little_memory(
    collector: LiveCollector, body: bytes, headers: dict[str, str], words: str
) -> None:
    counters, resident = collector.counters(), collector.reset_peak()
    answer = collector.post(body, headers)
    assert answer.status_code == 413
    assert words in message(answer)
    assert collector.peak() - resident <= RISE
    assert (
        counters.moved("frontend_messages_dropped", protocol="otlp_http", reason="too_large") == 1
    )
    assert counters.moved("reports") == 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"trace_id": b"abc"}, "trace_id must be 16 bytes", id="trace id of 3 bytes"),
        pytest.param({"trace_id": bytes(16)}, "trace_id must be 16 bytes", id="trace id of zeros"),
        pytest.param({"span_id": bytes(8)}, "span_id must be 8 bytes", id="span id of zeros"),
        pytest.param(
            {"start_time_unix_nano": time.time_ns() + 365 * DAY_NS},
            "over 10 minutes in the future",
            id="next year",
        ),
        pytest.param({"start_time_unix_nano": 7}, "before the year 2000", id="1970"),
    ],
)
def test_a_span_that_cannot_be_right_is_told_and_the_others_are_kept(
    collector: LiveCollector, changes: dict[str, object], words: str
) -> None:
    counters = collector.counters()
    count, reason = rejected(collector.post(traces(span(), span(**changes))).content)
    assert count == 1
    assert words in reason
    assert counters.moved("frontend_items", protocol="otlp_http") == 2
    assert counters.moved("frontend_items_dropped", protocol="otlp_http") == 1
    assert counters.moved("reports", signal="otlp-traces") == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"traceId": "AQIDBAUGBwgJCgsMDQ4PEA=="}, "32 hex digits", id="id in base64"),
        pytest.param({"spanId": "0" * 16}, "16 hex digits", id="id of zeros"),
        pytest.param({"startTimeUnixNano": "9" * 5000}, "cannot be read", id="5000 digits"),
        pytest.param({"startTimeUnixNano": -1}, "cannot be read", id="a time below 0"),
        pytest.param({"startTimeUnixNano": "1"}, "before the year 2000", id="1970"),
        pytest.param({"startTimeUnixNano": {}}, "cannot be read", id="a time that is an object"),
    ],
)
def test_a_span_in_json_that_cannot_be_right_is_told_and_the_others_are_kept(
    collector: LiveCollector, changes: dict[str, object], words: str
) -> None:
    counters = collector.counters()
    told = json.loads(as_json(ExportTraceServiceRequest.FromString(traces(span(), span()))))
    told["resourceSpans"][0]["scopeSpans"][0]["spans"][1].update(changes)
    partial = collector.post(json.dumps(told).encode(), JSON).json()["partialSuccess"]
    assert partial["rejectedSpans"] == "1"
    assert words in partial["errorMessage"]
    assert counters.moved("frontend_items", protocol="otlp_http") == 2
    assert counters.moved("frontend_items_dropped", protocol="otlp_http") == 1
    assert counters.moved("reports", signal="otlp-traces-json") == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"time_unix_nano": 7}, "before the year 2000", id="1970"),
        pytest.param(
            {"time_unix_nano": time.time_ns() + 365 * DAY_NS}, "in the future", id="next year"
        ),
        pytest.param({"time_unix_nano": 2**64 - 1}, "in the future", id="the largest time"),
        pytest.param(
            {"time_unix_nano": time.time_ns() - 8 * DAY_NS}, "over 7 days ago", id="last week"
        ),
    ],
)
@pytest.mark.parametrize("content_type", [PROTOBUF, JSON], ids=["protobuf", "JSON"])
def test_a_log_record_that_cannot_be_right_is_told_and_the_others_are_kept(
    collector: LiveCollector,
    changes: dict[str, int],
    words: str,
    content_type: dict[str, str],
) -> None:
    counters = collector.counters()
    told = logs(log_record(), log_record(**changes))
    body = as_json(told) if content_type is JSON else told.SerializeToString()
    answer = plain_http.post(f"{collector.url}/v1/logs", content=body, headers=content_type)
    response = ExportLogsServiceResponse()
    if content_type is JSON:
        Parse(answer.text, response)
    else:
        response.ParseFromString(answer.content)
    assert response.partial_success.rejected_log_records == 1
    assert words in response.partial_success.error_message
    assert counters.moved("frontend_items", protocol="otlp_http") == 2
    assert counters.moved("frontend_items_dropped", protocol="otlp_http") == 1
    signal = "otlp-logs-json" if content_type is JSON else "otlp-logs"
    assert counters.moved("reports", signal=signal) == 1


def test_nothing_is_a_request_without_items(collector: LiveCollector) -> None:
    counters = collector.counters()
    answer = collector.post(b"")
    assert (answer.status_code, answer.content) == (200, b"")
    assert counters.moved("frontend_messages_dropped", protocol="otlp_http", reason="empty") == 1


@pytest.mark.parametrize(
    "told",
    [b'"name": "\\ud800"', b'"name": "first", "name": "last"', b'"kind": 77, "later": [1]'],
    ids=["half a character", "a name twice", "what nobody knows"],
)
def test_json_that_is_odd_and_can_be_read_is_taken(collector: LiveCollector, told: bytes) -> None:
    counters = collector.counters()
    body = as_json(ExportTraceServiceRequest.FromString(bodies.GOOD))
    odd = body.replace(b'"name": "GET /cart"', told).replace(b'"name":"GET /cart"', told)
    assert odd != body
    answer = collector.post(odd, JSON)
    assert answer.json() == {}
    assert counters.moved("reports", signal="otlp-traces-json") == 1


def test_what_a_sender_says_cannot_write_the_log(collector: LiveCollector) -> None:
    """Every line of it is JSON, whatever was in a header, a path or a name."""
    escape = b"\x1b[31m forged"
    headers = {b"content-type": escape, b"content-encoding": escape, b"x-mesh-node": escape}
    for path in ("/v1/traces", "/v1/%0d%0aforged", "/api/v1/rules"):
        plain_http.post(f"{collector.url}{path}", content=bodies.NOISE, headers=headers)
    lines = collector.log.read_text().splitlines()
    assert [json.loads(line) for line in lines]


def test_another_method_is_told_which_one_to_use(collector: LiveCollector) -> None:
    answer = plain_http.get(f"{collector.url}/v1/traces")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert "POST" in message(answer)


@pytest.mark.parametrize("path", ["/v1//traces", "/v1/traces/", "/v1/traces;x", "/v1/%2e/traces"])
def test_a_path_that_is_nearly_right_is_not_found(collector: LiveCollector, path: str) -> None:
    answer = plain_http.post(f"{collector.url}{path}", content=bodies.GOOD, headers=PROTOBUF)
    assert answer.status_code == 404
