"""Which collectors live, and which rules they run."""

from datetime import UTC, datetime
from typing import Protocol

from fastapi import APIRouter
from pydantic import BaseModel, Field

from collector.api.in_force import InForce
from collector.api.problems import ProblemRoute
from collector.status.roster import Found, Live


class SnapshotAnswer(BaseModel):
    version: int = Field(description="of the whole set of rules; -1 before any were loaded")
    failing: str = Field(description="why newer rules are not in force; empty: they are")


class CollectorAnswer(BaseModel):
    """Texts that say what is wrong are empty when nothing is."""

    id: str = Field(description="its outbox's; the same after a restart")
    host: str = Field(description="the machine's name", examples=["mesh-7"])
    pid: int = Field(description="its process there")
    url: str = Field(description="where workers reach it", examples=["http://10.0.0.7:4318"])
    version: str = Field(description="of meshmeter", examples=["0.1.0"])
    snapshot_version: int = Field(description="of the rules it runs; -1 before any were loaded")
    taken_at: datetime | None = Field(description="when these came into force; null: none did")
    behind: bool = Field(description="there are newer rules")
    behind_s: float = Field(description="for how long there have been, s")
    failing: str = Field(description="why newer rules are not in force")
    started_at: datetime
    last_seen_at: datetime = Field(description="by the counters' server; of the asked one: now")
    ready: bool = Field(description="as its /readyz")
    not_ready: dict[str, str] = Field(description="why not, by check")
    counters: str = Field(description="why the counters' server does not answer it")
    store: str = Field(description="why ClickHouse does not answer it, looked at every 5 s")


class CollectorsAnswer(BaseModel):
    newest: int = Field(description="version of the rule set: all should run it")
    live: int = Field(description="how many collectors there are; if not complete: were, last")
    complete: bool = Field(
        description="false: the counters' server does not answer, and only the asked one is here"
    )
    why: str = Field(description="why it is not complete")
    collectors: list[CollectorAnswer] = Field(description="by host and id")


class Roster(Protocol):
    """`collector.status.roster.Roster`."""

    async def __call__(self) -> Found: ...


def collectors_router(in_force: InForce) -> APIRouter:
    api = APIRouter(prefix="/api/v1", route_class=ProblemRoute, tags=["collectors"])

    @api.get("/snapshot")
    async def snapshot() -> SnapshotAnswer:
        """Which rules this collector runs."""
        return SnapshotAnswer(version=in_force.version, failing=in_force.failing)

    return api


def roster_router(roster: Roster) -> APIRouter:
    api = APIRouter(prefix="/api/v1", route_class=ProblemRoute, tags=["collectors"])

    @api.get("/collectors")
    async def collectors() -> CollectorsAnswer:
        """All collectors that live, and what they run.

        Each says so every second to the counters' server; one that was not heard of for five
        seconds is gone. While that server does not answer, only the asked collector is told.
        """
        found = await roster()
        return CollectorsAnswer(
            newest=found.newest,
            live=found.live,
            complete=not found.why,
            why=found.why,
            collectors=[answer_of(live, found.newest) for live in found.collectors],
        )

    return api


def answer_of(live: Live, newest: int) -> CollectorAnswer:
    row, seen_at, behind_s = live
    return CollectorAnswer(
        id=row.id,
        host=row.host,
        pid=row.pid,
        url=row.url,
        version=row.version,
        snapshot_version=row.snapshot_version,
        taken_at=moment(row.taken_at) if row.taken_at else None,
        behind=row.snapshot_version < newest,
        behind_s=round(behind_s, 3),
        failing=row.failing,
        started_at=moment(row.started_at),
        last_seen_at=moment(seen_at),
        ready=not row.not_ready,
        not_ready=dict(row.not_ready),
        counters=row.counters,
        store=row.store,
    )


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
