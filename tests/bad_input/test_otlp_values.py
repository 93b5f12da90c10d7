"""OTLP items with odd values: what the door says of them, and what the worker makes of the rest."""

import gzip
import math
import time
from typing import NamedTuple

import pytest
from google.protobuf.message import Message
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue, KeyValueList
from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from collector.decoders import decode_group
from collector.frontends import otlp
from collector.frontends.otlp_answers import TYPE_PROTOBUF
from collector.model import Report
from tests import plain_http
from tests.bad_input.bodies import length_delimited
from tests.bad_input.live import MIB, PROTOBUF, LiveCollector
from tests.collector.reports import (
    counter,
    log_record,
    logs,
    metrics,
    number_point,
    span,
    text,
    traces,
)

NOW_NS = time.time_ns()
DAY_NS = 86_400 * 10**9
YEAR_2300_NS = 330 * 365 * DAY_NS


class Case(NamedTuple):
    export: otlp.Export
    body: bytes
    items: int = 1
    rejected: int = 0  # known at the door
    dead: tuple[str, ...] = ()  # of the worker, those of the door included
    headers: dict[str, str] = PROTOBUF


def spans(*told: Span) -> bytes:
    return traces(*told).SerializeToString()


def nested_span(depth: int) -> bytes:
    """Protobuf would not even build it: an attribute of lists in lists, beside a good span."""
    value = length_delimited(1, b"deep")
    for _ in range(depth):
        value = length_delimited(5, length_delimited(1, value))
    attribute = length_delimited(1, b"k") + length_delimited(2, value)
    deep = raw(span()) + length_delimited(9, attribute)
    told = length_delimited(2, raw(span())) + length_delimited(2, deep)
    return length_delimited(1, length_delimited(2, told))


def nested_map(depth: int) -> Span:
    value = AnyValue(string_value="deep")
    for _ in range(depth):
        value = AnyValue(kvlist_value=KeyValueList(values=[KeyValue(key="k", value=value)]))
    return span(attributes=[KeyValue(key="k", value=value)])


def many_days() -> bytes:
    """One each day: as many partitions as ClickHouse would refuse an insert for."""
    return spans(*(span(start_time_unix_nano=NOW_NS - day * DAY_NS) for day in range(150)))


def many_values() -> bytes:
    return spans(*(span(attributes=[text("user", str(number))]) for number in range(20_000)))


def hostile_text() -> bytes:
    hostile = "<img src=x onerror=alert(1)>'); DROP TABLE spans -- =cmd|'/c' \x1b[31m\r\n\u202e"
    told = span(name=hostile, attributes=[text(hostile, hostile)])
    return traces(told, service=hostile).SerializeToString()


def bytes_span() -> Span:
    value = AnyValue(bytes_value=b"\x00")
    return span(attributes=[KeyValue(key="k", value=value)])


def with_schema_url(size: int) -> bytes:
    told = traces(span())
    told.resource_spans[0].schema_url = "x" * size
    return told.SerializeToString()


def wrong_wire_type() -> bytes:
    """A span whose trace_id is a number; protobuf takes it for a field it does not know."""
    told = span()
    told.ClearField("trace_id")
    return length_delimited(1, length_delimited(2, length_delimited(2, b"\x08\x07" + raw(told))))


def raw(message: Message) -> bytes:
    return message.SerializeToString()


def unknown_field() -> bytes:
    return spans(span()) + length_delimited(15, b"of a later version")


def not_utf8() -> bytes:
    return spans(span(name="BAD?")).replace(b"BAD?", b"BAD\xff")


def two_members() -> bytes:
    body = spans(span())
    return gzip.compress(body[:9]) + gzip.compress(body[9:])


