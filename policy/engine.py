"""Bag in, decision out.

Deny rules are asked first, then quotas, each by (priority, name); the first denial wins. All
matching quotas are charged together: when one refuses, none is charged.
"""

import os
from collections.abc import Awaitable, Mapping, Sequence
from itertools import count
from typing import NamedTuple

from policy.attributes import AttributeBag, Value
from policy.errors import CountersDown, NoSnapshot
from policy.quota import Counters, Grant, Take
from policy.quota.memory import MemoryCounters
from policy.results import DecidedBy, Decision
from policy.rules import DenyRule, OnBackendError, QuotaRule
from policy.snapshot import CompiledRule, Snapshot, quota_key, shown_key

DEADLINE_S = 0.025
TOO_MANY = 429
COUNTERS_DOWN = "quota counters unavailable"

MAX_HITS = 2**52  # exact in the counters; no limit is that large


class Charge(NamedTuple):
    """One matching quota rule and what it takes for this request."""

    compiled: CompiledRule
    rule: QuotaRule
    shown: str  # the values of its dimensions
    take: Take


class Engine:
    def __init__(
        self,
        counters: Counters,
        snapshot: Snapshot | None = None,
        local: MemoryCounters | None = None,
    ) -> None:
        self._counters = counters
        self._local = local or MemoryCounters()
        self._snapshot = snapshot
        # Decision ids are unique without asking for randomness each time.
        self._prefix = os.urandom(6).hex()
        self._numbers = count()

    @property
    def snapshot(self) -> Snapshot | None:
        return self._snapshot

    def swap(self, snapshot: Snapshot) -> None:
        """Checks under way finish on the snapshot they began with."""
        self._snapshot = snapshot

    def check(
        self, bag: AttributeBag, hits: int = 1, deadline_s: float | None = None
    ) -> Decision | Awaitable[Decision]:
        """A plain Decision when no quota matches. Raises NoSnapshot when rules were never loaded.

        `hits` is charged to each matching quota; 0 asks without charging.
        """
        snapshot = self._snapshot
        if snapshot is None:
            raise NoSnapshot("no rules were loaded yet")
        values = bag.values
        denies, quotas = snapshot.candidates(values.get("destination.service"))
        for compiled in denies:
            if compiled.test(values):
                return self._denied(compiled, values, snapshot)
        matching = [compiled for compiled in quotas if compiled.test(values)]
        if matching:
            deadline = DEADLINE_S if deadline_s is None else deadline_s
            charges = [
                charge(compiled, values, min(max(hits, 0), MAX_HITS)) for compiled in matching
            ]
            return self._counted(charges, values, deadline, snapshot)
        return Decision(self._id(), True, DecidedBy.DEFAULT, "", 0, snapshot.version)

    def _id(self) -> str:
        return f"{self._prefix}-{next(self._numbers):x}"

    def _denied(
        self, compiled: CompiledRule, values: Mapping[str, Value], snapshot: Snapshot
    ) -> Decision:
        rule = compiled.rule
        status, message = 403, ""
        if isinstance(rule, DenyRule):
            status, message = rule.http_status, rule.message
        return Decision(
            id=self._id(),
            allowed=False,
            decided_by=DecidedBy.DENY,
            rule=rule.name,
            rule_version=rule.version,
            snapshot_version=snapshot.version,
            reason=message or f"denied by rule {rule.name}",
            http_status=status,
            attributes=compiled.recorded(values),
        )

    async def _counted(
        self,
        charges: list[Charge],
        values: Mapping[str, Value],
        deadline_s: float,
        snapshot: Snapshot,
    ) -> Decision:
        try:
            grants = await self._counters.charge(
                tuple(charge.take for charge in charges), deadline_s
            )
        except CountersDown:
            return self._fallback(charges, values, snapshot)
        return self._granted(charges, grants, DecidedBy.QUOTA, values, snapshot)

    def _fallback(
        self, charges: list[Charge], values: Mapping[str, Value], snapshot: Snapshot
    ) -> Decision:
        """Each rule's own policy: a closed one denies, local ones count here, open ones pass."""
        for charge in charges:
            if charge.rule.on_backend_error is OnBackendError.CLOSED:
                return self._decision(
                    charge, None, False, DecidedBy.FALLBACK, COUNTERS_DOWN, values, snapshot
                )
        local = [
            charge for charge in charges if charge.rule.on_backend_error is OnBackendError.LOCAL
        ]
        if not local:
            return self._decision(
                charges[0], None, True, DecidedBy.FALLBACK, COUNTERS_DOWN, values, snapshot
            )
        grants = self._local.charge_now(tuple(charge.take for charge in local))
        return self._granted(local, grants, DecidedBy.FALLBACK, values, snapshot)

    def _granted(
        self,
        charges: Sequence[Charge],
        grants: Sequence[Grant],
        by: DecidedBy,
        values: Mapping[str, Value],
        snapshot: Snapshot,
    ) -> Decision:
        """The first refusal, else the grant with the least left."""
        for charge, grant in zip(charges, grants, strict=True):
            if not grant.granted:
                reason = f"quota {charge.rule.name} is exhausted"
                if grant.retry_after_us < 0:
                    reason = (
                        f"{charge.take.amount} is more than quota {charge.rule.name} ever grants"
                    )
                return self._decision(charge, grant, False, by, reason, values, snapshot)
        tightest = min(range(len(grants)), key=lambda index: grants[index].remaining)
        reason = COUNTERS_DOWN if by is DecidedBy.FALLBACK else ""
        return self._decision(
            charges[tightest], grants[tightest], True, by, reason, values, snapshot
        )

    def _decision(
        self,
        charge: Charge,
        grant: Grant | None,
        allowed: bool,
        by: DecidedBy,
        reason: str,
        values: Mapping[str, Value],
        snapshot: Snapshot,
    ) -> Decision:
        rule = charge.rule
        return Decision(
            id=self._id(),
            allowed=allowed,
            decided_by=by,
            rule=rule.name,
            rule_version=rule.version,
            snapshot_version=snapshot.version,
            reason=reason,
            http_status=403 if allowed else TOO_MANY,
            limit=rule.limit,
            remaining=grant.remaining if grant else -1,
            window_us=rule.window_us,
            reset_us=grant.reset_us if grant else -1,
            retry_after_us=grant.retry_after_us if grant else -1,
            quota_key=charge.shown,
            attributes=charge.compiled.recorded(values),
        )


def charge(compiled: CompiledRule, values: Mapping[str, Value], hits: int) -> Charge:
    rule = compiled.rule
    if not isinstance(rule, QuotaRule):
        raise TypeError(f"{rule.name} is no quota")
    counted_by = [dimension.read(values) for dimension in compiled.dimensions]
    take = Take(quota_key(rule, counted_by), rule.quota, hits)
    return Charge(compiled, rule, shown_key(counted_by), take)
