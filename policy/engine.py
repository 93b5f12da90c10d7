"""Bag in, decision out.

Derivations add attributes; then gates are asked, then quotas, each by (priority, name); the first
refusal wins. All matching quotas are charged together: when one refuses, none is charged. What
passes may have its headers changed. Shadow rules and drafts are asked beside, and decide nothing.
"""

import asyncio
import contextlib
import os
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import count

from policy.answers import (
    COUNTERS_DOWN,
    Asked,
    Charged,
    Matched,
    Standing,
    decision_of,
    granted,
    holds,
    passed,
    verdict_of,
)
from policy.attributes import AttributeBag, Value
from policy.counts import Counts
from policy.derived import derive, uncounted
from policy.errors import CountersDown, NoSnapshot
from policy.kinds import OnBackendError
from policy.meter import MAX_AMOUNT
from policy.quota import Dedup, Grant, Take
from policy.quota.contract import Charging, ChargingNow
from policy.quota.local import LocalCounters
from policy.results import DecidedBy, Decision, HeaderOperation, Verdict
from policy.snapshot import Candidates, Snapshot
from policy.stages import Gate, Metered

DEADLINE_S = 0.025
LEASES = "~"  # between a lease and the rules beside that hold something under it, too
MAX_BESIDE = 64  # rules whose leases one release gives back


