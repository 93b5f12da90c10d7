"""Who uses how much of a quota."""

from collections.abc import Iterable, Iterator, Mapping

from policy.quota import ALGORITHMS
from policy.quota.base import Outcome, Quota
from policy.quota.contract import Take, Use
from policy.quota.keys import limit_of, shown_of


def of_limits(keys: Iterable[str], quotas: Mapping[str, Quota]) -> Iterator[Take]:
    """Takes of nothing, of those keys that are of these limits as they are counted now."""
    for key in keys:
        limit, letter = limit_of(key)
        quota = quotas.get(limit)
        if quota is not None and ALGORITHMS[quota.algorithm].letter == letter:
            yield Take(key, quota, 0)


def use_of(take: Take, now: Outcome) -> Use:
    """Of a counter that was asked for nothing."""
    key, most = take.key, take.quota.burst
    remaining = max(most - now.used, 0)
    return Use(key, limit_of(key)[0], shown_of(key), now.used, most, remaining, now.reset_us)


def most_used(found: Iterable[Use], top: int) -> tuple[Use, ...]:
    """Those that nothing is used of left out; alike ones by key."""
    used = (use for use in found if use.used > 0)
    return tuple(sorted(used, key=lambda use: (-use.used, use.key))[:top])
