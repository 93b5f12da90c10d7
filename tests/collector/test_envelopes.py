"""A dead letter is kept with what makes a report of it; decoded again it is refused again."""

import json
from base64 import b64encode
from dataclasses import replace

import pytest

from collector.decoders import DeadLetter, decode_group
from collector.decoders.limits import MAX_DEAD_ITEM_BYTES
from collector.model import Report, Signal
from tests.collector import write_requests as write
from tests.collector.otlp_messages import as_json
from tests.collector.reports import (
    NOW_NS,
    access_log,
    counter,
    http_entry,
    log_record,
    logs,
    metrics,
    number_point,
    span,
    tcp_entry,
    traces,
)
from tests.collector.zipkin_bodies import (
    i64,
    json_body,
    log_arguments,
    mark,
    proto_body,
    proto_span,
    thrift_body,
    thrift_mark,
    thrift_span,
    v1,
    v2,
)


def untimed(entry):
    entry.common_properties.ClearField("start_time")
    return entry


TRACES = traces(span(), span(span_id=b""), service="x" * 300)
LOGS = logs(log_record(), log_record(time_unix_nano=1), scope="s", service__name="y")
METRICS = metrics(counter(number_point(), number_point(time_unix_nano=1)), scope="s")
BAD_THRIFT = thrift_span(thrift_mark("sr", 0), _4=i64(0))
GOOD_THRIFT = thrift_span(thrift_mark("sr", 0))
NOW_MS = NOW_NS // 10**6
LATE = write.series("a_total", write.sample(1, NOW_MS), write.sample(2, 1), zone="z")
TOLD = (write.pb.Metadata(metric_family_name="a_total", type=write.pb.GAUGE, unit="s"),)
SENT: dict[Signal, bytes] = {
    Signal.OTLP_TRACES: TRACES.SerializeToString(),
    Signal.OTLP_TRACES_JSON: as_json(TRACES),
    Signal.OTLP_LOGS: LOGS.SerializeToString(),
    Signal.OTLP_LOGS_JSON: as_json(LOGS),
    Signal.OTLP_METRICS: METRICS.SerializeToString(),
    Signal.OTLP_METRICS_JSON: as_json(METRICS),
    Signal.ZIPKIN_JSON: json_body(v2(), v2(traceId="zz")),
    Signal.ZIPKIN_JSON_V1: json_body(v1(mark("sr", 0)), v1(mark("sr", 0), traceId="zz")),
    Signal.ZIPKIN_PROTO: proto_body(proto_span(), proto_span(id=b"")),
    Signal.ZIPKIN_THRIFT: thrift_body(GOOD_THRIFT, BAD_THRIFT),
    Signal.SCRIBE: log_arguments(b64encode(GOOD_THRIFT[1]), b64encode(BAD_THRIFT[1])),
    Signal.ALS: access_log(
        http_entry(), untimed(http_entry()), cluster="c" * 200
    ).SerializeToString(),
    Signal.REMOTE_WRITE: write.version_1(LATE, metadata=TOLD),
    Signal.REMOTE_WRITE_V2: write.version_2(LATE, type_=write.pb.GAUGE, unit="s", created_ms=5),
    Signal.DECISIONS: json.dumps({"id": "a", "allowed": 1, "time": NOW_NS}).encode() + b"\nno",
}


def alone(letter: DeadLetter) -> Report:
    assert letter.envelope is not None
    body = letter.envelope.head + letter.item + letter.envelope.tail
    return Report(letter.signal, body, letter.time_ns, letter.identity)


@pytest.mark.parametrize("signal", SENT)
def test_a_letter_is_a_report_of_its_own(signal):
    decoded = decode_group([Report(signal, SENT[signal], NOW_NS, "a-1.default")], 1)
    (letter,) = decoded.dead
    assert sum(decoded.counts.values()) == 2, "one is good"
    assert decode_group([alone(letter)], 1).dead == [letter]


@pytest.mark.parametrize("signal", [Signal.REMOTE_WRITE, Signal.REMOTE_WRITE_V2])
def test_a_sample_is_what_its_request_said_it_is_when_it_is_in_time(signal):
    (letter,) = decode_group([Report(signal, SENT[signal], NOW_NS, "a")], 1).dead
    letter = replace(letter, time_ns=10**6)  # as if it had come when it was made
    (points,) = decode_group([alone(letter)], 1).tables.values()
    assert (points["kind"], points["unit"], points["service"]) == (["gauge"], ["s"], ["shop"])
    assert points["attributes"] == [{"zone": "z"}]


def test_a_series_of_two_labels_of_one_name_is_one_too():
    labels = [write.pb.Label(name=name, value="a") for name in ("__name__", "x", "x")]
    body = write.version_1(write.pb.Series(labels=labels, samples=[write.sample(1, NOW_MS)]))
    (letter,) = decode_group([Report(Signal.REMOTE_WRITE, body, NOW_NS, "a")], 1).dead
    assert decode_group([alone(letter)], 1).dead == [letter]


def test_so_is_one_of_a_connection():
    body = access_log(tcp_entry(), untimed(tcp_entry())).SerializeToString()
    (letter,) = decode_group([Report(Signal.ALS, body, NOW_NS, "a-1.default")], 1).dead
    assert decode_group([alone(letter)], 1).dead == [letter]


def test_and_a_body_that_cannot_be_read():
    (letter,) = decode_group([Report(Signal.OTLP_TRACES, b"\xff\xff", NOW_NS, "a")], 1).dead
    assert decode_group([alone(letter)], 1).dead == [letter]


def test_one_that_is_cut_is_none():
    body = b"x" * (MAX_DEAD_ITEM_BYTES + 1)
    (letter,) = decode_group([Report(Signal.DECISIONS, body, NOW_NS, "a")], 1).dead
    assert letter.envelope is None
    assert letter.row().replayable == 0
