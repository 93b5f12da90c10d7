"""An engine over rules of the test's own, on a clock that stands still."""

import asyncio
from collections.abc import Awaitable, Mapping
from types import MappingProxyType
from typing import Any

from policy.attributes import AttributeBag
from policy.engine import Engine
from policy.lists import HeldLists
from policy.quota.memory import MemoryCounters
from policy.results import Decision
from policy.rules import rule_from_json
from policy.snapshot import compile_snapshot
from tests.policy.objects import A_TO_B

NOON_US = 1_700_006_400_000_000
NOTHING: Mapping[str, Any] = MappingProxyType({})


def deciding(
    *documents: Mapping[str, Any], counters: Any = None, lists: HeldLists | None = None
) -> Engine:
    """An engine with these rules, written as JSON."""
    still = MemoryCounters(lambda: NOON_US)
    rules = [rule_from_json(document) for document in documents]
    return Engine(
        counters or still, compile_snapshot(rules, 1, None, lists), MemoryCounters(lambda: NOON_US)
    )


def decide(
    engine: Engine, more: Mapping[str, Any] = NOTHING, hits: int = 1, **how: Any
) -> Decision:
    """A check from a to b."""
    return ask(engine, {**A_TO_B, **more}, hits, **how)


def ask(engine: Engine, values: Mapping[str, Any], hits: int = 1, **how: Any) -> Decision:
    """A check of these attributes and no others."""
    answer = engine.check(AttributeBag(values), hits, **how)
    if isinstance(answer, Decision):
        return answer

    async def wait(answer: Awaitable[Decision]) -> Decision:
        return await answer

    return asyncio.run(wait(answer))
