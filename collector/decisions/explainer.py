"""What this collector would answer a check, and why; draft rules may be tried beside its own."""

import asyncio
from collections.abc import Sequence

from collector.errors import Unready
from collector.own import Own
from policy.attributes import AttributeBag
from policy.engine import Engine
from policy.explain import Explanation, explain, unruled, with_rules
from policy.explain.looking import PeekingNow
from policy.kinds import AnyRule
from policy.lists import HeldLists
from policy.quota import Counters


class Explainer:
    """`local`: what the engine counts with while the counters do not answer."""

    def __init__(
        self, engine: Engine, counters: Counters, local: PeekingNow, lists: HeldLists, own: Own
    ) -> None:
        self._engine = engine
        self._counters = counters
        self._local = local
        self._lists = lists
        self._own = own

    async def __call__(
        self,
        bag: AttributeBag,
        hits: int = 1,
        rules: Sequence[AnyRule] = (),
        *,
        alone: bool = False,
        list_elsewhere: bool = False,
    ) -> Explanation:
        """`rules` are tried, see `with_rules`. Raises Unready, InvalidRule."""
        snapshot = self._engine.snapshot
        if snapshot is None:
            raise Unready("no rules were loaded yet")
        if self._own(bag.values):
            return unruled(self._engine.let_pass()._replace(id=""), bag)
        if rules or alone:
            snapshot = await asyncio.to_thread(
                with_rules, snapshot, rules, self._lists, alone=alone
            )
        return await explain(
            snapshot, self._counters, self._local, bag, hits, list_elsewhere=list_elsewhere
        )
