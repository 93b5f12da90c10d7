"""Traces that have a span of some kind, the newest first, page by page."""

from collections.abc import Mapping
from typing import NamedTuple

from collector.model import TraceSearch
from collector.store.client import Store
from collector.store.queries.rollups import SECOND_NS

# A trace is found by its newest span that fits; the page ends where the next one begins. The second
# reading is of the traces found alone, an hour around what was found of them.
FOUND = """
SELECT
    lower(hex(trace_id)) AS trace_id_hex,
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
    AND arrayAll(
        (key, value, any_value) -> if(
            any_value,
            mapContains(attributes, key) OR mapContains(resource, key),
            attributes[key] = value OR resource[key] = value
        ),
        CAST(%(keys)s, 'Array(String)'),
        CAST(%(values)s, 'Array(String)'),
        CAST(%(any_values)s, 'Array(UInt8)')
    )
GROUP BY trace_id
HAVING (at_ns, trace_id) < (%(before_ns)s, unhex(%(before_id)s))
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

COUNT = """
SELECT count()
FROM
(
    SELECT trace_id
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
        AND arrayAll(
            (key, value, any_value) -> if(
                any_value,
                mapContains(attributes, key) OR mapContains(resource, key),
                attributes[key] = value OR resource[key] = value
            ),
            CAST(%(keys)s, 'Array(String)'),
            CAST(%(values)s, 'Array(String)'),
            CAST(%(any_values)s, 'Array(UInt8)')
        )
    GROUP BY trace_id
    LIMIT %(count_limit)s
)
"""

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
    params = {
        "start_s": start_ns // SECOND_NS,
        "end_s": -(-end_ns // SECOND_NS),
        "start_ns": start_ns,
        "end_ns": end_ns,
        "service": wanted.service,
        "operation": wanted.operation,
        "min_ns": wanted.min_duration_ns,
        "max_ns": wanted.max_duration_ns,
        "errors": int(wanted.errors),
        "keys": [key for key, _ in wanted.attributes],
        "values": [value or "" for _, value in wanted.attributes],
        "any_values": [int(value is None) for _, value in wanted.attributes],
    }
    page = {"before_ns": before[0], "before_id": before[1], "limit": limit}
    found = dict(store.rows(FOUND, params | page))
    ((total,),) = store.rows(COUNT, params | {"count_limit": MAX_COUNTED + 1})
    return Page(summaries(store, found), min(total, MAX_COUNTED), total <= MAX_COUNTED)


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
