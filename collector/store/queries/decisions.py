"""Decisions that were recorded, newest first: by who asked, for what, and which rule decided."""

from collector.decisions.decided import Place, Sought, StoredDecision, Total
from collector.store.client import Store

MOST_COUNTED = 10_000

# An empty parameter stands for any: ClickHouse leaves out its condition before it reads.
FOUND = """
found AS
(
    SELECT *
    FROM decisions
    WHERE time >= fromUnixTimestamp64Nano(%(start_ns)s)
        AND time < fromUnixTimestamp64Nano(%(end_ns)s)
        AND toStartOfFiveMinutes(time)
            >= toStartOfFiveMinutes(fromUnixTimestamp64Nano(%(start_ns)s))
        AND toStartOfFiveMinutes(time) <= toStartOfFiveMinutes(fromUnixTimestamp64Nano(%(end_ns)s))
        AND (%(allowed)s < 0 OR allowed = %(allowed)s)
        AND (%(request_id)s = '' OR request_id = %(request_id)s)
        AND (%(trace_id)s = '' OR trace_id = toFixedString(unhex(%(trace_id)s), 16))
        AND (%(rule)s = '' OR rule = %(rule)s)
        AND (%(beside)s = '' OR has(beside_rule, %(beside)s))
        AND (%(destination)s = '' OR destination = %(destination)s)
        AND (
            %(client)s = '' OR source = %(client)s OR source_principal = %(client)s
            OR quota_key = %(client)s
        )
)"""

# The time of the page's last row is found first, of the columns asked for alone: all others are
# then read of that time on.
PAGE = f"""
WITH {FOUND},
page AS
(
    SELECT *
    FROM found
    WHERE %(before_id)s = ''
        OR (time, id) < (fromUnixTimestamp64Nano(%(before_ns)s), %(before_id)s)
),
(SELECT min(time) FROM (SELECT time FROM page ORDER BY time DESC LIMIT %(limit)s)) AS oldest
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
FROM page
WHERE toStartOfFiveMinutes(time) >= toStartOfFiveMinutes(oldest) AND time >= oldest
ORDER BY time DESC, id DESC
LIMIT %(limit)s
"""  # noqa: S608  # of constants

TOTAL = f"""
WITH {FOUND}
SELECT
    count() AS decisions,
    sum(weight) AS requests
FROM (SELECT weight FROM found LIMIT %(most)s)
"""  # noqa: S608  # of constants


def decisions(
    store: Store, sought: Sought, limit: int, before: Place | None = None
) -> list[StoredDecision]:
    """The newest `limit` of them, of those before a place in the order. Raises StoreDown."""
    before_ns, before_id = before or (0, "")
    page = {"before_ns": before_ns, "before_id": before_id, "limit": limit}
    return [StoredDecision(*row) for row in store.rows(PAGE, params(sought) | page)]


def total(store: Store, sought: Sought) -> Total:
    """Counts up to MOST_COUNTED of them. Raises StoreDown."""
    ((found, requests),) = store.rows(TOTAL, params(sought) | {"most": MOST_COUNTED + 1})
    return Total(min(found, MOST_COUNTED), requests, exact=found <= MOST_COUNTED)


def params(sought: Sought) -> dict[str, str | int]:
    allowed = -1 if sought.allowed is None else int(sought.allowed)
    return {**sought._asdict(), "allowed": allowed}
