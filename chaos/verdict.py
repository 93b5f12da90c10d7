"""What is stored, compared with what was acknowledged."""

from dataclasses import dataclass

from chaos.ledger import CONTENT, SERVICE, Ledger
from collector.store.client import Store

COUNTS = """
SELECT
    count() AS stored,
    uniqExact(span_id) AS unique,
    countIf(attributes[%(content)s] != lower(hex(SHA256(toString(span_id))))) AS damaged,
    (SELECT sum(spans) FROM operations_1s WHERE service = %(service)s) AS seconds,
    (SELECT sum(spans) FROM operations_1m WHERE service = %(service)s) AS minutes,
    (SELECT sum(spans) FROM operations_1h WHERE service = %(service)s) AS hours,
    (SELECT count() FROM dead_letters) AS dead_letters
FROM spans
WHERE service = %(service)s
"""

NUMBERS = """
SELECT DISTINCT span_id
FROM spans
WHERE service = %(service)s
"""

PARAMS = {"service": SERVICE, "content": CONTENT}


@dataclass(frozen=True)
class Stored:
    """Rows; `rollups` are the sums of the second, minute and hour tables."""

    rows: int
    unique: int
    damaged: int
    rollups: tuple[int, int, int]
    dead_letters: int


def stored(store: Store) -> Stored:
    """Raises StoreDown."""
    ((rows, unique, damaged, seconds, minutes, hours, dead),) = store.rows(COUNTS, PARAMS)
    return Stored(rows, unique, damaged, (int(seconds), int(minutes), int(hours)), dead)


def disagreements(ledger: Ledger, found: Stored, store: Store) -> list[str]:
    """What is not as it must be, in a sentence each. Raises StoreDown."""
    numbers = {number for (number,) in store.rows(NUMBERS, PARAMS)}
    faults = {
        "acknowledged and not stored": len(ledger.acknowledged - numbers),
        "stored and never sent": sum(not 0 < number <= ledger.issued for number in numbers),
        "stored more than once": found.rows - found.unique,
        "stored damaged": found.damaged,
        "dead letters": found.dead_letters,
        "sent and never acknowledged": ledger.issued - len(ledger.acknowledged),
    }
    said = [f"{count} spans {what}" for what, count in faults.items() if count]
    for grain, total in zip(("second", "minute", "hour"), found.rollups, strict=True):
        if total != found.rows:
            said.append(f"the rollup by {grain} counts {total} spans, the table has {found.rows}")
    return said
