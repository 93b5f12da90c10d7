"""The API over a rule database, without a server."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx

from collector.api.app import api_app
from collector.api.audit import audit_router
from collector.api.checks import checks_router
from collector.api.collectors import collectors_router
from collector.api.importing import import_router
from collector.api.lists import lists_router
from collector.api.quotas import quotas_router
from collector.api.rules import rules_router
from collector.api.usage import usage_router
from collector.api.versions import versions_router
from collector.checker import EngineChecker
from collector.consumption import Consumption
from collector.decisions.log import DecisionLog
from collector.lists import ListKeeper
from collector.snapshots import SnapshotKeeper
from policy.engine import Engine
from policy.quota.memory import MemoryCounters
from policy.store import RuleStore
from tests.collector.list_source import HERE
from tests.collector.policy_parts import Reports, rule_store

QUOTA = {
    "kind": "quota",
    "name": "calm",
    "match": 'source.service == "a" && destination.service == "b"',
    "limit": 2,
    "window": 3600,
    "algorithm": "fixed-window",
}
DENY = {"kind": "deny", "name": "no", "match": 'destination.service == "c"', "http_status": 451}
A_TO_B = {"attributes": {"source.service": "a", "destination.service": "b"}}

Body = Callable[[httpx.AsyncClient], Awaitable[None]]


class Api:
    """The API over a rule database of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.reports = Reports()

    def __call__(self, body: Body, store: RuleStore | None = None) -> None:
        async def run() -> None:
            rules = store or rule_store(self.directory)
            counters = MemoryCounters()
            engine = Engine(counters)
            lists = ListKeeper(self.directory, HERE)
            keeper = SnapshotKeeper(engine, rules, self.directory, 3600, lists)
            log = DecisionLog(self.reports)
            await keeper.start()
            app = api_app(
                rules_router(rules, keeper),
                quotas_router(rules, keeper),
                usage_router(Consumption(engine, counters, rules.audit)),
                lists_router(rules.lists, keeper, lists),
                versions_router(rules.history, keeper),
                audit_router(rules.audit),
                import_router(rules, keeper, lists),
                checks_router(EngineChecker(engine, log, 0)),
                collectors_router(keeper),
            )
            transport = httpx.ASGITransport(app=app)
            url = "http://collector/api/v1"
            async with httpx.AsyncClient(transport=transport, base_url=url) as client:
                await body(client)
            await log.close()
            await keeper.close()
            rules.close()

        asyncio.run(run())


def refused(answer: httpx.Response, status: int, place: str = "") -> dict[str, Any]:
    """The problem, which has the one shape all of them have."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    assert problem["place"] == place
    assert problem["reason"]
    return problem
