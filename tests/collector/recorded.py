"""Checks by the real engine, recorded by the real log, decoded as a worker does, and stored."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import httpx
from fastapi import APIRouter, FastAPI

from collector.checker import EngineChecker
from collector.decisions.log import DecisionLog
from collector.decoders import decode_group
from collector.store.client import Store
from policy.attributes import AttributeBag
from policy.engine import Engine
from policy.quota.memory import MemoryCounters
from policy.results import Decision
from policy.rules import rule_from_json
from policy.snapshot import compile_snapshot
from tests.collector.policy_parts import Reports


class Recorded:
    """A collector's check side, and what it records into `store`; a clock that stands still."""

    def __init__(self, store: Store, *documents: Mapping[str, Any], sample: float = 1.0) -> None:
        now_us = time.time_ns() // 1000
        rules = [rule_from_json(document) for document in documents]
        self.reports = Reports()
        self.log = DecisionLog(self.reports)
        engine = Engine(MemoryCounters(lambda: now_us), compile_snapshot(rules, 7))
        self.checker = EngineChecker(engine, self.log, sample)
        self.store = store
        self._group = 0

    def check(self, bags: Iterable[Mapping[str, Any]]) -> list[Decision]:
        """One after the other, and stored."""

        async def run() -> list[Decision]:
            made = [await self.decision(bag) for bag in bags]
            await self.log.close()
            return made

        made = asyncio.run(run())
        self.deliver()
        return made

    async def decision(self, bag: Mapping[str, Any]) -> Decision:
        found = self.checker.check(AttributeBag(bag), protocol="test")
        return found if isinstance(found, Decision) else await found

    def deliver(self) -> None:
        """What a worker does with the reports."""
        self._group += 1
        decoded = decode_group(self.reports.taken, self._group)
        self.reports.taken.clear()
        assert decoded.dead == []
        for table, columns in decoded.tables.items():
            self.store.insert(table, columns, token=f"test:{self._group}:{table}")


def asked(router: APIRouter, body: Callable[[httpx.AsyncClient], Awaitable[None]]) -> None:
    """Runs `body` with a client of an API that has this router."""

    async def run() -> None:
        app = FastAPI()
        app.include_router(router)
        transport = httpx.ASGITransport(app=app)
        url = "http://collector/api/v1"
        async with httpx.AsyncClient(transport=transport, base_url=url) as client:
            await body(client)

    asyncio.run(run())
