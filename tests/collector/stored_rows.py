"""Rows written straight into the store, for questions to be asked about."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from collector.store.client import Store

MS = 1_000_000  # nanoseconds
SECOND = 1_000_000_000


def insert(store: Store, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows of the same keys."""
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    store.insert(table, columns, token=uuid.uuid4().hex)


def request(time_ns: int, source: str, destination: str, **more: Any) -> dict[str, Any]:
    """A request of 10 ms that went well, told by its destination, unless `more` says otherwise."""
    row = {
        "time": time_ns,
        "source": source,
        "destination": destination,
        "reporter": "destination",
        "status": 200,
        "error": 0,
        "denied": 0,
        "duration_ns": 10 * MS,
        "weight": 1.0,
    }
    return row | more


def span(time_ns: int, service: str, span_id: int, parent_id: int, **more: Any) -> dict[str, Any]:
    """A server span of 10 ms in one and the same trace, unless `more` says otherwise."""
    row = {
        "time": time_ns,
        "trace_id": b"t" * 16,
        "span_id": span_id,
        "parent_id": parent_id,
        "service": service,
        "kind": 2,
        "error": 0,
        "duration_ns": 10 * MS,
        "weight": 1.0,
    }
    return row | more


def decision(time_ns: int, source: str, destination: str, **more: Any) -> dict[str, Any]:
    """A denial by version 3 of the rule free-tier, unless `more` says otherwise."""
    row = {
        "time": time_ns,
        "allowed": 0,
        "rule": "free-tier",
        "rule_version": 3,
        "protocol": "ext_authz",
        "source": source,
        "destination": destination,
        "weight": 1.0,
    }
    return row | more


def percentile(values: Iterable[float], level: float) -> float:
    """The smallest value that `level` of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-int(len(ordered) * level * 1000) // 1000) - 1)]
