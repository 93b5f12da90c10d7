"""Any OTLP message, for property tests, and its JSON."""

import json
from base64 import b64decode
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.collector.reports import NOW_NS, SECOND, SPAN_ID, TRACE_ID, logs, metrics, traces

DAY = 86_400 * SECOND
IDS = ("traceId", "spanId", "parentSpanId")


def as_json(message: Message) -> bytes:
    """As OTLP/JSON has it: protobuf's own mapping, but ids in hex and enums as numbers."""
    told = MessageToDict(message, use_integers_for_enums=True)
    return json.dumps(with_hex_ids(told)).encode()


def with_hex_ids(value: Any) -> Any:
    if isinstance(value, list):
        return [with_hex_ids(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: b64decode(inner).hex() if key in IDS else with_hex_ids(inner)
        for key, inner in value.items()
    }


keys = st.text(max_size=5)
any_values = st.recursive(
    st.one_of(
        st.builds(lambda v: AnyValue(string_value=v), st.text(max_size=20)),
        st.builds(lambda v: AnyValue(int_value=v), st.integers(-(2**63), 2**63 - 1)),
        st.builds(lambda v: AnyValue(double_value=v), st.floats()),
        st.builds(lambda v: AnyValue(bool_value=v), st.booleans()),
        st.builds(lambda v: AnyValue(bytes_value=v), st.binary(max_size=5)),
        st.just(AnyValue()),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda v: AnyValue(array_value=ArrayValue(values=v))),
        st.lists(st.builds(KeyValue, key=keys, value=inner), max_size=3).map(
            lambda v: AnyValue(kvlist_value=KeyValueList(values=v))
        ),
    ),
    max_leaves=5,
)
attributes = st.lists(st.builds(KeyValue, key=keys, value=any_values), max_size=4)
times = st.one_of(
    st.integers(0, 2**64 - 1), st.integers(NOW_NS - 8 * DAY, NOW_NS + DAY), st.just(NOW_NS)
)
spans = st.builds(
    Span,
    trace_id=st.one_of(st.just(TRACE_ID), st.binary(min_size=16, max_size=16), st.binary()),
    span_id=st.one_of(st.just(SPAN_ID), st.binary(min_size=8, max_size=8), st.binary()),
    parent_span_id=st.one_of(st.just(b""), st.binary(min_size=8, max_size=8), st.binary()),
    name=st.text(),
    kind=st.integers(-(2**31), 2**31 - 1),
    start_time_unix_nano=times,
    end_time_unix_nano=times,
    attributes=attributes,
    status=st.builds(Status, code=st.integers(-(2**31), 2**31 - 1), message=st.text()),
    events=st.lists(
        st.builds(Span.Event, time_unix_nano=times, name=st.text(), attributes=attributes),
        max_size=2,
    ),
)
requests = st.lists(st.builds(traces, spans, spans, service=st.text()), max_size=3)

log_records = st.builds(
    LogRecord,
    time_unix_nano=st.one_of(st.just(0), times),
    observed_time_unix_nano=st.one_of(st.just(0), times),
    severity_number=st.integers(-(2**31), 2**31 - 1),
    severity_text=st.text(),
    body=any_values,
    attributes=attributes,
    trace_id=st.one_of(st.just(TRACE_ID), st.binary()),
    span_id=st.one_of(st.just(SPAN_ID), st.binary()),
    event_name=st.text(),
)
log_requests = st.lists(
    st.builds(logs, log_records, log_records, scope=st.text(), service=st.text()), max_size=3
)

numbers = st.floats()
uint64s = st.one_of(st.integers(0, 100), st.integers(0, 2**64 - 1))
counts = st.lists(uint64s, max_size=5)
int32s = st.one_of(st.integers(-50, 50), st.integers(-(2**31), 2**31 - 1))
common: dict[str, Any] = {
    "time_unix_nano": times,
    "start_time_unix_nano": times,
    "attributes": attributes,
    "flags": st.sampled_from([0, 0, 0, 1]),
}
summed: dict[str, Any] = {
    **common,
    "count": uint64s,
    "sum": st.one_of(st.none(), numbers, st.just(1.5)),
}
extremes: dict[str, Any] = {name: st.one_of(st.none(), numbers) for name in ("min", "max")}
number_points = st.one_of(
    st.builds(pb.NumberDataPoint, as_int=st.integers(-(2**63), 2**63 - 1), **common),
    st.builds(pb.NumberDataPoint, as_double=numbers, **common),
    st.builds(pb.NumberDataPoint, **common),
)
rising = st.lists(st.floats(allow_nan=False), max_size=4, unique=True).map(sorted)
histogram_points = st.one_of(
    st.builds(
        pb.HistogramDataPoint,
        bucket_counts=counts,
        explicit_bounds=st.lists(numbers, max_size=4),
        **summed,
        **extremes,
    ),
    rising.flatmap(
        lambda bounds: st.builds(
            pb.HistogramDataPoint,
            bucket_counts=st.lists(uint64s, min_size=len(bounds) + 1, max_size=len(bounds) + 1),
            explicit_bounds=st.just(bounds),
            **summed,
            **extremes,
        )
    ),
)
exponential_buckets = st.builds(
    pb.ExponentialHistogramDataPoint.Buckets, offset=int32s, bucket_counts=counts
)
exponential_points = st.builds(
    pb.ExponentialHistogramDataPoint,
    scale=st.one_of(st.integers(-3, 8), int32s),
    zero_count=uint64s,
    zero_threshold=st.one_of(st.just(0.0), numbers),
    positive=exponential_buckets,
    negative=exponential_buckets,
    **summed,
    **extremes,
)
quantiles = st.builds(
    pb.SummaryDataPoint.ValueAtQuantile,
    quantile=st.one_of(st.floats(0, 1), numbers),
    value=numbers,
)
summary_points = st.builds(
    pb.SummaryDataPoint,
    **common,
    count=uint64s,
    sum=numbers,
    quantile_values=st.lists(quantiles, max_size=3),
)
temporalities = st.integers(-1, 5)


def some(points: Any) -> Any:
    return st.lists(points, max_size=3)


metric_kinds = st.one_of(
    st.fixed_dictionaries({"gauge": st.builds(pb.Gauge, data_points=some(number_points))}),
    st.fixed_dictionaries(
        {
            "sum": st.builds(
                pb.Sum,
                data_points=some(number_points),
                aggregation_temporality=temporalities,
                is_monotonic=st.booleans(),
            )
        }
    ),
    st.fixed_dictionaries(
        {
            "histogram": st.builds(
                pb.Histogram,
                data_points=some(histogram_points),
                aggregation_temporality=temporalities,
            )
        }
    ),
    st.fixed_dictionaries(
        {
            "exponential_histogram": st.builds(
                pb.ExponentialHistogram,
                data_points=some(exponential_points),
                aggregation_temporality=temporalities,
            )
        }
    ),
    st.fixed_dictionaries({"summary": st.builds(pb.Summary, data_points=some(summary_points))}),
    st.just({}),
)
any_metrics = st.builds(
    lambda name, unit, kind: pb.Metric(name=name, unit=unit, **kind),
    st.one_of(st.text(), st.just("requests")),
    st.text(max_size=5),
    metric_kinds,
)
metric_requests = st.lists(
    st.builds(metrics, any_metrics, any_metrics, scope=st.text(), service=st.text()), max_size=3
)
