"""A row of each table the worker writes, column by column; `_group` is added to all of them.

Times are nanoseconds since 1970. What the columns mean is said in migrations/clickhouse.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

NO_TRACE = bytes(16)

Event = tuple[int, str, dict[str, str]]  # time, name, attributes


class SpanRow(NamedTuple):
    time: int
    trace_id: bytes
    span_id: int
    parent_id: int
    service: str
    name: str
    kind: int
    status: int
    error: int
    http_status: int
    duration_ns: int
    attributes: dict[str, str]
    resource: dict[str, str]
    events: list[Event]
    weight: float
    shared: int = 0


class RequestRow(NamedTuple):
    time: int
    source: str
    destination: str
    reporter: str
    node: str
    protocol: str
    method: str
    host: str
    path: str
    status: int
    error: int
    denied: int
    flags: str
    details: str
    rule: str
    duration_ns: int
    request_bytes: int
    response_bytes: int
    trace_id: bytes
    span_id: int
    request_id: str
    log_id: str
    source_principal: str
    destination_principal: str
    source_address: str
    tags: dict[str, str]
    weight: float


class LogRow(NamedTuple):
    time: int
    observed: int
    service: str
    severity: int
    severity_text: str
    body: str
    event: str
    trace_id: bytes
    span_id: int
    scope: str
    attributes: dict[str, str]
    resource: dict[str, str]


class MetricPointRow(NamedTuple):
    time: int
    start: int
    metric: str
    kind: str
    temporality: str
    monotonic: int
    unit: str
    service: str
    node: str
    sender: int
    series: int
    scope: str
    attributes: dict[str, str]
    resource: dict[str, str]
    integer: int = 0
    double: float = 0.0
    non_finite: str = ""
    observations: int = 0
    sum: float | None = None
    min: float | None = None
    max: float | None = None
    bounds: Sequence[float] = ()
    buckets: Sequence[int] = ()
    scale: int = 0
    zero_count: int = 0
    zero_threshold: float = 0.0
    positive_offset: int = 0
    positive: Sequence[int] = ()
    negative_offset: int = 0
    negative: Sequence[int] = ()
    quantiles: Sequence[tuple[float, float]] = ()


class DecisionRow(NamedTuple):
    time: int
    id: str
    allowed: int
    rule: str = ""
    rule_version: int = 0
    snapshot_version: int = 0
    decided_by: str = ""
    reason: str = ""
    http_status: int = 0
    protocol: str = ""
    source: str = ""
    destination: str = ""
    source_principal: str = ""
    method: str = ""
    path: str = ""
    request_id: str = ""
    trace_id: bytes = NO_TRACE
    quota_limit: int = -1
    quota_remaining: int = -1
    quota_granted: int = -1
    quota_key: str = ""
    quota_override: str = ""
    attributes: dict[str, str] = {}  # noqa: RUF012  (a tuple's default, never changed)
    beside_rule: Sequence[str] = ()
    beside_version: Sequence[int] = ()
    beside_allowed: Sequence[int] = ()
    beside_live: Sequence[int] = ()
    beside_key: Sequence[str] = ()
    weight: float = 1.0


class DeadLetterRow(NamedTuple):
    time: int
    signal: str
    reason: str
    detail: str
    identity: str
    item: bytes
    head: bytes = b""
    tail: bytes = b""
    replayable: int = 0


Row = SpanRow | RequestRow | LogRow | MetricPointRow | DecisionRow | DeadLetterRow

TABLES: dict[type[Row], str] = {
    SpanRow: "spans",
    RequestRow: "requests",
    LogRow: "logs",
    MetricPointRow: "metric_points",
    DecisionRow: "decisions",
    DeadLetterRow: "dead_letters",
}

# On a cluster a span is on its trace's shard, as calls are matched there; all other rows of a group
# are on one shard.
BY_TRACE = frozenset({"spans"})


class ReadyColumns(Mapping[str, Sequence[Any]]):
    """Columns of at least one row that can be written without a look at each value."""

    @abstractmethod
    def native(self, types: Sequence[tuple[str, str]]) -> bytes | None:
        """A block in ClickHouse's Native format, of columns of these names and types; None when
        one of the types is not written so."""


def columns(rows: Sequence[Row], group: int) -> dict[str, list[Any]]:
    """Rows of one table, at least one, as the columns `Store.insert` takes."""
    names = rows[0]._fields
    found = {
        name: list(values) for name, values in zip(names, zip(*rows, strict=True), strict=True)
    }
    found["_group"] = [group] * len(rows)
    return found
