"""What every kind of OTLP export is answered, over both transports and in both encodings."""

from collections.abc import Iterator
from typing import NamedTuple

import grpc
import httpx
import pytest
from google.protobuf.json_format import Parse
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status

from collector.frontends import otlp
from collector.model import Signal
from collector.settings import Settings
from collector.transport.grpc import StatusCode
from tests import plain_http
from tests.collector.keeping import Keeping
from tests.collector.otlp_messages import as_json
from tests.collector.reports import counter, log_record, logs, metrics, number_point, span, traces
from tests.counters import Counters
from tests.transport.serving import serving

MIB = 1024 * 1024
SETTINGS = Settings(max_body_bytes=MIB)
PROTOBUF, JSON = "application/x-protobuf", "application/json"


class Sent(NamedTuple):
    """An export, two good items and a bad one of it, and what its messages are called."""

    export: otlp.Export
    message: Message
    words: str  # of the refusal
    field: str  # of partial_success
    request: str


EXPORTS = [
    Sent(
        otlp.TRACES,
        traces(span(), span(trace_id=b"x"), span()),
        "trace_id",
        "rejectedSpans",
        "ExportTraceServiceRequest",
    ),
    Sent(
        otlp.LOGS,
        logs(log_record(), log_record(time_unix_nano=1), log_record()),
        "before the year 2000",
        "rejectedLogRecords",
        "ExportLogsServiceRequest",
    ),
    Sent(
        otlp.METRICS,
        metrics(counter(number_point(), number_point(time_unix_nano=1)), counter(number_point())),
        "before the year 2000",
        "rejectedDataPoints",
        "ExportMetricsServiceRequest",
    ),
]
each_export = pytest.mark.parametrize("sent", EXPORTS, ids=lambda sent: sent.export.url_path)


@pytest.fixture
def address(keeping: Keeping) -> Iterator[str]:
    with serving(
        otlp.grpc_methods(keeping.services, SETTINGS), otlp.http_routes(keeping.services, SETTINGS)
    ) as server:
        yield server.address


def post(address: str, sent: Sent, content_type: str, body: bytes) -> httpx.Response:
    url = f"http://{address}{sent.export.url_path}"
    return plain_http.post(url, content=body, headers={"content-type": content_type})


def call(address: str, sent: Sent, body: bytes) -> bytes:
    with grpc.insecure_channel(address) as channel:
        answer: bytes = channel.unary_unary(sent.export.path)(body)
        return answer


def test_every_export_is_tried():
    assert tuple(sent.export for sent in EXPORTS) == otlp.EXPORTS


@each_export
def test_what_is_accepted_is_in_the_outbox_and_what_is_not_is_told(sent, address, keeping):
    counters = Counters()
    binary, text = sent.message.SerializeToString(), as_json(sent.message)
    answers = [
        sent.export.rejection.response.FromString(call(address, sent, binary)),
        sent.export.rejection.response.FromString(post(address, sent, PROTOBUF, binary).content),
        Parse(post(address, sent, JSON, text).text, sent.export.rejection.response()),
    ]
    for answer in answers:
        assert getattr(answer.partial_success, sent.export.rejection.field) == 1
        assert sent.words in answer.partial_success.error_message
    # The same bytes of one sender are one report: those of the call and of the first POST.
    assert [(report.signal, report.body) for report in keeping.reports()] == [
        (sent.export.encodings[PROTOBUF].signal, binary),
        (sent.export.encodings[JSON].signal, text),
    ]
    assert counters.moved("frontend_items") == 9
    assert counters.moved("frontend_items_dropped") == 3


@each_export
def test_an_answer_in_json_counts_in_text(sent, address):
    answer = post(address, sent, JSON, as_json(sent.message))
    assert answer.headers["content-type"] == JSON
    assert answer.json()["partialSuccess"][sent.field] == "1"


@each_export
@pytest.mark.parametrize(("content_type", "empty"), [(PROTOBUF, b""), (JSON, b"{}")])
def test_nothing_is_answered_ok_and_not_stored(sent, address, keeping, content_type, empty):
    counters = Counters()
    answer = post(address, sent, content_type, empty)
    assert (answer.status_code, answer.content.strip()) == (200, empty)
    assert counters.moved("frontend_messages_dropped", reason="empty") == 1
    assert keeping.reports() == []


@each_export
def test_what_is_no_request_is_refused_in_its_own_encoding(sent, address, keeping):
    counters = Counters()
    refused = post(address, sent, PROTOBUF, b"\xff")
    assert (refused.status_code, refused.headers["content-type"]) == (400, PROTOBUF)
    status = Status.FromString(refused.content)
    assert (status.code, sent.request in status.message) == (StatusCode.INVALID_ARGUMENT, True)
    refused = post(address, sent, JSON, b"\xff")
    assert (refused.status_code, refused.headers["content-type"]) == (400, JSON)
    assert refused.json()["code"] == StatusCode.INVALID_ARGUMENT
    assert sent.request in refused.json()["message"]
    with pytest.raises(grpc.RpcError) as error:
        call(address, sent, b"\xff")
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert counters.moved("frontend_messages_dropped", reason="malformed") == 3
    assert keeping.reports() == []


@each_export
def test_json_sent_as_protobuf_is_told_so(sent, address):
    answer = post(address, sent, PROTOBUF, as_json(sent.message))
    assert answer.status_code == 400
    assert "looks like JSON" in Status.FromString(answer.content).message


@each_export
@pytest.mark.parametrize("content_type", [PROTOBUF, JSON])
def test_what_is_too_large_is_not_to_be_sent_again(sent, address, content_type):
    answer = post(address, sent, content_type, b" " * (MIB + 1))
    assert answer.status_code == 413
    assert "retry-after" not in answer.headers
    assert answer.headers["content-type"] == content_type


@each_export
def test_another_type_is_not_spoken(sent, address):
    answer = post(address, sent, "text/plain", b"")
    assert answer.status_code == 415
    assert PROTOBUF in answer.json()["message"]
    assert JSON in answer.json()["message"]


@each_export
def test_another_method_is_told_which_one_to_use(sent, address):
    answer = plain_http.get(f"http://{address}{sent.export.url_path}")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_every_otlp_signal_comes_from_an_export():
    otlp_signals = {signal for signal in Signal if signal.startswith("otlp-")}
    told = [encoding.signal for export in otlp.EXPORTS for encoding in export.encodings.values()]
    assert sorted(told) == sorted(otlp_signals)
