"""OTLP data points become rows, each of the series it belongs to; JSON gives the same rows."""

import itertools
import json
import math

import pytest
from hypothesis import HealthCheck, given, settings
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb

from collector.decoders import decode_group
from collector.decoders.otlp_json_metrics import inspect_metrics_json
from collector.decoders.skeleton import inspect_metrics
from collector.errors import Malformed, TooLarge
from collector.model import Signal
from collector.store.client import Store
from tests.collector.otlp_messages import as_json, metric_requests
from tests.collector.reports import (
    NOW_NS,
    SECOND,
    counter,
    metrics,
    number_point,
    report,
    text,
)

DAY = 86_400 * SECOND
EXAMPLES = itertools.count()
TIMES = {"time_unix_nano": NOW_NS, "start_time_unix_nano": NOW_NS - SECOND}


def decode(*told: pb.Metric, identity: str = "b-1.default", **kwargs: str):
    return decode_group(
        [report(metrics(*told, **kwargs), Signal.OTLP_METRICS, identity=identity)], 1
    )


def only(decoded):
    """The one row, by column."""
    assert decoded.counts == {"metric_points": 1}, decoded.dead
    return {name: values[0] for name, values in decoded.tables["metric_points"].items()}


def gauge(**fields: object) -> pb.Metric:
    return pb.Metric(name="load", gauge=pb.Gauge(data_points=[number_point(**fields)]))


def histogram(**fields: object) -> pb.Metric:
    point = pb.HistogramDataPoint(**(TIMES | fields))
    told = pb.Histogram(data_points=[point], aggregation_temporality=2)
    return pb.Metric(name="duration", unit="ms", histogram=told)


def exponential(**fields: object) -> pb.Metric:
    point = pb.ExponentialHistogramDataPoint(**(TIMES | fields))
    told = pb.ExponentialHistogram(data_points=[point], aggregation_temporality=1)
    return pb.Metric(name="duration", exponential_histogram=told)


def summary(**fields: object) -> pb.Metric:
    point = pb.SummaryDataPoint(**(TIMES | fields))
    return pb.Metric(name="duration", summary=pb.Summary(data_points=[point]))


def buckets(offset: int, *counts: int) -> pb.ExponentialHistogramDataPoint.Buckets:
    return pb.ExponentialHistogramDataPoint.Buckets(offset=offset, bucket_counts=counts)


def test_a_point_of_a_sum_is_a_row():
    row = only(decode(counter(number_point()), scope="meter", service__name="cart"))
    told = {
        "time": NOW_NS - SECOND,
        "start": NOW_NS - 60 * SECOND,
        "metric": "requests",
        "kind": "sum",
        "temporality": "cumulative",
        "monotonic": 1,
        "unit": "1",
        "service": "cart",
        "node": "b-1.default",
        "scope": "meter",
        "attributes": {"code": "200"},
        "resource": {"service.name": "cart"},
        "integer": 7,
        "double": 0.0,
        "non_finite": "",
    }
    assert {name: row[name] for name in told} == told


def test_a_gauge_has_no_temporality_and_does_not_only_rise():
    row = only(decode(gauge(as_double=0.25)))
    assert (row["kind"], row["temporality"], row["monotonic"]) == ("gauge", "none", 0)
    assert (row["integer"], row["double"]) == (0, 0.25)


@pytest.mark.parametrize(
    ("told", "stored"), [(0, "none"), (1, "delta"), (2, "cumulative"), (77, "none")]
)
def test_the_temporality_is_what_is_told(told, stored):
    metric = counter(number_point(), aggregation_temporality=told)
    assert only(decode(metric))["temporality"] == stored


@pytest.mark.parametrize("value", [-(2**63), 2**63 - 1, 0])
def test_integers_are_exact(value):
    assert only(decode(gauge(as_int=value)))["integer"] == value


@pytest.mark.parametrize(
    ("value", "told"), [(math.nan, "nan"), (math.inf, "inf"), (-math.inf, "-inf")]
)
def test_what_is_no_number_is_stored_apart(value, told):
    row = only(decode(gauge(as_double=value)))
    assert (row["double"], row["non_finite"]) == (0.0, told)


def test_a_histogram_is_a_row_with_its_buckets():
    metric = histogram(
        count=6, sum=31.5, bucket_counts=[1, 2, 3], explicit_bounds=[1, 10], min=0.5, max=20
    )
    row = only(decode(metric))
    told = {
        "kind": "histogram",
        "monotonic": 1,
        "unit": "ms",
        "observations": 6,
        "sum": 31.5,
        "min": 0.5,
        "max": 20.0,
        "bounds": [1.0, 10.0],
        "buckets": [1, 2, 3],
    }
    assert {name: row[name] for name in told} == told


