"""How much may pass: algorithms, and the counters they count with."""

from policy.quota.base import Algorithm, Grant, Quota
from policy.quota.calendar_window import CALENDAR_WINDOW
from policy.quota.concurrency import CONCURRENCY
from policy.quota.contract import Counters, Dedup, Take, Usage, Use
from policy.quota.fixed_window import FIXED_WINDOW
from policy.quota.rolling_window import ROLLING_WINDOW
from policy.quota.token_bucket import TOKEN_BUCKET

__all__ = [
    "ALGORITHMS",
    "Algorithm",
    "Counters",
    "Dedup",
    "Grant",
    "Quota",
    "Take",
    "Usage",
    "Use",
]

ALGORITHMS = {
    algorithm.name: algorithm
    for algorithm in (
        TOKEN_BUCKET,
        FIXED_WINDOW,
        ROLLING_WINDOW,
        CALENDAR_WINDOW,
        CONCURRENCY,
    )
}
