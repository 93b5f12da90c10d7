"""Values counted by their logarithm: what becomes an exponential histogram.

Of scale s, bucket i holds values of (2^(i/2^s), 2^((i+1)/2^s)]. When there are too many buckets,
neighbours become one and the scale falls by one.
Source: the OpenTelemetry metrics data model, exponential histograms.
"""

import math

from opentelemetry.proto.metrics.v1.metrics_pb2 import ExponentialHistogramDataPoint

FIRST_SCALE = 5  # 32 buckets an octave: a value is known to 1.1 %
MAX_BUCKETS = 320

Buckets = dict[int, float]


class Distribution:
    def __init__(self) -> None:
        self.scale = FIRST_SCALE
        self.sum = 0.0
        self.min = math.inf
        self.max = -math.inf
        self._zeros = 0.0
        self._positive: Buckets = {}
        self._negative: Buckets = {}

    @property
    def size(self) -> int:
        return len(self._positive) + len(self._negative)

    def add(self, value: float, weight: float, *, grow: bool = True) -> bool:
        """False when it would need a bucket more and is not to `grow`; then nothing is changed."""
        buckets = self._positive if value > 0 else self._negative
        index = math.ceil(math.log2(abs(value)) * 2**self.scale) - 1 if value else None
        if index is not None and index not in buckets and not grow:
            return False
        self.sum += value * weight
        self.min, self.max = min(self.min, value), max(self.max, value)
        if index is None:
            self._zeros += weight
        else:
            self._count(buckets, index, weight)
        return True

    def _count(self, buckets: Buckets, index: int, weight: float) -> None:
        if index in buckets:
            buckets[index] += weight
            return
        buckets[index] = weight
        while span(self._positive) + span(self._negative) > MAX_BUCKETS:
            self.scale -= 1
            self._positive, self._negative = halved(self._positive), halved(self._negative)

    def fill(self, point: ExponentialHistogramDataPoint) -> None:
        """Buckets hold whole numbers, so what was sampled is rounded in each."""
        point.scale = self.scale
        point.min, point.max = self.min, self.max
        if math.isfinite(self.sum):
            point.sum = self.sum
        point.zero_count = round(self._zeros)
        point.count = point.zero_count
        for buckets, told in (
            (self._positive, point.positive),
            (self._negative, point.negative),
        ):
            if buckets:
                told.offset = min(buckets)
                counts = [round(buckets.get(told.offset + i, 0)) for i in range(span(buckets))]
                told.bucket_counts.extend(counts)
                point.count += sum(counts)


def span(buckets: Buckets) -> int:
    """From the first to the last that holds anything."""
    return max(buckets) - min(buckets) + 1 if buckets else 0


def halved(buckets: Buckets) -> Buckets:
    found: Buckets = {}
    for index, weight in buckets.items():
        found[index >> 1] = found.get(index >> 1, 0.0) + weight
    return found
