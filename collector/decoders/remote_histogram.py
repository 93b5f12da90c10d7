"""Prometheus' native histograms as the columns of exponential ones, or of ones with bounds.

Bucket i of Prometheus ends where bucket i - 1 of OpenTelemetry does.
Source: https://prometheus.io/docs/specs/native_histograms/
"""

from collections.abc import Sequence
from itertools import accumulate, pairwise

from collector.decoders.metric_values import (
    MAX_BUCKETS,
    BadPoint,
    Values,
    finite,
)
from collector.proto import remote_write_pb2 as pb

CUSTOM_BUCKETS = -53  # the schema that has bounds of its own
MIN_SCHEMA, MAX_SCHEMA = -4, 8


def kind_of(histogram: pb.Histogram) -> str:
    return "histogram" if histogram.schema == CUSTOM_BUCKETS else "exponential_histogram"


def values_of(histogram: pb.Histogram) -> Values:
    """Raises BadPoint."""
    if histogram.HasField("count_float"):
        raise BadPoint("a histogram of fractional counts is of no requests")
    common: Values = {
        "observations": histogram.count_int,
        "sum": finite("sum", histogram.sum),
    }
    positive = counts(histogram.positive_spans, histogram.positive_deltas)
    if histogram.schema == CUSTOM_BUCKETS:
        return common | with_bounds(positive, list(histogram.custom_values))
    if not MIN_SCHEMA <= histogram.schema <= MAX_SCHEMA:
        raise BadPoint(f"schema {histogram.schema} is not from {MIN_SCHEMA} to {MAX_SCHEMA}")
    negative = counts(histogram.negative_spans, histogram.negative_deltas)
    return common | {
        "scale": histogram.schema,
        "zero_count": histogram.zero_count_int,
        "zero_threshold": finite("zero_threshold", histogram.zero_threshold),
        "positive_offset": positive[0] - 1 if positive[1] else 0,
        "positive": positive[1],
        "negative_offset": negative[0] - 1 if negative[1] else 0,
        "negative": negative[1],
    }


def counts(spans: Sequence[pb.Span], deltas: Sequence[int]) -> tuple[int, list[int]]:
    """The number of the first bucket, and all up to the last, those between spans too."""
    if sum(span.length for span in spans) != len(deltas):
        raise BadPoint(f"{len(deltas)} buckets are told, and others are spanned")
    told = accumulate(deltas)
    found: list[int] = []
    for place, span in enumerate(spans):
        gap = span.offset if place else 0
        if gap < 0 or len(found) + gap + span.length > MAX_BUCKETS:
            raise BadPoint(f"buckets overlap, or reach over more than {MAX_BUCKETS}")
        found += [0] * gap
        found += [next(told) for _ in range(span.length)]
    if any(count < 0 for count in found):
        raise BadPoint("a bucket holds less than nothing")
    return (spans[0].offset if spans else 0), found


def with_bounds(positive: tuple[int, list[int]], bounds: list[float]) -> Values:
    offset, told = positive
    buckets = [0] * offset + told if offset >= 0 else []
    if len(bounds) >= MAX_BUCKETS or not 0 <= offset <= offset + len(told) <= len(bounds) + 1:
        raise BadPoint(f"buckets up to {offset + len(told)} do not go with {len(bounds)} bounds")
    if not all(low < high for low, high in pairwise(bounds)):
        raise BadPoint("custom_values do not rise")
    return {"bounds": bounds, "buckets": buckets + [0] * (len(bounds) + 1 - len(buckets))}
