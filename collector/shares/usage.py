"""What sidecars decided by themselves, as decision records and counts.

One report of a bucket is at most one record of its denials, which stands for all of them, and now
and then one for a sample of what it allowed.
"""

import os
import random
from itertools import count

from prometheus_client import Counter

from collector.checker import ANSWERS, CHECKS
from collector.decisions.log import DecisionLog
from collector.services import Usage, Verb
from collector.shares.bucket import Bucket, Part
from policy.answers import COUNTERS_DOWN, decision_of
from policy.results import DecidedBy, Decision

PROTOCOL = "rlqs"
REQUESTS = Counter(
    "meshmeter_shared_quota_requests",
    "requests that sidecars decided by themselves, by the rule that they were told to follow",
    ["rule", "answer"],
)
UNTOLD = "the sidecar had not been told what to do"


class UsageRecorder:
    """`allow_sample` is the share of allows recorded; denials always are."""

    def __init__(self, decisions: DecisionLog, allow_sample: float) -> None:
        self._decisions = decisions
        self._sample = min(max(allow_sample, 0.0), 1.0)
        self._prefix = os.urandom(6).hex()
        self._numbers = count()

    def record(self, bucket: Bucket, usage: Usage) -> None:
        if usage.denied:
            self._count(bucket, usage.denied, False)
            self._keep(decided(bucket, False), bucket, usage.denied)
        if usage.allowed:
            self._count(bucket, usage.allowed, True)
            drawn = int(usage.allowed * self._sample + random.random())  # noqa: S311  # a sample
            if drawn:
                self._keep(decided(bucket, True), bucket, drawn / self._sample)

    def _count(self, bucket: Bucket, requests: int, allowed: bool) -> None:
        answer = ANSWERS[allowed, by(bucket, allowed) is DecidedBy.FALLBACK]
        CHECKS.labels(PROTOCOL, answer).inc(requests)
        rule = rule_of(bucket, allowed)
        if rule:
            REQUESTS.labels(rule, answer).inc(requests)

    def _keep(self, decision: Decision, bucket: Bucket, weight: float) -> None:
        named = decision._replace(id=f"{self._prefix}-{next(self._numbers):x}")
        self._decisions.add(named, bucket.bag, PROTOCOL, weight)


def part_of(bucket: Bucket) -> Part | None:
    """The limit that a decision is by."""
    return bucket.tightest() or next(iter(bucket.parts.values()), None)


def rule_of(bucket: Bucket, allowed: bool) -> str:
    refusal, part = bucket.standing.refusal, part_of(bucket)
    if refusal and not allowed:
        return refusal.rule
    return part.matched.metered.rule.name if part else ""


def by(bucket: Bucket, allowed: bool) -> DecidedBy:
    if bucket.standing.refusal and not allowed:
        return DecidedBy.DENY
    if bucket.told is None or bucket.away:
        return DecidedBy.FALLBACK
    if bucket.parts:
        return DecidedBy.QUOTA
    return DecidedBy.DEFAULT if allowed else DecidedBy.FALLBACK


def decided(bucket: Bucket, allowed: bool) -> Decision:
    """By what the sidecar was told last."""
    standing, how, part = bucket.standing, by(bucket, allowed), part_of(bucket)
    if standing.refusal and not allowed:
        return standing.refusal
    if part is None:
        version = standing.asked.snapshot.version
        reason = UNTOLD if how is DecidedBy.FALLBACK else ""
        return Decision("", allowed, how, snapshot_version=version, reason=reason)
    reason = "" if allowed and how is DecidedBy.QUOTA else why(bucket, part)
    return decision_of(standing.asked, part.matched, part.take, None, how, reason, allowed)


def why(bucket: Bucket, part: Part) -> str:
    told = bucket.told
    if told is None:
        return UNTOLD
    if bucket.away:
        return COUNTERS_DOWN
    exhausted = f"quota {part.matched.metered.rule.name} is exhausted"
    if told.verb is not Verb.COUNT:
        return f"{exhausted}: the sidecar has no share of it now"
    if not told.tokens:
        return f"{exhausted}: its tokens go round, and it is another sidecar's turn"
    seconds = "second" if told.seconds == 1 else f"{told.seconds} seconds"
    return f"{exhausted}: the sidecar's share of it is {told.tokens} every {seconds}"
