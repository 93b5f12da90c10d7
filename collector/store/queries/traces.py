"""Traces that have a span of some kind, the newest first, page by page."""

from collections.abc import Mapping
from typing import NamedTuple

from collector.model import TraceSearch
from collector.store.client import Store
from collector.store.queries.rollups import SECOND_NS

# A trace is found by its newest span that fits; the page ends where the next one begins. The second
# reading is of the traces found alone, an hour around what was found of them.
FITTING = """
SELECT
    trace_id,
    max(toUnixTimestamp64Nano(time)) AS at_ns
FROM spans
WHERE toStartOfFiveMinutes(time) >= toStartOfFiveMinutes(toDateTime(%(start_s)s))
    AND time >= toDateTime64(%(start_s)s, 9) AND time < toDateTime64(%(end_s)s, 9)
    AND toUnixTimestamp64Nano(time) >= %(start_ns)s
    AND toUnixTimestamp64Nano(time) < %(end_ns)s
    AND (%(service)s = '' OR service = %(service)s)
    AND (%(operation)s = '' OR name = %(operation)s)
    AND duration_ns >= %(min_ns)s
    AND (%(max_ns)s = 0 OR duration_ns <= %(max_ns)s)
    AND (NOT %(errors)s OR error)
    {attributes}
GROUP BY trace_id
"""

# An attribute is a span's own, or its resource's. Without a value, any will do; an empty one is
# also that of a span without the attribute, which no index tells. What is read is what the index
# of 0011_smaller_spans.sql says may have the value (indexHint asks it alone).
ANY_VALUE = "AND (mapContains(attributes, %({key})s) OR mapContains(resource, %({key})s))"
NO_VALUE = "AND (attributes[%({key})s] = '' OR resource[%({key})s] = '')"
VALUE = """
    AND indexHint(has(arrayConcat(mapValues(attributes), mapValues(resource)), %({value})s))
    AND (attributes[%({key})s] = %({value})s OR resource[%({key})s] = %({value})s)
"""

FOUND = """
SELECT
    lower(hex(trace_id)) AS trace_id_hex,
    at_ns,
    total
FROM
(
    SELECT trace_id, at_ns, count() OVER () AS total
    FROM ({fitting})
)
WHERE (at_ns, trace_id) < (%(before_ns)s, unhex(%(before_id)s))
ORDER BY at_ns DESC, trace_id DESC
LIMIT %(limit)s
"""

SUMMARIES = """
SELECT
    lower(hex(trace_id)) AS trace_id_hex,
    min(toUnixTimestamp64Nano(time)) AS start_ns,
    max(toUnixTimestamp64Nano(time) + duration_ns) - start_ns AS duration_ns,
    argMin(service, (parent_id != 0, time)) AS root_service,
    argMin(name, (parent_id != 0, time)) AS root_name,
    count() AS spans,
    countIf(error) AS errors,
    arraySort(groupUniqArray(service)) AS services
FROM spans
WHERE trace_id IN (SELECT unhex(arrayJoin(%(found)s)))
    AND time >= fromUnixTimestamp64Nano(%(first_ns)s)
    AND time <= fromUnixTimestamp64Nano(%(last_ns)s)
GROUP BY trace_id
"""

AROUND_NS = 3600 * SECOND_NS

COUNT = "SELECT count() FROM ({fitting} LIMIT %(count_limit)s)"

MAX_COUNTED = 10_000
NEWEST = (2**62, "f" * 32)  # before any trace


class Summary(NamedTuple):
    """A trace in a line. `at_ns`: its newest span that fits, by which the list is sorted."""

    trace_id: str
    at_ns: int
    start_ns: int
    duration_ns: int
    root_service: str
    root_name: str
    spans: int
    errors: int
    services: list[str]


class Page(NamedTuple):
    """`total` traces fit in all; `exact` is false when there are at least so many."""

    traces: list[Summary]
    total: int
    exact: bool


def traces(
    store: Store,
    start_ns: int,
    end_ns: int,
    wanted: TraceSearch,
    limit: int = 20,
    before: tuple[int, str] = NEWEST,
) -> Page:
    """Those after the place `before`, the `at_ns` and `trace_id` of the page before's last.

    Raises StoreDown, StoreError when it takes too long.
    """
    fitting, params = fitting_traces(start_ns, end_ns, wanted)
    page = {"before_ns": before[0], "before_id": before[1], "limit": limit}
    rows = store.rows(FOUND.format(fitting=fitting), params | page)
    total = rows[0][2] if rows else 0
    if not rows and before != NEWEST:
        limited = params | {"count_limit": MAX_COUNTED + 1}
        ((total,),) = store.rows(COUNT.format(fitting=fitting), limited)
    found = {trace_id: at_ns for trace_id, at_ns, _ in rows}
    return Page(summaries(store, found), min(total, MAX_COUNTED), total <= MAX_COUNTED)


def fitting_traces(
    start_ns: int, end_ns: int, wanted: TraceSearch
) -> tuple[str, dict[str, object]]:
    """A subquery of `trace_id` and `at_ns` of all that fit, and its parameters."""
    params: dict[str, object] = {
        "start_s": start_ns // SECOND_NS,
        "end_s": -(-end_ns // SECOND_NS),
        "start_ns": start_ns,
        "end_ns": end_ns,
        "service": wanted.service,
        "operation": wanted.operation,
        "min_ns": wanted.min_duration_ns,
        "max_ns": wanted.max_duration_ns,
        "errors": int(wanted.errors),
        **{f"key{n}": key for n, (key, _) in enumerate(wanted.attributes)},
        **{f"value{n}": value for n, (_, value) in enumerate(wanted.attributes)},
    }
    return FITTING.format(attributes=having(wanted)), params


def having(wanted: TraceSearch) -> str:
    """The condition of each attribute, on parameters `key0`, `value0` and so on."""
    return "".join(
        (ANY_VALUE if value is None else VALUE if value else NO_VALUE).format(
            key=f"key{n}", value=f"value{n}"
        )
        for n, (_, value) in enumerate(wanted.attributes)
    )


def summaries(store: Store, found: Mapping[str, int]) -> list[Summary]:
    """Of traces by id, each with its `at_ns`, in their order."""
    if not found:
        return []
    params = {
        "found": list(found),
        "first_ns": min(found.values()) - AROUND_NS,
        "last_ns": max(found.values()) + AROUND_NS,
    }
    told = {row[0]: row[1:] for row in store.rows(SUMMARIES, params)}
    return [
        Summary(trace_id, at_ns, *told[trace_id])
        for trace_id, at_ns in found.items()
        if trace_id in told
    ]
