"""One decision, by its id."""

from collector.decisions.decided import StoredDecision
from collector.store.client import Store

SQL = """
SELECT
    toUnixTimestamp64Nano(time) AS time_ns,
    id,
    allowed,
    rule,
    rule_version,
    snapshot_version,
    decided_by,
    reason,
    http_status,
    protocol,
    source,
    destination,
    source_principal,
    method,
    path,
    request_id,
    if(trace_id = toFixedString('', 16), '', lower(hex(trace_id))) AS trace,
    quota_limit,
    quota_remaining,
    quota_granted,
    quota_key,
    quota_override,
    attributes,
    beside_rule,
    beside_version,
    beside_allowed,
    beside_live,
    beside_key,
    weight
FROM decisions
WHERE id = %(id)s
LIMIT 1
"""


def decision_by_id(store: Store, decision_id: str) -> StoredDecision | None:
    """None when none is stored. Raises StoreDown."""
    rows = store.rows(SQL, {"id": decision_id})
    return StoredDecision(*rows[0]) if rows else None