def test_a_histogram_may_have_neither_sum_nor_buckets():
    row = only(decode(histogram(count=3, min=math.inf)))
    assert (row["observations"], row["sum"], row["min"], row["max"], row["buckets"]) == (
        3,
        None,
        None,
        None,
        [],
    )


def test_an_exponential_histogram_is_a_row_with_its_buckets():
    metric = exponential(
        count=9,
        scale=3,
        zero_count=1,
        zero_threshold=0.001,
        positive=buckets(-4, 1, 2),
        negative=buckets(7, 5),
    )
    row = only(decode(metric))
    told = {
        "kind": "exponential_histogram",
        "temporality": "delta",
        "observations": 9,
        "scale": 3,
        "zero_count": 1,
        "zero_threshold": 0.001,
        "positive_offset": -4,
        "positive": [1, 2],
        "negative_offset": 7,
        "negative": [5],
    }
    assert {name: row[name] for name in told} == told


def test_a_summary_counts_from_its_start_and_quantiles_of_nothing_are_left_out():
    quantile = pb.SummaryDataPoint.ValueAtQuantile
    values = [quantile(quantile=0.5, value=2.5), quantile(quantile=0.9, value=math.nan)]
    row = only(decode(summary(count=4, sum=10, quantile_values=values)))
    assert (row["kind"], row["temporality"], row["monotonic"]) == ("summary", "cumulative", 1)
    assert (row["observations"], row["sum"], row["quantiles"]) == (4, 10.0, [(0.5, 2.5)])


def bad_points():
    yield histogram(bucket_counts=[1, 2], explicit_bounds=[1, 10]), "do not go with"
    yield histogram(bucket_counts=[1, 2]), "do not go with"
    yield histogram(explicit_bounds=[1]), "do not go with"
    yield histogram(bucket_counts=[1, 2, 3], explicit_bounds=[10, 1]), "do not rise"
    yield histogram(bucket_counts=[1, 2, 3], explicit_bounds=[1, 1]), "do not rise"
    yield histogram(bucket_counts=[1, 2], explicit_bounds=[math.nan]), "do not rise"
    yield histogram(bucket_counts=[1] * 1025, explicit_bounds=range(1024)), "1024 buckets"
    yield histogram(sum=math.nan), "sum is not finite"
    yield exponential(scale=2**31 - 1), "scale"
    yield exponential(scale=-11), "scale"
    yield exponential(positive=buckets(2**31 - 1, 1)), "beyond every double"
    yield exponential(scale=20, negative=buckets(-(2**31), 1)), "beyond every double"
    yield exponential(positive=buckets(0, *[1] * 1025)), "1024 buckets"
    yield exponential(zero_threshold=-1), "zero_threshold"
    yield exponential(zero_threshold=math.inf), "zero_threshold"
    yield exponential(sum=math.inf), "sum is not finite"
    yield summary(sum=math.nan), "sum is not finite"
    value = pb.SummaryDataPoint.ValueAtQuantile(quantile=1.5)
    yield summary(quantile_values=[value]), "quantile"
    yield pb.Metric(name="x", gauge=pb.Gauge(data_points=[pb.NumberDataPoint(**TIMES)])), "as_int"
    yield pb.Metric(gauge=pb.Gauge(data_points=[number_point()])), "no name"


@pytest.mark.parametrize(("metric", "words"), list(bad_points()))
def test_a_point_nobody_could_make_sense_of_is_a_dead_letter(metric, words):
    decoded = decode(metric, counter(number_point()))
    assert [letter.reason for letter in decoded.dead] == ["bad_point"]
    assert words in decoded.dead[0].detail
    assert decoded.counts == {"metric_points": 1, "dead_letters": 1}


