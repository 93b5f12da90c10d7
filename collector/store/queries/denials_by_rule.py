"""Which rule refused whom, on the way to what."""

from typing import NamedTuple

from collector.store.client import Store

SQL = """
SELECT
    if(source = '', 'unknown', source) AS source,
    if(destination = '', 'unknown', destination) AS destination,
    rule,
    rule_version,
    protocol,
    sum(weight) AS denials
FROM decisions
WHERE NOT allowed
    AND toStartOfFiveMinutes(time) >= toStartOfFiveMinutes(fromUnixTimestamp64Nano(%(start_ns)s))
    AND time >= fromUnixTimestamp64Nano(%(start_ns)s) AND time < fromUnixTimestamp64Nano(%(end_ns)s)
GROUP BY source, destination, rule, rule_version, protocol
ORDER BY denials DESC, source, destination, rule, rule_version, protocol
LIMIT %(limit)s
"""


class Denials(NamedTuple):
    """Refused requests. `rule` is empty when no rule refused, but a fallback or default."""

    source: str
    destination: str
    rule: str
    rule_version: int
    protocol: str
    denials: float


def denials_by_rule(store: Store, start_ns: int, end_ns: int, limit: int = 500) -> list[Denials]:
    """Those of [start_ns, end_ns), most denials first. Raises StoreDown."""
    params = {"start_ns": start_ns, "end_ns": end_ns, "limit": limit}
    return [Denials(*row) for row in store.rows(SQL, params)]
