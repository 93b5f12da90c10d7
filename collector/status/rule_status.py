"""What each rule matched, and why one matches nothing."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from collector.status.activity import CHECKS, NEVER, Activity, checks_to
from collector.status.bag_sample import BagSample
from policy.engine import Engine
from policy.errors import CountersDown
from policy.explain.idle import Asked, Idle, why_idle
from policy.kinds import AnyRule
from policy.quota.tallies import Tally


class Tallies(Protocol):
    async def read(self, names: Sequence[str]) -> Mapping[str, Tally]:
        """Raises CountersDown."""


class RuleStatus(NamedTuple):
    """`matched` is of all collectors, or of this one while the counters do not answer, which
    `of_all` tells; `here` is of this one since `since_s`. `in_force`: here, this version.

    `idle`: in force long enough, and it matched nothing all the while. Times are since 1970.
    """

    rule: AnyRule
    in_force: bool
    idle: bool
    of_all: bool
    matched: Tally
    here: Tally
    since_s: float


class RuleStatuses:
    """Used on the loop of the checks. A rule is idle that matched nothing for `idle_s`."""

    def __init__(
        self,
        engine: Engine,
        activity: Activity,
        sample: BagSample,
        tallies: Tallies,
        idle_s: float,
    ) -> None:
        self._engine = engine
        self._activity = activity
        self._sample = sample
        self._tallies = tallies
        self._idle_s = idle_s

    async def of(self, rules: Sequence[AnyRule]) -> list[RuleStatus]:
        await self._activity.tell()
        tallies = await self._read([rule_id(rule) for rule in rules])
        return [self._status(rule, tallies.get(rule_id(rule))) for rule in rules]

    async def why(self, name: str) -> Idle | None:
        """By what this collector was asked; None for a rule that it does not run."""
        snapshot = self._engine.snapshot
        compiled = snapshot.rules.get(name) if snapshot else None
        if snapshot is None or compiled is None:
            return None
        service = compiled.match.service
        about = CHECKS if service is None else checks_to(service)
        elsewhere = (await self._read([about])).get(about, NEVER)
        here = self._activity.here
        asked = Asked(
            any=self._lately(here(CHECKS)),
            about=self._lately(here(about)),
            elsewhere=self._lately(elsewhere),
        )
        samples = self._sample.newest()
        return await asyncio.to_thread(why_idle, compiled, snapshot, samples, asked)

    async def _read(self, names: Sequence[str]) -> Mapping[str, Tally]:
        """Nothing while the counters do not answer."""
        try:
            return await self._tallies.read(names)
        except CountersDown:
            return {}

    def _status(self, rule: AnyRule, everywhere: Tally | None) -> RuleStatus:
        here = self._activity.here(rule_id(rule))
        matched = here.or_more(everywhere or NEVER)
        snapshot = self._engine.snapshot
        running = snapshot.rules.get(rule.name) if snapshot else None
        in_force = running is not None and running.rule.version == rule.version
        old_enough = self._activity.age_s(rule_id(rule)) >= self._idle_s
        return RuleStatus(
            rule,
            in_force=in_force,
            idle=in_force and old_enough and not self._lately(matched),
            of_all=everywhere is not None,
            matched=matched,
            here=here,
            since_s=self._activity.since_s,
        )

    def _lately(self, tally: Tally) -> bool:
        return self._activity.clock() - tally.last_ms / 1000 < self._idle_s


def rule_id(rule: AnyRule) -> str:
    return f"{rule.name}@{rule.version}"
