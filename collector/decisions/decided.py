"""Decisions that were made, as they are asked for and told."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class StoredDecision(NamedTuple):
    """What the columns mean is said in migrations/clickhouse. `beside_*` are of one length, but
    `beside_key` may be empty. `trace_id` is hex, "" for none."""

    time_ns: int
    id: str
    allowed: bool
    rule: str
    rule_version: int
    snapshot_version: int
    decided_by: str
    reason: str
    http_status: int
    protocol: str
    source: str
    destination: str
    source_principal: str
    method: str
    path: str
    request_id: str
    trace_id: str
    quota_limit: int
    quota_remaining: int
    quota_granted: int
    quota_key: str
    quota_override: str
    attributes: Mapping[str, str]
    beside_rule: Sequence[str]
    beside_version: Sequence[int]
    beside_allowed: Sequence[int]
    beside_live: Sequence[int]
    beside_key: Sequence[str]
    weight: float


class Sought(NamedTuple):
    """Which decisions: in [start_ns, end_ns), and "" stands for any. `client` is who asked: a
    source service, its principal, or a quota's key. `beside`: a shadow rule, or one with a draft,
    that had something to say. `trace_id` is hex, of 32 digits."""

    start_ns: int
    end_ns: int
    allowed: bool | None = None
    request_id: str = ""
    trace_id: str = ""
    client: str = ""
    destination: str = ""
    rule: str = ""
    beside: str = ""


class Total(NamedTuple):
    """`requests`: how many the decisions stand for. Not exact: there are at least so many."""

    decisions: int
    requests: float
    exact: bool


Place = tuple[int, str]  # time in nanoseconds and id of a decision


class Page(NamedTuple):
    """`after`: the place of the last one, while there are more."""

    decisions: Sequence[StoredDecision]
    total: Total
    after: Place | None


class Example(NamedTuple):
    """A decision on which the two differ. `key`: as in `Cell.keys`."""

    time_ns: int
    id: str
    source: str
    destination: str
    key: str


class Cell(NamedTuple):
    """Requests that were answered so. `error`: 95 of 100 times the truth is within it.

    `keys`: of requests on which the two differ, whose they were, and how many; of most first.
    """

    live: bool
    beside: bool
    requests: float
    recorded: int
    error: float
    keys: Sequence[tuple[str, float]]
    examples: Sequence[Example]
