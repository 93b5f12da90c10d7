"""Rules, engine and reports for tests of the collector's check side."""

import asyncio
import json
from pathlib import Path
from typing import Any

from collector.errors import Overloaded
from collector.model import Report
from migrations.rules import migrate_rules
from policy.store import RuleStore


class Reports:
    """Takes every report, unless it is told to be full."""

    def __init__(self) -> None:
        self.taken: list[Report] = []
        self.full = False
        self.refused = 0

    async def report(self, report: Report) -> None:
        if self.full:
            self.refused += 1
            raise Overloaded("the outbox is full")
        self.taken.append(report)

    @property
    def records(self) -> list[dict[str, Any]]:
        return [
            json.loads(line) for report in self.taken for line in report.body.splitlines()
        ]  # fmt: skip


def rule_store(directory: Path) -> RuleStore:
    url = f"sqlite:///{directory / 'rules.sqlite'}"
    migrate_rules(url)
    return RuleStore(url)


async def until(condition: Any, within_s: float = 20) -> None:
    """Waits on the loop until the condition holds."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110  # whatever the condition reads sets no event
            await asyncio.sleep(0.005)
