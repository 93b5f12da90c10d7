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

STORED_SPAN = "SELECT count() FROM spans WHERE span_id = %(number)s"

PARAMS = {"service": SERVICE, "content": CONTENT}


@dataclass(frozen=True)
class Stored:
    """Rows; `rollups` are the sums of the second, minute and hour tables."""

    rows: int
    unique: int
    damaged: int
    rollups: tuple[int, int, int]
    dead_letters: int

    @property
    def rolled_up(self) -> bool:
        return set(self.rollups) == {self.rows}


def stored(store: Store) -> Stored:
    """Raises StoreDown."""
    ((rows, unique, damaged, seconds, minutes, hours, dead),) = store.rows(COUNTS, PARAMS)
    return Stored(rows, unique, damaged, (int(seconds), int(minutes), int(hours)), dead)


MESSAGES = 'meshmeter_frontend_messages_total{protocol="otlp_http"}'
REPORTS = 'meshmeter_reports_total{signal="otlp-traces"}'
DROPPED = 'meshmeter_frontend_messages_dropped_total{protocol="otlp_http",'
ABANDONED = f'{DROPPED}reason="abandoned"}}'

ACKNOWLEDGED = "I1 acknowledged is stored"
ONCE = "I2 stored once"
AS_SENT = "I3 stored as it was sent"
ROLLUPS = "I4 rollups count what is stored"
NOTHING_LEFT = "I5 nothing waits, nothing was given up"
ACCOUNTED = "I6 every message is accounted for"
FRESH = "I7 what comes now is stored soon"
ASKED = "I8 checks are answered, and as they must be"
NO_LEAKS = "I10 processes hold no more than before"
CHECKS = (ACKNOWLEDGED, ONCE, AS_SENT, ROLLUPS, NOTHING_LEFT, ACCOUNTED, FRESH, ASKED, NO_LEAKS)

Verdict = dict[str, list[str]]  # by check what is not as it must be, in a sentence each


def verdict(ledger: Ledger, found: Stored, store: Store) -> Verdict:
    """By what is stored alone. Raises StoreDown."""
    numbers = {number for (number,) in store.rows(NUMBERS, PARAMS)}
    never_sent = sum(not 0 < number <= ledger.issued for number in numbers)
    unanswered = ledger.issued - len(ledger.acknowledged)
    said: Verdict = {name: [] for name in CHECKS}
    for check, count, what in (
        (ACKNOWLEDGED, len(ledger.acknowledged - numbers), "acknowledged and not stored"),
        (AS_SENT, never_sent, "stored and never sent"),
        (ONCE, found.rows - found.unique, "stored more than once"),
        (AS_SENT, found.damaged, "stored damaged"),
        (NOTHING_LEFT, found.dead_letters, "dead letters"),
        (ACCOUNTED, unanswered, "sent and never acknowledged"),
    ):
        if count:
            said[check].append(f"{count} spans {what}")
    for grain, total in zip(("second", "minute", "hour"), found.rollups, strict=True):
        if total != found.rows:
            told = f"the rollup by {grain} counts {total} spans, the table has {found.rows}"
            said[ROLLUPS].append(told)
    return said


def is_stored(store: Store, number: int) -> bool:
    """Raises StoreDown."""
    ((rows,),) = store.rows(STORED_SPAN, {"number": number})
    return bool(rows)


def total(metrics: str, *names: str) -> float:
    """The sum of the samples whose lines begin so."""
    lines = [line for line in metrics.splitlines() if line.startswith(names)]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def unaccounted(metrics: str) -> list[str]:
    """A collector's own count since it started: each message is in the outbox or was dropped.

    One that its sender gave up may be both.
    """
    messages, reports = total(metrics, MESSAGES), total(metrics, REPORTS)
    dropped, abandoned = total(metrics, DROPPED), total(metrics, ABANDONED)
    if 0 <= reports + dropped - messages <= abandoned:
        return []
    told = f"{messages:.0f} messages are {reports:.0f} in the outbox and {dropped:.0f} dropped"
    return [f"the collector counts that {told}"]
