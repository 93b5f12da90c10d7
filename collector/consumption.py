"""What is used of the quotas in force, by whom, and taking some of it back by hand."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from policy.acts import By, Edit, Resource
from policy.engine import Engine
from policy.errors import InvalidRule, UnknownPart
from policy.kinds import QuotaRule
from policy.quota import Counters, Take, Usage
from policy.quota.contract import DEADLINE_S
from policy.quota.keys import limit_of
from policy.stages import Metered
from policy.store import Audit

Work = Callable[[tuple[Take, ...]], Awaitable[object]]


class Consumed(NamedTuple):
    """By the rule as it is in force at `rule_version`."""

    rule_version: int
    usage: Usage


class Left(NamedTuple):
    """One counter now. `limit_id` tells which of the rule's limits."""

    limit_id: str
    limit: int  # a token bucket's burst
    remaining: int
    reset_us: int


class Done(NamedTuple):
    """One consumer's counters, those of a draft among them, before something was done and after."""

    override: str
    before: Sequence[Left]
    after: Sequence[Left]


class Consumption:
    """Used on one event loop. All raise UnknownPart for a quota that is not in force here, and
    CountersDown."""

    def __init__(self, engine: Engine, counters: Counters, audit: Audit) -> None:
        self._engine = engine
        self._counters = counters
        self._audit = audit

    async def usage(self, name: str, top: int) -> Consumed:
        """The `top` consumers, of whatever override, each counter by itself."""
        metered, rule = self._quota(name)
        quotas = await asyncio.to_thread(rule.counted)
        usage = await self._counters.usage(name, quotas, top=top)
        return Consumed(metered.rule.version, usage)

    async def reset(self, name: str, key: Sequence[str], by: By) -> Done:
        """Forgets what this consumer used. Raises InvalidRule for a key that is none."""

        async def forget(takes: tuple[Take, ...]) -> None:
            await self._counters.reset([take.key for take in takes])

        return await self._by_hand(name, key, by, "reset", forget)

    async def grant(self, name: str, key: Sequence[str], amount: int, by: By) -> Done:
        """Gives back up to so much of what this consumer used. Raises InvalidRule for a key that is
        none."""

        async def give_back(takes: tuple[Take, ...]) -> None:
            for take in takes:
                await self._counters.grant(take._replace(amount=-amount))

        return await self._by_hand(name, key, by, "grant", give_back)

    def _quota(self, name: str) -> tuple[Metered, QuotaRule]:
        found = self._engine.snapshot.rules.get(name) if self._engine.snapshot else None
        if not isinstance(found, Metered) or not isinstance(found.rule, QuotaRule):
            raise UnknownPart(f"there is no quota {name!r} in force")
        return found, found.rule

    async def _by_hand(
        self, name: str, key: Sequence[str], by: By, action: str, work: Work
    ) -> Done:
        metered, rule = self._quota(name)
        if len(key) != len(rule.dimensions):
            wanted = ", ".join(rule.dimensions) or "none"
            raise InvalidRule("/key", f"expected a value for each dimension: {wanted}")
        charge = metered.meter.charge_by(key, 0)
        takes = charge.takes + charge.draft
        loop, done = asyncio.get_running_loop(), Done(charge.limits.override, (), ())

        async def watched() -> Done:
            before = await self._left(takes)
            await work(takes)
            return done._replace(before=before, after=await self._left(takes))

        def logged() -> Sequence[Edit]:
            nonlocal done
            done = asyncio.run_coroutine_threadsafe(watched(), loop).result()
            return [Edit(Resource.COUNTER, name, told(key, done.before), told(key, done.after))]

        await asyncio.to_thread(self._audit.add, by, action, logged)
        return done

    async def _left(self, takes: tuple[Take, ...]) -> list[Left]:
        grants = await self._counters.peek(takes, DEADLINE_S)
        return [
            Left(limit_of(take.key)[0], take.quota.burst, grant.remaining, grant.reset_us)
            for take, grant in zip(takes, grants, strict=True)
        ]


def told(key: Sequence[str], left: Sequence[Left]) -> dict[str, object]:
    return {"key": [*key], "counters": [counter._asdict() for counter in left]}