@pytest.mark.parametrize(
    ("time_ns", "reason"),
    [
        (0, "no_time"),
        (NOW_NS // 1000, "no_time"),
        (NOW_NS - 7 * DAY - 1, "too_old"),
        (NOW_NS + 600 * SECOND + 1, "in_the_future"),
        (2**64 - 1, "in_the_future"),
    ],
)
def test_a_time_outside_of_what_is_kept_is_a_dead_letter(time_ns, reason):
    decoded = decode(counter(number_point(time_unix_nano=time_ns), number_point()))
    assert [letter.reason for letter in decoded.dead] == [reason]
    assert decoded.counts == {"metric_points": 1, "dead_letters": 1}


def test_a_dead_letter_is_the_metric_with_the_refused_point_alone():
    bad = number_point(time_unix_nano=1)
    told = metrics(counter(number_point(), bad, number_point()), service__name="b.default")
    (letter,) = decode_group([report(told, Signal.OTLP_METRICS)], 1).dead
    assert pb.Metric.FromString(letter.item) == counter(bad)
    (letter,) = decode_group([report(as_json(told), Signal.OTLP_METRICS_JSON)], 1).dead
    (point,) = json.loads(letter.item)["sum"]["dataPoints"]
    assert json.loads(letter.item)["name"] == "requests"
    assert point["timeUnixNano"] == "1"


def test_a_point_without_a_value_is_not_stored():
    decoded = decode(counter(number_point(flags=1), number_point()))
    assert (decoded.counts, decoded.skipped) == ({"metric_points": 1}, 1)


@pytest.mark.parametrize(
    ("told", "stored"),
    [
        (NOW_NS, NOW_NS),
        (NOW_NS // 1000, NOW_NS // 1000 * 1000),  # Envoy's stats sink
        (0, 0),
        (2**64 - 1, 2**63 - 1),
    ],
)
def test_a_start_in_microseconds_is_brought_to_nanoseconds(told, stored):
    assert only(decode(counter(number_point(start_time_unix_nano=told))))["start"] == stored


def series(identity: str = "b-1.default", **resource: str):
    row = only(decode(counter(number_point()), identity=identity, **resource))
    return row["sender"], row["series"]


def test_a_series_is_the_same_wherever_it_is_decoded():
    # Points of one series may be decoded years apart.
    assert series(service__name="cart") == (10701696333188034301, 2115379159056088862)


def test_points_differ_in_series_by_whatever_tells_streams_apart():
    told = [
        counter(number_point()),
        counter(number_point(attributes=[text("code", "500")])),
        counter(number_point(attributes=[text("code", "200"), text("x", "y")])),
        counter(number_point(), is_monotonic=False),
        counter(number_point(), aggregation_temporality=1),
        pb.Metric(name="other", unit="1", sum=counter(number_point()).sum),
        pb.Metric(name="requests", unit="s", sum=counter(number_point()).sum),
        pb.Metric(name="requests", unit="1", gauge=pb.Gauge(data_points=[number_point()])),
    ]
    found = decode(*told).tables["metric_points"]
    assert len(set(found["series"])) == len(told)
    assert len(set(found["sender"])) == 1
    other_scope = decode(told[0], scope="s").tables["metric_points"]["series"]
    assert not set(other_scope) & set(found["series"])


def test_the_order_of_attributes_makes_no_other_series():
    one, two = text("a", "1"), text("b", "2")
    found = decode(
        counter(number_point(attributes=[one, two]), number_point(attributes=[two, one]))
    )
    assert len(set(found.tables["metric_points"]["series"])) == 1


def test_who_sends_tells_series_apart_unless_the_resource_names_an_instance():
    assert series("b-1", service__name="b") != series("b-2", service__name="b")
    named = {"service__name": "b", "k8s__pod__name": "b-1"}
    assert series("10.0.0.1", **named) == series("10.0.0.2", **named)
    assert series("10.0.0.1", **named) != series("10.0.0.1", **named | {"k8s__pod__name": "b-2"})


def test_a_point_that_cannot_be_read_costs_only_itself():
    good = counter(number_point(), number_point())
    raw = metrics(counter(number_point(attributes=[text("k", "BAD?")])), good)
    broken = raw.SerializeToString().replace(b"BAD?", b"BAD\xff")
    decoded = decode_group([report(broken, Signal.OTLP_METRICS)], 1)
    assert decoded.tables["metric_points"]["attributes"][0] == {"k": "BAD�"}
    assert decoded.counts == {"metric_points": 3}
    told = json.loads(as_json(metrics(good)))
    (metric,) = told["resourceMetrics"][0]["scopeMetrics"][0]["metrics"]
    metric["sum"]["dataPoints"][0]["asInt"] = 2**63
    metric["sum"]["dataPoints"].append(7)
    decoded = decode_group([report(json.dumps(told).encode(), Signal.OTLP_METRICS_JSON)], 1)
    assert decoded.counts == {"metric_points": 1, "dead_letters": 2}
    assert [letter.reason for letter in decoded.dead] == ["unreadable"] * 2


@pytest.mark.parametrize(
    "change",
    [
        {"histogram": {"dataPoints": [{"count": -1}]}},
        {"histogram": {"dataPoints": [{"bucketCounts": ["1", 2**64]}]}},
        {"exponentialHistogram": {"dataPoints": [{"scale": 2**31}]}},
        {"exponentialHistogram": {"dataPoints": [{"positive": {"offset": -(2**31) - 1}}]}},
        {"exponentialHistogram": {"dataPoints": [{"zeroCount": "x"}]}},
        {"summary": {"dataPoints": [{"count": 1.5}]}},
        {"sum": {"dataPoints": [{"startTimeUnixNano": -1}]}},
    ],
)
def test_a_number_the_message_has_no_room_for_is_unreadable(change):
    told = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "x", **change}]}]}]}
    decoded = decode_group([report(json.dumps(told).encode(), Signal.OTLP_METRICS_JSON)], 1)
    assert [letter.reason for letter in decoded.dead] == ["unreadable"]


