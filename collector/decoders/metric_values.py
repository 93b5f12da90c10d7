"""The values of a metric's data points, by kind, as the columns that hold them.

A point of a message and one of JSON have the same fields, so each function here takes either.
Source: opentelemetry/proto/metrics/v1/metrics.proto
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

MAX_BUCKETS = 1024
MAX_QUANTILES = 128
MIN_SCALE, MAX_SCALE = -10, 20
OCTAVES = 1100  # from the smallest double to 1, and from 1 to the largest, there are fewer

NO_RECORDED_VALUE = 1  # DataPointFlags


class BadPoint(Exception):
    """What no reader could make sense of. Its text names the field."""


Values = dict[str, Any]


def number(point: Any) -> Values:
    match point.WhichOneof("value"):
        case "as_int":
            return {"integer": point.as_int}
        case "as_double":
            value = point.as_double
            return {"double": value} if math.isfinite(value) else {"non_finite": str(value)}
        case _:
            raise BadPoint("neither as_int nor as_double is told")


def histogram(point: Any) -> Values:
    counts, bounds = list(point.bucket_counts), list(point.explicit_bounds)
    if (counts or bounds) and len(counts) != len(bounds) + 1:
        raise BadPoint(f"{len(counts)} bucket_counts do not go with {len(bounds)} explicit_bounds")
    if any(map(math.isnan, bounds)) or not all(low < high for low, high in pairwise(bounds)):
        raise BadPoint("explicit_bounds do not rise")
    return {"bounds": bounds, "buckets": few(counts), **summed(point), **extremes(point)}


def exponential_histogram(point: Any) -> Values:
    scale = point.scale
    if not MIN_SCALE <= scale <= MAX_SCALE:
        raise BadPoint(f"scale {scale} is not from {MIN_SCALE} to {MAX_SCALE}")
    most = math.ceil(OCTAVES * 2.0**scale)
    positive, negative = list(point.positive.bucket_counts), list(point.negative.bucket_counts)
    for offset, counts in ((point.positive.offset, positive), (point.negative.offset, negative)):
        if few(counts) and not -most <= offset <= offset + len(counts) <= most:
            raise BadPoint(f"buckets from {offset} of scale {scale} are beyond every double")
    if not (point.zero_threshold >= 0 and math.isfinite(point.zero_threshold)):
        raise BadPoint("zero_threshold is no number from 0 on")
    return {
        "scale": scale,
        "zero_count": point.zero_count,
        "zero_threshold": point.zero_threshold,
        "positive_offset": point.positive.offset if positive else 0,
        "positive": positive,
        "negative_offset": point.negative.offset if negative else 0,
        "negative": negative,
        **summed(point),
        **extremes(point),
    }


def summary(point: Any) -> Values:
    """A quantile of nothing is not a number, and left out."""
    told = [(one.quantile, one.value) for one in point.quantile_values]
    if len(told) > MAX_QUANTILES:
        raise BadPoint(f"over {MAX_QUANTILES} quantiles")
    if not all(0 <= quantile <= 1 for quantile, _ in told):
        raise BadPoint("a quantile is not from 0 to 1")
    found = [(quantile, value) for quantile, value in told if math.isfinite(value)]
    return {"quantiles": found, "observations": point.count, "sum": finite("sum", point.sum or 0.0)}


def few(counts: Sequence[int]) -> Sequence[int]:
    if len(counts) > MAX_BUCKETS:
        raise BadPoint(f"over {MAX_BUCKETS} buckets")
    return counts


def summed(point: Any) -> Values:
    total = finite("sum", point.sum) if point.HasField("sum") else None
    return {"observations": point.count, "sum": total}


def finite(name: str, value: float) -> float:
    if not math.isfinite(value):
        raise BadPoint(f"{name} is not finite")
    return value


def extremes(point: Any) -> Values:
    """Of an empty histogram they may be infinite: then there are none."""
    told = {name: getattr(point, name) for name in ("min", "max") if point.HasField(name)}
    return {name: value for name, value in told.items() if math.isfinite(value)}


VALUES: dict[str, Callable[[Any], Values]] = {
    "gauge": number,
    "sum": number,
    "histogram": histogram,
    "exponential_histogram": exponential_histogram,
    "summary": summary,
}
