"""Log records of some kind, the newest first, page by page."""

from collections.abc import Mapping
from typing import NamedTuple

from collector.model import LogPlace, LogSearch
from collector.store.client import Store
from collector.store.queries.rollups import SECOND_NS

# Records have no id: those of one time are ordered by a hash of all they say, and of those that
# are alike the page before has shown so many. The hash is of what is at the page's times only, so
# that bodies and attributes of all other records stay unread.
SQL = """
WITH
(
    SELECT min(at)
    FROM
    (
        SELECT time AS at
        FROM logs
        WHERE toStartOfFiveMinutes(time) >= toStartOfFiveMinutes(toDateTime(%(start_s)s))
            AND time >= fromUnixTimestamp64Nano(toInt64(%(start_ns)s))
            AND time < fromUnixTimestamp64Nano(toInt64(%(end_ns)s))
            AND time <= fromUnixTimestamp64Nano(toInt64(%(at_ns)s))
            AND (%(service)s = '' OR service = %(service)s)
            AND severity >= %(min_severity)s
            AND (%(trace_id)s = '' OR trace_id = unhex(%(trace_id)s))
            AND (%(pattern)s = '%%' OR lower(body) LIKE lower(%(pattern)s))
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
        ORDER BY at DESC
        LIMIT %(limit)s + %(same_time)s
    )
) AS oldest
SELECT
    toUnixTimestamp64Nano(time) AS at_ns,
    cityHash64(
        observed,
        service,
        severity,
        severity_text,
        body,
        event,
        trace_id,
        span_id,
        scope,
        mapKeys(attributes),
        mapValues(attributes),
        mapKeys(resource),
        mapValues(resource)
    ) AS hash,
    toUnixTimestamp64Nano(observed) AS observed_ns,
    service,
    severity,
    severity_text,
    body,
    event,
    if(trace_id = toFixedString('', 16), '', lower(hex(trace_id))) AS trace,
    if(span_id = 0, '', leftPad(lower(hex(span_id)), 16, '0')) AS span,
    scope,
    attributes,
    resource
FROM logs
WHERE toStartOfFiveMinutes(time) >= toStartOfFiveMinutes(toDateTime(%(start_s)s))
    AND time >= oldest
    AND time >= fromUnixTimestamp64Nano(toInt64(%(start_ns)s))
    AND time < fromUnixTimestamp64Nano(toInt64(%(end_ns)s))
    AND time <= fromUnixTimestamp64Nano(toInt64(%(at_ns)s))
    AND (at_ns, hash) <= (toInt64(%(at_ns)s), toUInt64(%(hash)s))
    AND (%(service)s = '' OR service = %(service)s)
    AND severity >= %(min_severity)s
    AND (%(trace_id)s = '' OR trace_id = unhex(%(trace_id)s))
    AND (%(pattern)s = '%%' OR lower(body) LIKE lower(%(pattern)s))
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
ORDER BY at_ns DESC, hash DESC
LIMIT %(limit)s OFFSET %(shown)s
"""

# How many records there are at the time at which a page begins: it may have to look past them all.
SAME_TIME = """
SELECT count()
FROM logs
WHERE toStartOfFiveMinutes(time) = toStartOfFiveMinutes(toDateTime(%(at_s)s))
    AND time = fromUnixTimestamp64Nano(toInt64(%(at_ns)s))
"""

COUNT = """
SELECT count()
FROM
(
    SELECT 1
    FROM logs
    WHERE toStartOfFiveMinutes(time) >= toStartOfFiveMinutes(toDateTime(%(start_s)s))
        AND time >= fromUnixTimestamp64Nano(toInt64(%(start_ns)s))
        AND time < fromUnixTimestamp64Nano(toInt64(%(end_ns)s))
        AND (%(service)s = '' OR service = %(service)s)
        AND severity >= %(min_severity)s
        AND (%(trace_id)s = '' OR trace_id = unhex(%(trace_id)s))
        AND (%(pattern)s = '%%' OR lower(body) LIKE lower(%(pattern)s))
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
    LIMIT %(count_limit)s
)
"""

MAX_COUNTED = 10_000
NEWEST = LogPlace(2**62, 2**64 - 1, 0)  # before any record


class LogRecord(NamedTuple):
    """`observed_ns` 0, `severity` 0, ids "": not told. `hash`: of all the rest but the time."""

    at_ns: int
    hash: int
    observed_ns: int
    service: str
    severity: int
    severity_text: str
    body: str
    event: str
    trace_id: str
    span_id: str
    scope: str
    attributes: Mapping[str, str]
    resource: Mapping[str, str]


class LogPage(NamedTuple):
    """`total` records fit in all; `exact` is false when there are at least so many."""

    records: list[LogRecord]
    total: int
    exact: bool


def logs(
    store: Store,
    start_ns: int,
    end_ns: int,
    wanted: LogSearch,
    limit: int = 100,
    after: LogPlace = NEWEST,
) -> LogPage:
    """Those beyond the place `after`. Raises StoreDown, StoreError when it takes too long."""
    params = {
        "start_s": start_ns // SECOND_NS,
        "start_ns": start_ns,
        "end_ns": end_ns,
        "service": wanted.service,
        "min_severity": wanted.min_severity,
        "trace_id": wanted.trace_id,
        "pattern": f"%{escaped(wanted.text)}%" if wanted.text else "%",
        "keys": [key for key, _ in wanted.attributes],
        "values": [value or "" for _, value in wanted.attributes],
        "any_values": [int(value is None) for _, value in wanted.attributes],
    }
    place = {"at_ns": after.at_ns, "at_s": after.at_ns // SECOND_NS}
    same_time = 0 if after == NEWEST else store.rows(SAME_TIME, place)[0][0]
    page = {"hash": after.hash, "shown": after.shown, "limit": limit, "same_time": same_time}
    found = [LogRecord(*row) for row in store.rows(SQL, params | place | page)]
    ((total,),) = store.rows(COUNT, params | {"count_limit": MAX_COUNTED + 1})
    return LogPage(found, min(total, MAX_COUNTED), total <= MAX_COUNTED)


def place_after(records: list[LogRecord], after: LogPlace = NEWEST) -> LogPlace:
    """Where a page of these ends that began at `after`."""
    last = records[-1].at_ns, records[-1].hash
    shown = sum((record.at_ns, record.hash) == last for record in records)
    return LogPlace(*last, shown + (after.shown if last == (after.at_ns, after.hash) else 0))


def escaped(text: str) -> str:
    """For LIKE, to which these mean something."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
