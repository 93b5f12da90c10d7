"""Who uses how much of a quota."""

from collections.abc import Iterable

from policy.quota.base import Outcome, Quota
from policy.quota.contract import Use
from policy.quota.keys import shown_of


def use_of(key: str, quota: Quota, now: Outcome) -> Use:
    """Of a counter that was asked for nothing."""
    remaining = max(quota.burst - now.used, 0)
    return Use(key, shown_of(key), now.used, quota.burst, remaining, now.reset_us)


def most_used(found: Iterable[Use], top: int) -> tuple[Use, ...]:
    """Those that nothing is used of left out; alike ones by key."""
    used = (use for use in found if use.used > 0)
    return tuple(sorted(used, key=lambda use: (-use.used, use.key))[:top])
