"""One line of statsd, in its own form or Datadog's, as samples.

    name:value[:value…]|type[|@rate][|#tag:value,tag][|anything else]

Sources: https://github.com/statsd/statsd/blob/master/docs/metric_types.md,
https://docs.datadoghq.com/developers/dogstatsd/datagram_shell/
"""

import math
from enum import StrEnum
from typing import NamedTuple

from collector.decoders.limits import MAX_KEY_BYTES
from collector.decoders.text import limited

MAX_LINE_BYTES = 4096
SMALLEST_RATE = 1e-6  # a smaller sample rate is taken for a mistake
NOT_METRICS = (b"_e{", b"_sc|")  # Datadog's events and service checks

Tags = tuple[tuple[str, str], ...]


class Kind(StrEnum):
    COUNTER = "c"
    GAUGE = "g"
    TIMER = "ms"
    HISTOGRAM = "h"
    SET = "s"


KINDS = {
    **{kind.value: kind for kind in Kind},
    "m": Kind.COUNTER,  # meters
    "d": Kind.HISTOGRAM,  # Datadog's distributions
}


class BadLine(Exception):
    """`reason` is the label of its counter."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Series(NamedTuple):
    name: str
    kind: Kind
    tags: Tags = ()  # sorted, each once


class Sample(NamedTuple):
    """`weight`: how many it stands for. `change`: a gauge is to be moved by the value.

    `member`: of a set, which has no value.
    """

    series: Series
    value: float = 0.0
    weight: float = 1.0
    change: bool = False
    member: str = ""


def samples(line: bytes) -> list[Sample]:
    """Raises BadLine."""
    if len(line) > MAX_LINE_BYTES:
        raise BadLine("too_long")
    if line.startswith(NOT_METRICS):
        raise BadLine("not_a_metric")
    name, colon, rest = line.decode("utf-8", "replace").partition(":")
    values, *fields = rest.split("|")
    if not colon or not fields or not name or len(name) > MAX_KEY_BYTES:
        raise BadLine("malformed")
    kind = KINDS.get(fields[0])
    if kind is None:
        raise BadLine("unknown_type")
    weight = 1.0
    tags: Tags = ()
    for field in fields[1:]:
        if field.startswith("@"):
            weight = 1 / rate(field[1:])
        elif field.startswith("#"):
            tags = tags_of(field[1:])
    series = Series(name, kind, tags)
    if kind is Kind.SET:
        return [Sample(series, member=values)]
    if kind is Kind.GAUGE:
        return [
            Sample(series, number(value), change=value[:1] in ("+", "-"))
            for value in values.split(":")
        ]
    return [Sample(series, number(value), weight) for value in values.split(":")]


def number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise BadLine("bad_value") from None
    if "_" in text or not math.isfinite(value):
        raise BadLine("bad_value")
    return value


def rate(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise BadLine("bad_rate") from None
    if not SMALLEST_RATE <= value <= 1:
        raise BadLine("bad_rate")
    return value


def tags_of(text: str) -> Tags:
    """A tag may have no value. Of two of one name the last counts."""
    found = {}
    for tag in text.split(","):
        key, _, value = tag.partition(":")
        if key:
            found[key] = value
    return tuple(sorted(limited(found).items()))
