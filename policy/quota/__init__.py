"""How much may pass: algorithms, and the counters they count with."""

from policy.quota.base import Algorithm, Counters, Dedup, Grant, Quota, Take
from policy.quota.fixed_window import FIXED_WINDOW
from policy.quota.rolling_window import ROLLING_WINDOW
from policy.quota.token_bucket import TOKEN_BUCKET

__all__ = ["ALGORITHMS", "Algorithm", "Counters", "Dedup", "Grant", "Quota", "Take"]

ALGORITHMS = {
    algorithm.name: algorithm for algorithm in (FIXED_WINDOW, ROLLING_WINDOW, TOKEN_BUCKET)
}
