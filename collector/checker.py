"""Check: the engine's decision, counted and recorded."""

import random
from collections.abc import Awaitable

from prometheus_client import Counter

from collector.decisions.log import DecisionLog
from collector.errors import Unready
from collector.own import Own
from collector.status.bag_sample import BagSample
from policy.attributes import AttributeBag
from policy.engine import Engine
from policy.errors import CountersDown, NoSnapshot
from policy.quota import Dedup
from policy.results import DecidedBy, Decision

CHECKS = Counter(
    "meshmeter_checks",
    "checks answered: allowed, denied, or by a quota's failure policy fallback_allowed, "
    "fallback_denied",
    ["protocol", "answer"],
)
ANSWERS = {
    (True, False): "allowed",
    (False, False): "denied",
    (True, True): "fallback_allowed",
    (False, True): "fallback_denied",
}


RELEASED = Counter("meshmeter_released", "given back by requests that are over")
BESIDE = Counter(
    "meshmeter_verdicts_beside",
    "what shadow rules and drafts would have said: allowed, denied",
    ["rule", "answer"],
)


class EngineChecker:
    """`services.Checker`. `allow_sample` is the share of allows recorded; denials always are, and
    what a shadow rule or a draft would have decided otherwise."""

    def __init__(
        self,
        engine: Engine,
        decisions: DecisionLog,
        allow_sample: float,
        own: Own | None = None,
        sample: BagSample | None = None,
    ) -> None:
        self._own = own or Own((), ())
        self._bags = sample or BagSample(engine, kept_s=0)  # never refilled
        self._engine = engine
        self._decisions = decisions
        self._sample = min(max(allow_sample, 0.0), 1.0)
        self._weight = 1 / self._sample if self._sample else 1.0
        self._counts: dict[tuple[str, bool, bool], Counter] = {}

    def check(
        self,
        bag: AttributeBag,
        *,
        protocol: str,
        hits: int = 1,
        deadline_s: float | None = None,
        best_effort: bool = False,
        dedup: Dedup | None = None,
    ) -> Decision | Awaitable[Decision]:
        """A plain Decision when no counter is asked. Raises Unready while there are no rules."""
        try:
            if self._own(bag.values):
                decision: Decision | Awaitable[Decision] = self._engine.let_pass()
            else:
                if self._bags.room:
                    self._bags.look(bag.values)
                decision = self._engine.check(
                    bag, hits, deadline_s, best_effort=best_effort, dedup=dedup
                )
        except NoSnapshot as error:
            raise Unready(str(error)) from error
        if isinstance(decision, Decision):
            self._record(decision, bag, protocol)
            return decision
        return self._recorded(decision, bag, protocol)

    async def release(self, lease: str) -> int:
        try:
            released = await self._engine.release(lease)
        except CountersDown as error:
            raise Unready(str(error)) from error
        RELEASED.inc(released)
        return released

    async def _recorded(
        self, decision: Awaitable[Decision], bag: AttributeBag, protocol: str
    ) -> Decision:
        decided = await decision
        self._record(decided, bag, protocol)
        return decided

    def _record(self, decision: Decision, bag: AttributeBag, protocol: str) -> None:
        allowed = decision.allowed
        key = protocol, allowed, decision.decided_by is DecidedBy.FALLBACK
        counted = self._counts.get(key)
        if counted is None:
            counted = self._counts[key] = CHECKS.labels(protocol, ANSWERS[key[1:]])
        counted.inc()
        for verdict in decision.beside:
            BESIDE.labels(verdict.rule, "allowed" if verdict.allowed else "denied").inc()
        if not allowed or differs(decision):
            self._decisions.add(decision, bag, protocol, 1.0)
        elif self._sample and random.random() < self._sample:  # noqa: S311  # a sample, no secret
            self._decisions.add(decision, bag, protocol, self._weight)
        else:
            self._decisions.recent.passed(decision)


def differs(decision: Decision) -> bool:
    """Whether a shadow rule or a draft would have said something else."""
    return any(
        verdict.allowed is not (decision.allowed if verdict.live is None else verdict.live)
        for verdict in decision.beside
    )
