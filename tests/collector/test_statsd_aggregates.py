"""What statsd said in a while becomes one OTLP request a sender."""

import math
import random

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AggregationTemporality,
    ExponentialHistogramDataPoint,
)

from collector.statsd.aggregates import Aggregates
from collector.statsd.distribution import MAX_BUCKETS, Distribution
from collector.statsd.lines import BadLine, samples

START_NS, END_NS = 1_000, 2_000
DELTA = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA


def told(aggregates, *lines, sender="10.0.0.5"):
    for line in lines:
        for sample in samples(line.encode()):
            aggregates.add(sender, sample)
    return aggregates


def metrics(aggregates):
    """Of the one sender, by name."""
    (flushed,) = aggregates.flush(START_NS, END_NS)
    request = ExportMetricsServiceRequest.FromString(flushed.body)
    found = {
        metric.name: metric
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    points = [getattr(metric, metric.WhichOneof("data")).data_points for metric in found.values()]
    assert flushed.points == sum(map(len, points))
    return found


def only(*lines):
    (metric,) = metrics(told(Aggregates(), *lines)).values()
    return metric


def test_counters_are_added_up_by_their_rate():
    metric = only("hits:1|c", "hits:2:3|c", "hits:1|c|@0.01")
    (point,) = metric.sum.data_points
    assert (point.as_double, point.start_time_unix_nano, point.time_unix_nano) == (106, 1000, 2000)
    assert (metric.sum.aggregation_temporality, metric.sum.is_monotonic) == (DELTA, True)


def test_a_gauge_has_its_last_value():
    (point,) = only("depth:5|g", "depth:7|g").gauge.data_points
    assert point.as_double == 7


def test_a_gauge_is_moved_by_a_difference_also_from_one_while_to_the_next():
    aggregates = Aggregates()
    lines = ["depth:5|g", "depth:+3|g", "depth:-1|g"]
    assert metrics(told(aggregates, *lines))["depth"].gauge.data_points[0].as_double == 7
    assert metrics(told(aggregates, "depth:-2|g"))["depth"].gauge.data_points[0].as_double == 5


def test_a_set_is_how_many_it_has():
    metric = only("users:ada|s", "users:bob|s", "users:ada|s")
    assert metric.gauge.data_points[0].as_double == 2


def test_timers_are_a_histogram_of_milliseconds():
    metric = only("t:100|ms", "t:200|ms|@0.5", "t:0|ms")
    assert metric.unit == "ms"
    assert metric.exponential_histogram.aggregation_temporality == DELTA
    (point,) = metric.exponential_histogram.data_points
    assert (point.count, point.sum, point.min, point.max) == (4, 500, 0, 200)
    assert (point.start_time_unix_nano, point.time_unix_nano) == (1000, 2000)
    assert only("t:1|h").unit == ""


def test_what_was_said_is_forgotten_once_it_was_told():
    aggregates = told(Aggregates(), "hits:1|c", "t:1|ms")
    assert len(metrics(aggregates)) == 2
    assert aggregates.flush(END_NS, END_NS + 1) == []


def test_tags_make_series_and_the_service_is_the_resources():
    aggregates = told(
        Aggregates(), "hits:1|c|#a:1,service:cart", "hits:1|c|#a:2,service:cart", "hits:1|c"
    )
    (flushed,) = aggregates.flush(START_NS, END_NS)
    request = ExportMetricsServiceRequest.FromString(flushed.body)
    named, unnamed = request.resource_metrics
    assert [one.value.string_value for one in named.resource.attributes] == ["cart"]
    assert list(unnamed.resource.attributes) == []
    points = named.scope_metrics[0].metrics[0].sum.data_points
    tags = [{one.key: one.value.string_value for one in point.attributes} for point in points]
    assert tags == [
        {"a": "1", "service": "cart"},
        {"a": "2", "service": "cart"},
    ]


def test_each_sender_has_a_request_and_gauges_of_its_own():
    aggregates = told(Aggregates(), "depth:1|g", sender="10.0.0.1")
    told(aggregates, "depth:+5|g", sender="10.0.0.2")
    found = {one.sender: one.body for one in aggregates.flush(START_NS, END_NS)}
    levels = {
        sender: ExportMetricsServiceRequest.FromString(body)
        .resource_metrics[0]
        .scope_metrics[0]
        .metrics[0]
        .gauge.data_points[0]
        .as_double
        for sender, body in found.items()
    }
    assert levels == {"10.0.0.1": 1, "10.0.0.2": 5}


def test_beyond_what_is_remembered_new_series_are_refused_and_old_ones_go_on():
    aggregates = told(Aggregates(max_entries=4), "a:1|c", "b:1|c", "c:1|c")
    for line in ("d:1|c", "e:1|ms", "f:x|s"):
        with pytest.raises(BadLine, match="too_many"):
            told(aggregates, line)
    assert metrics(told(aggregates, "a:1|c"))["a"].sum.data_points[0].as_double == 2
    assert set(metrics(told(aggregates, "d:1|c"))) == {"d"}


def test_buckets_and_members_and_long_names_count_too():
    timers = told(Aggregates(max_entries=4), "t:1|ms", "t:1|ms")
    told(timers, "t:1000|ms")
    with pytest.raises(BadLine, match="too_many"):
        told(timers, "t:1000000|ms")
    users = told(Aggregates(max_entries=4), "u:a|s", "u:a|s", "u:b|s")
    with pytest.raises(BadLine, match="too_many"):
        told(users, "u:c|s")
    with pytest.raises(BadLine, match="too_many"):
        told(Aggregates(max_entries=4), f"{'n' * 500}:1|c")


# --- distributions


def filled(*values, weight=1.0):
    distribution = Distribution()
    for value in values:
        assert distribution.add(value, weight)
    point = ExponentialHistogramDataPoint()
    distribution.fill(point)
    return point


def held(point):
    """Upper end of each bucket that holds something, and what it holds."""
    base = 2 ** (2.0**-point.scale)
    found = {}
    for sign, side in ((-1, point.negative), (1, point.positive)):
        for index, count in enumerate(side.bucket_counts):
            if count:
                found[sign * base ** (side.offset + index + 1)] = count
    return found


def test_a_distribution_knows_count_sum_and_extremes():
    point = filled(1.0, 2.0, 0.0, -4.0)
    assert (point.count, point.zero_count, point.sum, point.min, point.max) == (4, 1, -1, -4, 2)


def test_a_power_of_two_is_the_upper_end_of_its_bucket():
    assert sorted(held(filled(1.0, 2.0, 4.0))) == pytest.approx([1.0, 2.0, 4.0])


@pytest.mark.parametrize("value", [3.7, 1e-9, 123456.0, -5.5])
def test_a_value_is_known_to_a_thirty_second_of_an_octave(value):
    (upper,) = held(filled(value))
    assert math.copysign(1, upper) == math.copysign(1, value)
    assert abs(value) <= abs(upper) < abs(value) * 2 ** (1 / 32) * (1 + 1e-9)


def test_what_was_sampled_counts_for_more():
    point = filled(5.0, 5.0, weight=100.0)
    assert (point.count, list(point.positive.bucket_counts)) == (200, [200])
    assert point.sum == 1000


def test_far_apart_values_share_buckets_and_none_is_lost():
    dice = random.Random(3)
    values = [dice.choice((-1, 1)) * 2 ** dice.uniform(-1000, 1000) for _ in range(500)]
    point = filled(*values)
    buckets = len(point.positive.bucket_counts) + len(point.negative.bucket_counts)
    assert buckets <= MAX_BUCKETS
    assert point.count == sum(held(point).values()) == 500
    base = 2 ** (2.0**-point.scale)
    for value in values:
        index = math.ceil(math.log(abs(value), base)) - 1
        side = point.positive if value > 0 else point.negative
        near = side.bucket_counts[max(0, index - side.offset - 1) : index - side.offset + 2]
        assert sum(near) > 0


def test_a_sum_beyond_every_number_is_not_told():
    point = filled(1e308, 1e308)
    assert not point.HasField("sum")
    assert (point.count, point.max) == (2, 1e308)
