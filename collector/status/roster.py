"""All collectors that live, and which of them lag behind the newest rules."""

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import NamedTuple

from collector.status.heartbeat import Heartbeat, Row, row_of
from policy.errors import CountersDown, PolicyError
from policy.quota.members import Members
from policy.store import RuleStore

log = logging.getLogger(__name__)


class Live(NamedTuple):
    """`behind_s`: for how long there have been newer rules than it runs; 0: there are none."""

    row: Row
    seen_at: float
    behind_s: float


class Found(NamedTuple):
    """`why` is not empty when the counters did not answer: then only this collector is in it, and
    `live` says how many there were when they last did. `newest` is the rule set's version."""

    newest: int
    live: int
    why: str
    collectors: Sequence[Live]


class Roster:
    """Used on one event loop."""

    def __init__(self, members: Members, heartbeat: Heartbeat, rules: RuleStore) -> None:
        self._members = members
        self._heartbeat = heartbeat
        self._rules = rules

    async def __call__(self) -> Found:
        """By host and id. Never raises for a dependency that is down."""
        why, now, own = "", time.time(), self._heartbeat.row()
        seen: dict[str, tuple[Row, float]] = {}
        try:
            for member in await self._members.all():
                if row := row_of(member.said):
                    seen[member.id] = row, now - member.ago_s
        except CountersDown as error:
            why = str(error)
        seen[own.id] = own, now
        rows = [row for row, _ in seen.values()]
        newest = await asyncio.to_thread(self._newest, rows)
        found: list[Live] = []
        for row, at in sorted(seen.values(), key=lambda one: (one[0].host, one[0].id)):
            behind_s = 0.0
            if row.snapshot_version < newest:
                since = await asyncio.to_thread(self._outdated_at, row.snapshot_version, rows)
                behind_s = max(time.time() - since, 0.0)
            found.append(Live(row, at, behind_s))
        return Found(newest, self._members.live if why else len(found), why, found)

    def _newest(self, rows: Sequence[Row]) -> int:
        """Of the database or, while that does not answer, that any collector runs."""
        newest = max(row.snapshot_version for row in rows)
        try:
            return max(newest, self._rules.version())
        except PolicyError as error:
            log.debug("what the newest rules are is not known", extra={"why": str(error)})
            return newest

    def _outdated_at(self, version: int, rows: Sequence[Row]) -> float:
        """Since when there are newer rules than these, or since when a collector runs some."""
        others = [row.taken_at for row in rows if row.snapshot_version > version]
        since = min(others, default=time.time())
        try:
            made = self._rules.history.version(max(version, 0) + 1).time
        except PolicyError as error:
            log.debug("when the newer rules were made is not known", extra={"why": str(error)})
            return since
        return min(since, made.timestamp()) if made else since
