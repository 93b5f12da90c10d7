"""Our own decision log: JSON lines, the keys the columns of `decisions`, ids in hex.

An unknown key is left out, so that a worker may be older than a collector.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from collector.decoders.decoded import Collected
from collector.decoders.limits import Reason, refused_time
from collector.decoders.text import cut, limited
from collector.model import Report
from collector.store.tables import NO_TRACE, DecisionRow

MAX_BESIDE = 1000


def decode(report: Report, out: Collected) -> None:
    """One line is one decision; a line that is none is a dead letter."""
    for line in report.body.splitlines():
        try:
            row = read(line)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            refusal = (Reason.UNREADABLE, f"not a decision: {type(error).__name__} {error}")
            out.refuse(report, refusal, line)
            continue
        if row.time > report.received_ns:
            # The same clock told both, and was set back in between.
            row = row._replace(time=report.received_ns)
        late = refused_time(row.time, report.received_ns)
        if late:
            out.refuse(report, late, line)
        else:
            out.rows.append(row)


def read(line: bytes) -> DecisionRow:
    """Raises TypeError, ValueError, OverflowError, RecursionError."""
    told = json.loads(line.decode("utf-8", "replace"))
    if not isinstance(told, dict):
        raise TypeError("it is not an object")
    found = {name: READERS[name](value) for name, value in told.items() if name in READERS}
    row = DecisionRow(**found)
    beside = [row.beside_rule, row.beside_version, row.beside_allowed, row.beside_live]
    if row.beside_key:  # an older collector does not tell it
        beside.append(row.beside_key)
    if len({len(each) for each in beside}) != 1:
        raise ValueError("what was said beside is not of one length")
    return row


def text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a string")
    # A lone surrogate, which JSON can spell, is no text.
    return cut(value.encode("utf-8", "replace").decode())


def whole(low: int, high: int) -> Callable[[Any], int]:
    def read_whole(value: Any) -> int:
        if not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"{value!r} is not a whole number of {low} to {high}")
        return int(value)

    return read_whole


def trace(value: Any) -> bytes:
    found = bytes.fromhex(text(value))
    if len(found) not in (0, 16):
        raise ValueError(f"a trace_id has 16 bytes, not {len(found)}")
    return found or NO_TRACE


def pairs(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise TypeError(f"{value!r} is not an object")
    return limited({text(key): text(inner) for key, inner in value.items()})


def listed(read_one: Callable[[Any], Any]) -> Callable[[Any], list[Any]]:
    def read_list(value: Any) -> list[Any]:
        if not isinstance(value, list) or len(value) > MAX_BESIDE:
            raise TypeError(f"expected a list of at most {MAX_BESIDE}")
        return [read_one(item) for item in value]

    return read_list


def positive(value: Any) -> float:
    number = float(value)
    if not 0 < number < 1e12:
        raise ValueError(f"{value!r} is no weight")
    return number


UINT32 = whole(0, 2**32 - 1)
INT64 = whole(-(2**63), 2**63 - 1)

READERS: dict[str, Callable[[Any], Any]] = {
    "time": INT64,
    "id": text,
    "allowed": whole(0, 1),
    "rule": text,
    "rule_version": UINT32,
    "snapshot_version": UINT32,
    "decided_by": text,
    "reason": text,
    "http_status": whole(0, 999),
    "protocol": text,
    "source": text,
    "destination": text,
    "source_principal": text,
    "method": text,
    "path": text,
    "request_id": text,
    "trace_id": trace,
    "quota_limit": INT64,
    "quota_remaining": INT64,
    "quota_granted": INT64,
    "quota_key": text,
    "quota_override": text,
    "attributes": pairs,
    "beside_rule": listed(text),
    "beside_version": listed(UINT32),
    "beside_allowed": listed(whole(0, 1)),
    "beside_live": listed(whole(-1, 1)),
    "beside_key": listed(text),
    "weight": positive,
}
