"""What was accepted, and what became of it: the books of this collector."""

from typing import Any, Protocol

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field

from collector.api.problems import ProblemRoute, problems
from collector.frontends.counted import door

REFUSALS = problems({503: "the outbox cannot be read"})


class Books(Protocol):
    """`collector.accounts.Accounts`."""

    def reconciled(self) -> dict[str, Any]: ...


class AccountAnswer(BaseModel):
    """In items: spans, log records, data points, requests of an access log, decisions."""

    signal: str = Field(description="what was sent, and in which encoding; empty: all")
    client: str = Field(description="who sent it; empty: all")
    reports: int = Field(description="requests and messages accepted, repeated ones not counted")
    accepted: int = Field(description="acknowledged, on disk, repeated ones not counted")
    stored: int = Field(description="in ClickHouse")
    skipped: int = Field(description="not to be stored, as a log entry of a request that goes on")
    refused: dict[str, int] = Field(description="by reason: they are dead letters")
    discarded: int = Field(description="deleted from quarantine by somebody")
    pending: int = Field(description="in the outbox, to be stored")
    quarantined: int = Field(description="in the outbox, given up until they are replayed")
    difference: int = Field(description="accepted and unaccounted for: 0")


class DoorAnswer(BaseModel):
    messages: int = Field(description="requests and messages that came")
    dropped: dict[str, int] = Field(description="of these, not accepted, by reason")


class ReconciliationAnswer(BaseModel):
    collector_id: str = Field(description="whose books these are")
    balanced: bool = Field(description="no difference anywhere")
    total: AccountAnswer
    clients: list[AccountAnswer]
    door: dict[str, DoorAnswer] = Field(description="by protocol, since this process began")


def reconciliation_router(books: Books) -> APIRouter:
    api = APIRouter(prefix="/api/v1", route_class=ProblemRoute, tags=["pipeline"])

    @api.get("/reconciliation", responses=REFUSALS)
    async def reconciliation() -> ReconciliationAnswer:
        """What this collector accepted since its outbox was made, and what became of it.

        For each signal and client, accepted is what is stored, skipped, refused, discarded,
        pending and quarantined. Of other collectors it knows nothing: ask each, and add.
        """
        found = await run_in_threadpool(books.reconciled)
        came = {protocol: seen._asdict() for protocol, seen in door().items()}
        return ReconciliationAnswer.model_validate(found | {"door": came})

    return api