def test_json_takes_names_of_temporalities_and_nulls():
    told = json.loads(as_json(metrics(counter(number_point()))))
    (metric,) = told["resourceMetrics"][0]["scopeMetrics"][0]["metrics"]
    metric["sum"]["aggregationTemporality"] = "AGGREGATION_TEMPORALITY_DELTA"
    metric["gauge"] = None
    metric["sum"]["dataPoints"][0]["exemplars"] = None
    raw = json.dumps(told).encode()
    assert inspect_metrics_json(raw, NOW_NS).items == 1
    row = only(decode_group([report(raw, Signal.OTLP_METRICS_JSON)], 1))
    assert (row["temporality"], row["integer"]) == ("delta", 7)


# --- the front-end's look, and any message


def test_an_inspection_counts_points_and_says_which_will_be_dead_letters():
    told = metrics(counter(number_point(), number_point(time_unix_nano=1)), pb.Metric(name="x"))
    for found in (
        inspect_metrics(told.SerializeToString(), NOW_NS),
        inspect_metrics_json(as_json(told), NOW_NS),
    ):
        assert (found.items, found.rejected) == (2, 1)
        assert "before the year 2000" in found.reasons[0]


def test_a_bomb_of_points_is_refused():
    points = [pb.NumberDataPoint()] * 60_000
    told = metrics(counter(*points), counter(*points))
    with pytest.raises(TooLarge, match="100000 items"):
        inspect_metrics(told.SerializeToString(), NOW_NS)
    empty = {"gauge": {"dataPoints": [{}] * 100_001}}
    bomb = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [empty]}]}]}
    with pytest.raises(TooLarge, match="100000 items"):
        inspect_metrics_json(json.dumps(bomb).encode(), NOW_NS)


@pytest.mark.parametrize("inspect", [inspect_metrics, inspect_metrics_json])
def test_what_is_no_request_is_malformed(inspect):
    with pytest.raises(Malformed, match="not an ExportMetricsServiceRequest"):
        inspect(b"\xff", NOW_NS)


@settings(max_examples=150, deadline=None)
@given(metric_requests)
def test_json_and_protobuf_give_the_same_rows_and_the_front_end_knew(messages):
    binary = [report(message, Signal.OTLP_METRICS) for message in messages]
    told = [report(as_json(message), Signal.OTLP_METRICS_JSON) for message in messages]
    first, second = decode_group(binary, 3), decode_group(told, 3)
    assert first.tables.get("metric_points") == second.tables.get("metric_points")
    assert first.skipped == second.skipped
    refused = [(letter.reason, letter.detail) for letter in first.dead]
    assert refused == [(letter.reason, letter.detail) for letter in second.dead]
    items = first.counts.get("metric_points", 0) + first.skipped + len(refused)
    for inspect, reports in ((inspect_metrics, binary), (inspect_metrics_json, told)):
        seen = [inspect(one.body, NOW_NS) for one in reports]
        assert sum(found.items for found in seen) == items
        assert sum(found.rejected for found in seen) <= len(refused)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(messages=metric_requests)
def test_what_is_decoded_can_be_stored(store_url, messages):
    decoded = decode_group([report(message, Signal.OTLP_METRICS) for message in messages], 3)
    token = f"example:{next(EXAMPLES)}"
    with Store(store_url) as store:
        before = {table: count(store, table) for table in decoded.tables}
        for table, columns in decoded.tables.items():
            store.insert(table, columns, token=token)
        after = {table: count(store, table) for table in decoded.tables}
    assert {table: after[table] - before[table] for table in after} == decoded.counts


def count(store, table):
    return store.rows(f"SELECT count() FROM {table}")[0][0]


def test_a_value_is_read_whether_it_was_sent_as_an_integer_or_not(store):
    decoded = decode(gauge(as_int=5), gauge(as_double=2.5))
    store.insert("metric_points", decoded.tables["metric_points"], token="t")
    assert store.rows("SELECT value FROM metric_points ORDER BY value") == [(2.5,), (5.0,)]


def test_a_retried_insert_tells_no_export_twice(store):
    decoded = decode(counter(number_point(), number_point(attributes=[])))
    for _ in range(2):
        store.insert("metric_points", decoded.tables["metric_points"], token="t")
    assert store.rows("SELECT count() FROM metric_exports") == [(1,)]


def test_an_empty_request_is_nothing():
    empty = ExportMetricsServiceRequest()
    assert decode_group([report(empty, Signal.OTLP_METRICS)], 1).tables == {}
