"""One trace: all its spans, in the order they began."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from collector.store.client import Store

# A trace is in few granules: a second thread to read them costs a third more and gains nothing.
SQL = """
SELECT
    toUnixTimestamp64Nano(time) AS start_ns,
    lower(hex(trace_id)) AS trace_id_hex,
    leftPad(lower(hex(span_id)), 16, '0') AS span_id_hex,
    if(parent_id = 0, '', leftPad(lower(hex(parent_id)), 16, '0')) AS parent_id_hex,
    service,
    name,
    kind,
    status,
    error,
    http_status,
    duration_ns,
    shared,
    weight,
    attributes,
    resource,
    arrayMap(event -> (toUnixTimestamp64Nano(event.1), event.2, event.3), events) AS events_ns
FROM spans
WHERE trace_id = unhex(%(trace_id)s)
ORDER BY start_ns, span_id, shared
LIMIT %(limit)s
SETTINGS max_threads = 1
"""

MAX_SPANS = 50_000


class Event(NamedTuple):
    time_ns: int
    name: str
    attributes: Mapping[str, str]


class Span(NamedTuple):
    """Times in nanoseconds; ids in hex, `parent_id` "" for a root."""

    start_ns: int
    trace_id: str
    span_id: str
    parent_id: str
    service: str
    name: str
    kind: int  # OTLP SpanKind
    status: int  # OTLP StatusCode
    error: bool
    http_status: int  # 0: none
    duration_ns: int
    shared: bool
    weight: float
    attributes: Mapping[str, str]
    resource: Mapping[str, str]
    events: Sequence[Event]


def trace(store: Store, trace_id: str, limit: int = MAX_SPANS) -> list[Span]:
    """Empty when there is none; `trace_id` is 32 hex digits. Raises StoreDown."""
    found = store.rows(SQL, {"trace_id": trace_id, "limit": limit})
    return [span(row) for row in found]


def span(row: Sequence[object]) -> Span:
    made = Span(*row)  # type: ignore[arg-type]
    return made._replace(
        error=bool(made.error),
        shared=bool(made.shared),
        events=[Event(*event) for event in made.events],
    )
