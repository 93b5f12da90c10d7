"""What sidecars decided by themselves, as decision records and counts.

One report of a bucket is at most one record of its denials, which stands for all of them, and now
and then one for a sample of what it allowed.
"""

import os
import random
from itertools import count

from prometheus_client import Counter

from collector.checker import ANSWERS, CHECKS
from collector.decision_log import DecisionLog
from collector.services import Assignment, Usage, Verb
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
            self._record(bucket, usage.denied, usage.denied, False)
        if usage.allowed:
            drawn = int(usage.allowed * self._sample + random.random())  # noqa: S311  # a sample
            self._record(bucket, usage.allowed, drawn / self._sample if drawn else 0.0, True)

    def _record(self, bucket: Bucket, requests: int, weight: float, allowed: bool) -> None:
        decision = decided(bucket, allowed)
        answer = ANSWERS[allowed, decision.decided_by is DecidedBy.FALLBACK]
        CHECKS.labels(PROTOCOL, answer).inc(requests)
        if decision.rule:
            REQUESTS.labels(decision.rule, answer).inc(requests)
        if weight:
            named = decision._replace(id=f"{self._prefix}-{next(self._numbers):x}")
            self._decisions.add(named, bucket.bag, PROTOCOL, weight)


def decided(bucket: Bucket, allowed: bool) -> Decision:
    """By what the sidecar was told last."""
    told, standing = bucket.told, bucket.standing
    if standing.refusal and not allowed:
        return standing.refusal
    part = bucket.tightest() or next(iter(bucket.parts.values()), None)
    if part is None:
        by = DecidedBy.FALLBACK if told is None or not allowed else DecidedBy.DEFAULT
        reason = UNTOLD if by is DecidedBy.FALLBACK else ""
        version = standing.asked.snapshot.version
        return Decision("", allowed, by, snapshot_version=version, reason=reason)
    take = part.take
    by = DecidedBy.FALLBACK if told is None or bucket.away else DecidedBy.QUOTA
    reason = "" if allowed and by is DecidedBy.QUOTA else why(bucket, part, told)
    return decision_of(standing.asked, part.matched, take, None, by, reason, allowed)


def why(bucket: Bucket, part: Part, told: Assignment | None) -> str:
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
