"""One quota split over sidecars, each of which holds a token bucket of its own.

Who wants less than an equal part of the rate gets what it wants, and the others share the rest
alike; what nobody wants is shared too. A bucket is as large as its part of the burst. Where single
tokens are too many for all who ask, no rates are given, and the tokens of the pool go round: to the
one who has waited longest.
"""

import math
from collections.abc import Iterable, Sequence

from policy.quota.base import Quota
from policy.quota.fair import fair
from policy.quota.parts import UNKNOWN, US, Claim, Holding, Settled, Split, Terms
from policy.quota.pool import IN_BUCKETS, Pool

LIVES_US = 65 * US  # without a report; longer than a sidecar keeps to what it was told last
LEAVES_US = 7 * US  # who only lost its connection reports again within 5 s
TWIN_US = 2 * US  # two who report so soon after each other, each every 5 s, are not one
RECLAIM_US = 15 * US  # after which unused buckets go to others who wait for one
ROOM = 1.1  # times what was wanted lately
IDLE_PART = 0.02  # of the rate, for all together who want nothing, so that they can begin
NOTICEABLE = 0.05  # smaller differences are not worth a message


def terms_of(quota: Quota, version: int) -> Terms | None:
    """The burst of a token bucket; of a window one second's worth. None: it has no rate."""
    if quota.algorithm == "concurrency":
        return None
    rate = quota.limit * US / quota.window_us
    burst = float(quota.burst) if quota.algorithm == "token-bucket" else 0.0
    return Terms(rate, max(burst, rate, 1.0), version)


def settle(split: Split | None, terms: Terms, claims: Iterable[Claim], now_us: int) -> Settled:
    """Gives to those who claim, in place of what they had; others keep what they have."""
    pool = Pool(split, terms, now_us)
    asking: list[str] = []
    twins: set[str] = set()
    for claim in claims:
        known = pool.holdings.get(claim.holder)
        if claim.demand is not None and known and is_twin(known, claim, now_us):
            twins.add(claim.holder)
        elif heard(pool, claim):
            asking.append(claim.holder)
    short = share(pool, asking)
    return Settled(pool.split, frozenset(pool.renewed), frozenset(twins), short)


def is_twin(known: Holding, claim: Claim, now_us: int) -> bool:
    return known.owner not in ("", claim.owner) and now_us - known.seen_us < TWIN_US


def heard(pool: Pool, claim: Claim) -> bool:
    """Takes in what a holder says; whether something may be given to it."""
    name, until_us = claim.holder, pool.now_us + LIVES_US
    known = pool.holdings.get(name)
    if claim.leaving:
        if known and known.owner == claim.owner:
            until_us = min(known.until_us, pool.now_us + LEAVES_US)
            pool.put(name, known._replace(demand=0.0, owner="", until_us=until_us))
        return False
    if claim.demand is None:
        if known is None and claim.held:
            pool.put(name, claim.held._replace(until_us=until_us, owner=claim.owner))
        return name in pool.holdings and pool.holdings[name].owner == claim.owner
    holding = known or claim.held or Holding()
    if claim.fresh:
        pool.level -= claim.spent  # it passed before anything was given
        holding = holding.emptied()
    elif not holding.tokens:
        holding = holding._replace(size=max(holding.size - claim.spent, 0))
    said = holding._replace(
        demand=claim.demand, seen_us=pool.now_us, until_us=until_us, owner=claim.owner
    )
    pool.put(name, said)
    return True


def share(pool: Pool, asking: Sequence[str]) -> bool:
    """True: somebody could use what others have not given back yet."""
    if pool.reports_suffice and pool.active > max(1.0, pool.terms.burst * IN_BUCKETS):
        go_round(pool, asking)
        return False
    wants, targets = wanted(pool)
    short = lacking(pool, wants, targets)
    if short or pool.free < 0:
        for name in asking:
            if pool.holdings[name].rate > targets[name] * (1 + NOTICEABLE):
                pool.change(name, targets[name])
    if pool.level < 1 and anyone_empty(pool):
        reclaim(pool, asking)
    # First who wants something, of these first who has the least.
    for name in sorted(
        asking, key=lambda name: (not pool.holdings[name].demand, pool.holdings[name].size)
    ):
        held = pool.holdings[name]
        if not held.size:
            pool.begin(name, targets[name])
        elif worth_more(held, targets[name], pool.now_us):
            pool.change(name, min(targets[name], held.rate + max(pool.free, 0.0)))
        else:
            pool.change(name, held.rate)
    return short or anyone_empty(pool)


def wanted(pool: Pool) -> tuple[dict[str, float], dict[str, float]]:
    """What each wants, and what each should have."""
    present = {name: held for name, held in pool.holdings.items() if held.owner}
    leaving = sum(held.rate for held in pool.holdings.values() if not held.owner)
    rate = max(pool.terms.rate - pool.spare - leaving, 0.0)
    floor = IDLE_PART * rate / max(len(present), 1)
    wants = {
        name: math.inf if held.demand == UNKNOWN else max(ROOM * held.demand, floor)
        for name, held in present.items()
    }
    return wants, fair(wants, rate)


def lacking(pool: Pool, wants: dict[str, float], targets: dict[str, float]) -> bool:
    """Whether what is missing is more than what is free."""
    missing = 0.0
    for name, target in targets.items():
        due, rate = min(target, wants[name]), pool.holdings[name].rate
        if rate < due * (1 - NOTICEABLE):
            missing += due - rate
    return missing > max(pool.free, 0.0) * (1 + NOTICEABLE)


def worth_more(held: Holding, target: float, now_us: int) -> bool:
    """Seldom, for slow buckets: a change may cost what is there of the next token."""
    if held.rate >= target * (1 - NOTICEABLE):
        return False
    if held.rate < target / 2:
        return held.demand != 0
    tokens_since = (now_us - held.since_us) * target / US
    return tokens_since > 2 and (held.rate < 2 * held.demand or held.demand == UNKNOWN)


def anyone_empty(pool: Pool) -> bool:
    return any(held.active and not held.size for held in pool.holdings.values())


def reclaim(pool: Pool, asking: Sequence[str]) -> None:
    """Takes buckets from those who do not use them."""
    for name in asking:
        held = pool.holdings[name]
        if held.size and not held.demand and pool.now_us - held.since_us > RECLAIM_US:
            pool.empty(name)


def go_round(pool: Pool, asking: Sequence[str]) -> None:
    """Single tokens, to the one who has waited longest."""
    for name in asking:
        if pool.holdings[name].tokens:
            pool.empty(name)
    reclaim(pool, asking)
    waiting = sorted(
        (held.since_us, name)
        for name, held in pool.holdings.items()
        if held.active and not held.size
    )
    for place, (_, name) in enumerate(waiting):
        if name not in asking or pool.level < 1:
            break
        pool.give(name, 0, 1, max(math.floor(pool.level / (len(waiting) - place)), 1))