class Engine:
    """`counts`: what was counted since they were taken last."""

    def __init__(
        self,
        counters: Charging,
        snapshot: Snapshot | None = None,
        local: ChargingNow | None = None,
    ) -> None:
        self._counters = counters
        self._local = LocalCounters() if local is None else local
        self._snapshot = snapshot
        self.counts = Counts()
        # Decision ids are unique without asking for randomness each time.
        self._prefix = os.urandom(6).hex()
        self._numbers = count()

    @property
    def snapshot(self) -> Snapshot | None:
        return self._snapshot

    def swap(self, snapshot: Snapshot) -> None:
        """Checks under way finish on the snapshot they began with."""
        self._snapshot = snapshot

    def take_counts(self) -> Counts:
        """Counting begins again at nothing."""
        taken, self.counts = self.counts, Counts()
        return taken

    def check(
        self,
        bag: AttributeBag,
        hits: int = 1,
        deadline_s: float | None = None,
        *,
        best_effort: bool = False,
        dedup: Dedup | None = None,
    ) -> Decision | Awaitable[Decision]:
        """A plain Decision when no quota matches. Raises NoSnapshot when rules were never loaded.

        `hits` is charged to each matching quota; 0 asks without charging. With best effort what is
        left will do, see `granted`. The same `dedup` again is charged once.
        """
        snapshot = self._snapshot
        if snapshot is None:
            raise NoSnapshot("no rules were loaded yet")
        values = bag.values
        found = snapshot.candidates(values.get("destination.service"))
        if found.derivations:
            values, found = with_derived(snapshot, found, values, self.counts.match)
        if found.by_values:
            found = narrowed(found, values)
        self.counts.asked.add(found.destination)
        beside = self._gates_beside(found, values) if found.shadow_gates else ()
        refusal = (
            self._refusal(found, values, snapshot, beside, self.counts.match)
            if found.gates
            else None
        )
        if refusal is not None:
            return refusal
        quotas = matching(found.metered, values, hits) if found.metered else []
        shadow = matching(found.shadow_metered, values, hits) if found.shadow_metered else []
        if not quotas and not shadow and not found.headers and not beside:
            return Decision(self._id(), True, DecidedBy.DEFAULT, "", 0, snapshot.version)
        asked = Asked(
            self._id(), values, snapshot, found.headers, beside,
            DEADLINE_S if deadline_s is None else deadline_s, best_effort, dedup,
            self._lease(quotas, shadow),
        )  # fmt: skip
        for matched in (*quotas, *shadow):
            self.counts.match(matched.metered.rule_id)
        drafts = [matched for matched in quotas if matched.charge.draft]
        if shadow or drafts:
            return self._counted_beside(asked, quotas, shadow, drafts)
        return self._counted(asked, quotas) if quotas else self._finished(asked, passed(asked))

    def let_pass(self) -> Decision:
        """Allowed without asking any rule."""
        version = self._snapshot.version if self._snapshot else 0
        return Decision(self._id(), True, DecidedBy.OWN, snapshot_version=version)

    async def release(self, lease: str, deadline_s: float | None = None) -> int:
        """A request is over: gives back what its decision's `lease` holds, and says how much.

        0 when it is not known, was released before, or has expired. Raises CountersDown.
        """
        own, *beside = lease.split(LEASES)
        deadline = DEADLINE_S if deadline_s is None else deadline_s
        ids = (own, *(f"{own}{LEASES}{rule}" for rule in beside[:MAX_BESIDE]))
        here = sum(self._local.release_now(one) for one in ids)
        released = await asyncio.gather(*(self._counters.release(one, deadline) for one in ids))
        return here + sum(released)

    def standing(self, bag: AttributeBag) -> Standing:
        """What is so for all requests like this one; nothing is charged or counted.

        Raises NoSnapshot.
        """
        snapshot, values, found = self._applicable(bag)
        asked = Asked(self._id(), values, snapshot, (), (), DEADLINE_S, False, None, "")
        refusal = self._refusal(found, values, snapshot, (), uncounted)
        return Standing(asked, refusal, [] if refusal else matching(found.metered, values, 1))

    def count_alike(self, standing: Standing, requests: int) -> None:
        """Counts requests that others decided, by what is so for all of them."""
        values, snapshot = standing.asked.values, standing.asked.snapshot
        found = narrowed(snapshot.candidates(values.get("destination.service")), values)
        alike = Counts()
        refusal = self._refusal(found, values, snapshot, (), alike.match)
        metered = () if refusal else (*found.metered, *found.shadow_metered)
        for compiled in (*found.derivations, *found.shadow_gates, *metered):
            if compiled.match.test(values):
                alike.match(compiled.rule_id)
        self.counts.asked.add(found.destination)
        for rule_id, times in alike.matched.items():
            self.counts.matched[rule_id] += times * requests

    def values_of(self, bag: AttributeBag) -> Mapping[str, Value]:
        """Its attributes, and those that rules derive. Raises NoSnapshot."""
        return self._applicable(bag)[1]

    def matching_quotas(self, bag: AttributeBag) -> list[Matched]:
        """The quotas in force for such requests, by (priority, name); nothing is charged.

        Raises NoSnapshot.
        """
        _, values, found = self._applicable(bag)
        return matching(found.metered, values, 1)

    def _applicable(self, bag: AttributeBag) -> tuple[Snapshot, Mapping[str, Value], Candidates]:
        snapshot = self._snapshot
        if snapshot is None:
            raise NoSnapshot("no rules were loaded yet")
        found = snapshot.candidates(bag.values.get("destination.service"))
        values, found = with_derived(snapshot, found, bag.values)
        return snapshot, values, narrowed(found, values)

    def _id(self) -> str:
        return f"{self._prefix}-{next(self._numbers):x}"

    def _lease(self, quotas: Sequence[Matched], shadow: Sequence[Matched]) -> str:
        """Not to be guessed: whoever has it can give back what it holds."""
        if not any(matched.metered.meter.holds for matched in (*quotas, *shadow)):
            return ""
        return secrets.token_hex(12)

    def _gates_beside(self, found: Candidates, values: Mapping[str, Value]) -> tuple[Verdict, ...]:
        verdicts = []
        for gate in found.shadow_gates:
            if gate.match.test(values):
                self.counts.match(gate.rule_id)
                reason = gate.refuses(values)
                verdicts.append(
                    Verdict(gate.rule.name, gate.rule.version, reason is None, None, reason or "")
                )
        return tuple(verdicts)

    def _refusal(
        self,
        found: Candidates,
        values: Mapping[str, Value],
        snapshot: Snapshot,
        beside: tuple[Verdict, ...],
        matched: Callable[[str], None],
    ) -> Decision | None:
        for gate in found.gates:
            if gate.match.test(values):
                matched(gate.rule_id)
                reason = gate.refuses(values)
                if reason is not None:
                    return self._refused(gate, reason, values, snapshot, beside)
        return None

    def _refused(
        self,
        gate: Gate,
        reason: str,
        values: Mapping[str, Value],
        snapshot: Snapshot,
        beside: tuple[Verdict, ...],
    ) -> Decision:
        rule = gate.rule
        return Decision(
            id=self._id(),
            allowed=False,
            decided_by=DecidedBy.DENY,
            rule=rule.name,
            rule_version=rule.version,
            snapshot_version=snapshot.version,
            reason=reason,
            http_status=rule.http_status,
            attributes=gate.recorded(values),
            response_headers=gate.told,
            beside=beside,
        )

    async def _counted_beside(
        self, asked: Asked, quotas: list[Matched], shadow: list[Matched], drafts: list[Matched]
    ) -> Decision:
        """All are asked in one turn of the loop, so they share one trip to the counters."""
        live, of_shadow, of_drafts = await asyncio.gather(
            self._charged(asked, quotas),
            asyncio.gather(*(self._said(asked, each, each.charge.takes) for each in shadow)),
            asyncio.gather(*(self._said(asked, each, each.charge.draft) for each in drafts)),
        )
        compared = [
            verdict and verdict._replace(live=matched not in live.refusing)
            for verdict, matched in zip(of_drafts, drafts, strict=True)
        ]
        found = tuple(verdict for verdict in (*of_shadow, *compared) if verdict)
        decision = live.decision._replace(beside=(*asked.beside, *found))
        if asked.lease:
            decision = await self._leased(asked, decision, shadow, drafts)
        return self._finished(asked, decision)

    async def _leased(
        self, asked: Asked, decision: Decision, shadow: list[Matched], drafts: list[Matched]
    ) -> Decision:
        """With the leases of what was asked beside; of a refused request all are over already."""
        held = [each for each in shadow if holds(each.charge.takes)]
        held += [each for each in drafts if holds(each.charge.draft)]
        lease = LEASES.join([asked.lease, *(each.metered.rule.name for each in held)])
        if decision.allowed:
            return decision._replace(lease=lease if held else decision.lease)
        with contextlib.suppress(CountersDown):  # they end by themselves
            await self.release(lease, asked.deadline_s)
        return decision

    async def _said(
        self, asked: Asked, matched: Matched, takes: tuple[Take, ...]
    ) -> Verdict | None:
        """What these counters say by themselves; None when they do not answer."""
        lease = asked.lease and f"{asked.lease}{LEASES}{matched.metered.rule.name}"
        try:
            grants = await self._charge(asked, takes, lease) if takes else []
        except CountersDown:
            return None
        return verdict_of(matched, takes, grants)

    def _charge(self, asked: Asked, takes: tuple[Take, ...], lease: str) -> Awaitable[list[Grant]]:
        return self._counters.charge(
            takes,
            asked.deadline_s,
            best_effort=asked.best_effort,
            dedup=asked.dedup,
            lease=lease,
        )

    async def _counted(self, asked: Asked, quotas: list[Matched]) -> Decision:
        return self._finished(asked, (await self._charged(asked, quotas)).decision)

    async def _charged(self, asked: Asked, quotas: list[Matched]) -> Charged:
        if not quotas:
            return Charged(passed(asked))
        takes = tuple([take for matched in quotas for take in matched.charge.takes])
        if not takes:
            return Charged(decision_of(asked, quotas[0], None, None, DecidedBy.QUOTA))
        try:
            grants = await self._charge(asked, takes, asked.lease)
        except CountersDown:
            return Charged(self._fallback(asked, quotas))
        return granted(asked, quotas, grants, DecidedBy.QUOTA)

    def _fallback(self, asked: Asked, quotas: list[Matched]) -> Decision:
        """Each rule's own policy: a closed one denies, local ones count here, open ones pass."""
        limited = [matched for matched in quotas if matched.charge.takes]
        by = DecidedBy.FALLBACK
        for matched in limited:
            if matched.metered.rule.on_backend_error is OnBackendError.CLOSED:
                return decision_of(asked, matched, None, None, by, COUNTERS_DOWN, False)
        local = [
            matched
            for matched in limited
            if matched.metered.rule.on_backend_error is OnBackendError.LOCAL
        ]
        if not local:
            return decision_of(asked, limited[0], None, None, by, COUNTERS_DOWN)
        takes = tuple(take for matched in local for take in matched.charge.takes)
        grants = self._local.charge_now(
            takes,
            best_effort=asked.best_effort,
            dedup=asked.dedup,
            lease=asked.lease,
        )
        return granted(asked, local, grants, by).decision

    def _finished(self, asked: Asked, decision: Decision) -> Decision:
        """With what header rules change of a request that passes."""
        if not asked.headers or not decision.allowed:
            return decision
        request: list[HeaderOperation] = []
        response: list[HeaderOperation] = []
        for headers in asked.headers:
            if headers.match.test(asked.values):
                self.counts.match(headers.rule_id)
                request += headers.request
                response += headers.response
        if not request and not response:
            return decision
        return decision._replace(request_headers=tuple(request), response_headers=tuple(response))


def with_derived(
    snapshot: Snapshot,
    found: Candidates,
    values: Mapping[str, Value],
    matched: Callable[[str], None] = uncounted,
) -> tuple[Mapping[str, Value], Candidates]:
    """Also the attributes that rules derive, and the rules of the destination known then."""
    if not found.derivations:
        return values, found
    derived = derive(found.derivations, values, matched)
    destination = derived.get("destination.service")
    if destination == values.get("destination.service"):
        return derived, found
    return derived, snapshot.candidates(destination)


def narrowed(found: Candidates, values: Mapping[str, Value]) -> Candidates:
    """Without most rules that cannot match, when there are many."""
    while found.by_values:
        found = found.by_values.narrow(values)
    return found


def matching(metered: Sequence[Metered], values: Mapping[str, Value], hits: int) -> list[Matched]:
    amount = min(max(hits, 0), MAX_AMOUNT)
    return [
        Matched(compiled, compiled.meter.charge(values, amount))
        for compiled in metered
        if compiled.match.test(values)
    ]
