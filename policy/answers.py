"""What the counters said, as a decision.

Of all that was charged together the first refusal speaks, else the grant with the least left.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from policy.attributes import Value
from policy.meter import Charge
from policy.quota import ALGORITHMS, Dedup, Grant, Take
from policy.results import DecidedBy, Decision, Verdict
from policy.snapshot import Snapshot
from policy.stages import Headers, Metered

COUNTERS_DOWN = "quota counters unavailable"


class Asked(NamedTuple):
    """One check under way."""

    id: str
    values: Mapping[str, Value]
    snapshot: Snapshot
    headers: tuple[Headers, ...]
    beside: tuple[Verdict, ...]
    deadline_s: float
    best_effort: bool
    dedup: Dedup | None
    lease: str  # what is held until the request is over is held under this; "": nothing is


class Matched(NamedTuple):
    """A matching quota and what it takes of this request."""

    metered: Metered
    charge: Charge


class Charged(NamedTuple):
    """`refusing`: the quotas that would refuse by themselves, once for each limit that does."""

    decision: Decision
    refusing: tuple[Matched, ...] = ()


class Standing(NamedTuple):
    """What is so for requests that are alike: a gate refuses them, or these quotas count them."""

    asked: Asked
    refusal: Decision | None
    quotas: list[Matched]


def granted(asked: Asked, quotas: list[Matched], grants: Sequence[Grant], by: DecidedBy) -> Charged:
    """By the first refusal, else by the grant with the least left."""
    owners = [(matched, take) for matched in quotas for take in matched.charge.takes]
    refused = first_refusal(grants)
    if refused is None:
        at = tightest(grants)
        (matched, take), grant = owners[at], grants[at]
        reason = COUNTERS_DOWN if by is DecidedBy.FALLBACK else ""
        lease = asked.lease if asked.lease and holds([take for _, take in owners]) else ""
        return Charged(decision_of(asked, matched, take, grant, by, reason, lease=lease))
    (matched, take), grant = owners[refused], grants[refused]
    reason = exhausted(matched.metered.rule.name, take, grant)
    refusing = tuple(
        owner for (owner, _), other in zip(owners, grants, strict=True) if not other.granted
    )
    return Charged(decision_of(asked, matched, take, grant, by, reason, allowed=False), refusing)


def decision_of(
    asked: Asked,
    matched: Matched,
    take: Take | None,
    grant: Grant | None,
    by: DecidedBy,
    reason: str = "",
    allowed: bool = True,
    lease: str = "",
) -> Decision:
    rule, charge = matched.metered.rule, matched.charge
    return Decision(
        id=asked.id,
        allowed=allowed,
        decided_by=by,
        rule=rule.name,
        rule_version=rule.version,
        snapshot_version=asked.snapshot.version,
        reason=reason,
        http_status=rule.http_status,
        limit=take.quota.limit if take else -1,
        remaining=grant.remaining if grant else -1,
        window_us=take.quota.window_us if take else -1,
        reset_us=grant.reset_us if grant else -1,
        retry_after_us=grant.retry_after_us if grant else -1,
        quota_key=charge.shown,
        attributes=matched.metered.recorded(asked.values),
        granted=grant.amount if grant else -1,
        override=charge.limits.override,
        lease=lease,
        response_headers=() if allowed else matched.metered.told,
        beside=asked.beside,
    )


def passed(asked: Asked) -> Decision:
    """By no rule."""
    version = asked.snapshot.version
    return Decision(
        asked.id, True, DecidedBy.DEFAULT, snapshot_version=version, beside=asked.beside
    )


def verdict_of(matched: Matched, takes: Sequence[Take], grants: Sequence[Grant]) -> Verdict:
    """Of a shadow quota, or of a draft."""
    rule, shown = matched.metered.rule, matched.charge.shown
    if not takes:
        return Verdict(rule.name, rule.version, True, quota_key=shown)
    refused = first_refusal(grants)
    at = tightest(grants) if refused is None else refused
    reason = "" if refused is None else exhausted(rule.name, takes[at], grants[at])
    limit, remaining = takes[at].quota.limit, grants[at].remaining
    return Verdict(rule.name, rule.version, refused is None, None, reason, limit, remaining, shown)


def holds(takes: Sequence[Take]) -> bool:
    """Whether something is held until the request is over."""
    return any(ALGORITHMS[take.quota.algorithm].held for take in takes)


def first_refusal(grants: Sequence[Grant]) -> int | None:
    return next((index for index, grant in enumerate(grants) if not grant.granted), None)


def tightest(grants: Sequence[Grant]) -> int:
    return min(range(len(grants)), key=lambda index: grants[index].remaining)


def exhausted(rule: str, take: Take, grant: Grant) -> str:
    if grant.retry_after_us < 0:
        return f"{take.amount} is more than quota {rule} ever grants"
    return f"quota {rule} is exhausted"