def histogram(**fields: object) -> bytes:
    times = {"time_unix_nano": NOW_NS, "start_time_unix_nano": NOW_NS // 1000}
    point = pb.HistogramDataPoint(**(times | fields))  # type: ignore[arg-type]
    told = pb.Histogram(data_points=[point], aggregation_temporality=2)
    return raw(metrics(pb.Metric(name="duration", histogram=told)))


def exponential(**fields: object) -> bytes:
    point = pb.ExponentialHistogramDataPoint(time_unix_nano=NOW_NS, **fields)  # type: ignore[arg-type]
    told = pb.ExponentialHistogram(data_points=[point], aggregation_temporality=2)
    return raw(metrics(pb.Metric(name="duration", exponential_histogram=told)))


def point(**fields: object) -> bytes:
    return raw(metrics(counter(number_point(**fields))))


BUCKETS = pb.ExponentialHistogramDataPoint.Buckets
GZIP = PROTOBUF | {"content-encoding": "gzip"}

CASES = {
    "an unknown field": Case(otlp.TRACES, unknown_field()),
    "a wrong wire type": Case(otlp.TRACES, wrong_wire_type(), 1, 1, ("bad_trace_id",)),
    "a name that is not UTF-8": Case(otlp.TRACES, not_utf8()),
    "a value 60 deep": Case(otlp.TRACES, nested_span(60), 2, 0, ("unreadable",)),
    "a map 20 deep": Case(otlp.TRACES, spans(nested_map(20))),
    "150 days": Case(otlp.TRACES, many_days(), 150, 143, ("too_old",) * 143),
    "a span of last week": Case(
        otlp.TRACES, spans(span(start_time_unix_nano=NOW_NS - 8 * DAY_NS)), 1, 1, ("too_old",)
    ),
    "a span at the largest time": Case(
        otlp.TRACES, spans(span(start_time_unix_nano=2**64 - 1)), 1, 1, ("in_the_future",)
    ),
    "20,000 values of one key": Case(otlp.TRACES, many_values(), 20_000),
    "text that is markup, SQL, a formula and escapes": Case(otlp.TRACES, hostile_text()),
    "the smallest integer": Case(otlp.METRICS, point(as_int=-(2**63))),
    "the largest double": Case(otlp.METRICS, point(as_double=1.7e308)),
    "gzip of two members": Case(otlp.TRACES, two_members(), headers=GZIP),
    "a schema URL of 1 MB": Case(otlp.TRACES, with_schema_url(MIB)),
    "its own parent": Case(otlp.TRACES, spans(span(parent_span_id=span().span_id))),
    "one id twice": Case(otlp.TRACES, spans(span(), span()), 2),
    "an end before the start": Case(otlp.TRACES, spans(span(end_time_unix_nano=5))),
    "no end": Case(otlp.TRACES, spans(span(end_time_unix_nano=0))),
    "the year 2300": Case(
        otlp.TRACES,
        spans(span(start_time_unix_nano=YEAR_2300_NS)),
        1,
        1,
        ("in_the_future",),
    ),
    "10,000 attributes": Case(
        otlp.TRACES, spans(span(attributes=[text(f"k{n}", "v") for n in range(10_000)]))
    ),
    "a value of 1 MB": Case(otlp.TRACES, spans(span(attributes=[text("k", "v" * MIB)]))),
    "an empty and a long key": Case(
        otlp.TRACES, spans(span(attributes=[text("", "v"), text("k" * 2000, "v")]))
    ),
    "one key twice": Case(otlp.TRACES, spans(span(attributes=[text("k", "1"), text("k", "2")]))),
    "keys named as columns": Case(
        otlp.TRACES, spans(span(attributes=[text("_group", "9"), text("service", "x")]))
    ),
    "bytes with NUL": Case(otlp.TRACES, spans(bytes_span())),
    "an unknown kind and code": Case(otlp.TRACES, spans(span(kind=77, status=Status(code=9)))),
    "a log without a time": Case(otlp.LOGS, raw(logs(log_record(time_unix_nano=0)))),
    "a log in 1970": Case(otlp.LOGS, raw(logs(log_record(time_unix_nano=5))), 1, 1, ("no_time",)),
    "a log with half an id": Case(otlp.LOGS, raw(logs(log_record(trace_id=b"abc")))),
    "a log of 1 MB": Case(otlp.LOGS, raw(logs(log_record(body=AnyValue(string_value="x" * MIB))))),
    "Envoy's start in microseconds": Case(otlp.METRICS, point(start_time_unix_nano=NOW_NS // 1000)),
    "a point without a time": Case(otlp.METRICS, point(time_unix_nano=0), 1, 1, ("no_time",)),
    "a point of last week": Case(
        otlp.METRICS, point(time_unix_nano=NOW_NS - 8 * DAY_NS), 1, 1, ("too_old",)
    ),
    "the largest time": Case(
        otlp.METRICS, point(time_unix_nano=2**64 - 1), 1, 1, ("in_the_future",)
    ),
    "not a number": Case(otlp.METRICS, point(as_double=math.nan)),
    "infinity": Case(otlp.METRICS, point(as_double=-math.inf)),
    "a counter below 0": Case(otlp.METRICS, point(as_int=-5)),
    "the largest integer": Case(otlp.METRICS, point(as_int=2**63 - 1)),
    "bounds that fall": Case(
        otlp.METRICS,
        histogram(bucket_counts=[1, 1, 1], explicit_bounds=[2, 1]),
        dead=("bad_point",),
    ),
    "buckets that do not go with bounds": Case(
        otlp.METRICS, histogram(bucket_counts=[1, 1], explicit_bounds=[1, 2]), dead=("bad_point",)
    ),
    "a sum that is no number": Case(otlp.METRICS, histogram(sum=math.nan), dead=("bad_point",)),
    "a scale of 2^31": Case(otlp.METRICS, exponential(scale=2**31 - 1), dead=("bad_point",)),
    "buckets beyond every double": Case(
        otlp.METRICS,
        exponential(positive=BUCKETS(offset=2**31 - 1, bucket_counts=[1])),
        dead=("bad_point",),
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_every_item_is_a_row_or_a_dead_letter_and_the_door_knew_what_it_could(
    collector: LiveCollector, case: Case
) -> None:
    counters = collector.counters()
    url = f"{collector.url}{case.export.url_path}"
    answer = plain_http.post(url, content=case.body, headers=case.headers)
    assert answer.status_code == 200
    partial = case.export.rejection.response.FromString(answer.content).partial_success
    assert getattr(partial, case.export.rejection.field) == case.rejected
    assert bool(partial.error_message) is bool(case.rejected)
    assert counters.moved("frontend_items", protocol="otlp_http") == case.items
    assert counters.moved("frontend_items_dropped", protocol="otlp_http") == case.rejected
    signal = case.export.encodings[TYPE_PROTOBUF].signal
    assert counters.moved("reports", signal=signal) == 1
    body = gzip.decompress(case.body) if case.headers is GZIP else case.body
    decoded = decode_group([Report(signal, body, time.time_ns())], 1)
    assert tuple(letter.reason for letter in decoded.dead) == case.dead
    assert sum(decoded.counts.values()) == case.items
