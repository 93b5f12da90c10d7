"""What is too much, too early or too late to be stored, and the names these refusals have."""

from enum import StrEnum

SECOND = 1_000_000_000
DAY = 86_400 * SECOND

YEAR_2000_NS = 946_684_800 * SECOND
FUTURE_NS = 10 * 60 * SECOND  # a sender's clock may be this far ahead
RETENTION_NS = 7 * DAY  # the tables' TTL would delete what is older

MAX_ITEMS = 100_000  # of one request
MAX_PARTS = 100_000  # attributes, their values and the like, of one item
MAX_JSON_VALUES = 1_000_000  # of one request
MAX_ATTRIBUTES = 128
MAX_KEY_BYTES = 1024
MAX_VALUE_BYTES = 4096
MAX_DEPTH = 16  # of an attribute's value
MAX_EVENTS = 128
MAX_LOG_BODY_BYTES = 64 * 1024
MAX_DEAD_ITEM_BYTES = 64 * 1024


class Reason(StrEnum):
    """Why an item is a dead letter."""

    UNREADABLE = "unreadable"
    BAD_TRACE_ID = "bad_trace_id"
    BAD_SPAN_ID = "bad_span_id"
    NO_TIME = "no_time"
    TOO_OLD = "too_old"
    IN_THE_FUTURE = "in_the_future"
    BAD_POINT = "bad_point"


Refusal = tuple[Reason, str]  # the reason, and a sentence naming field and limit

NO_ID = {size: bytes(size) for size in (8, 16)}


def refused_time(time_ns: int, received_ns: int, what: str = "start time") -> Refusal | None:
    """Also what bounds the partitions of one insert: ClickHouse takes 100, this leaves 9."""
    if received_ns - RETENTION_NS <= time_ns <= received_ns + FUTURE_NS:
        return None
    if time_ns < YEAR_2000_NS:
        return Reason.NO_TIME, f"{what} {time_ns} ns is before the year 2000"
    if time_ns > received_ns:
        return Reason.IN_THE_FUTURE, f"{what} {time_ns} ns is over 10 minutes in the future"
    return Reason.TOO_OLD, f"{what} {time_ns} ns is over 7 days ago"


def refused_span(
    trace_id: bytes, span_id: bytes, start_ns: int, received_ns: int
) -> Refusal | None:
    """The one test of front-ends, which answer it, and the worker, which writes the dead letter."""
    if len(trace_id) != 16 or trace_id == NO_ID[16]:
        told = f"trace_id must be 16 bytes (in JSON 32 hex digits), not all zero: {len(trace_id)}"
        return Reason.BAD_TRACE_ID, told
    if len(span_id) != 8 or span_id == NO_ID[8]:
        told = f"span_id must be 8 bytes (in JSON 16 hex digits), not all zero: {len(span_id)}"
        return Reason.BAD_SPAN_ID, told
    return refused_time(start_ns, received_ns)


def refused_log(time_ns: int, received_ns: int) -> Refusal | None:
    """A record may have no time: then it is of when it was accepted."""
    return refused_time(time_ns, received_ns, "time") if time_ns else None
