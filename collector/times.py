"""Moments as the API writes and reads them: RFC 3339, in UTC, to the nanosecond."""

import re
from datetime import UTC, datetime

SECOND_NS = 1_000_000_000
FRACTION = re.compile(r"\.(\d{1,9})\d*")


def rfc3339(time_ns: int) -> str:
    seconds, rest_ns = divmod(time_ns, SECOND_NS)
    whole = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{rest_ns:09d}Z"


def from_rfc3339(text: str) -> int:
    """Nanoseconds since 1970; without an offset it is UTC. Raises ValueError."""
    fraction = FRACTION.search(text)
    whole = datetime.fromisoformat(FRACTION.sub("", text, count=1))
    moment = whole if whole.tzinfo else whole.replace(tzinfo=UTC)
    rest_ns = int(fraction.group(1).ljust(9, "0")) if fraction else 0
    return int(moment.timestamp()) * SECOND_NS + rest_ns
