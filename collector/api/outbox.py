"""What waits in this collector's outbox, and for how long there is room."""

from typing import Any, Protocol

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field

from collector.api.problems import ProblemRoute, problems

REFUSALS = problems({503: "the outbox cannot be read"})


class Filling(Protocol):
    """`collector.accounts.Accounts`."""

    def outbox(self) -> dict[str, Any]: ...


class OutboxAnswer(BaseModel):
    pending_requests: int = Field(description="accepted and not yet stored")
    pending_groups: int
    pending_bytes: int
    oldest_s: float = Field(description="age of the oldest of them")
    quarantined_groups: int
    used_bytes: int = Field(description="of the file, what is stored already included")
    max_bytes: int = Field(description="MESHMETER_OUTBOX_MAX_BYTES, in whole pages")
    pressure: str = Field(
        description="none; soft: those are refused who send again; hard: nothing is taken"
    )
    time_to_full_s: float | None = Field(
        description="until the pressure is hard, at the rate of the last minute; null: never"
    )


def outbox_router(filling: Filling) -> APIRouter:
    api = APIRouter(prefix="/api/v1", route_class=ProblemRoute, tags=["pipeline"])

    @api.get("/outbox", responses=REFUSALS)
    async def outbox() -> OutboxAnswer:
        """What waits in this collector's outbox, and for how long there is room for more."""
        return OutboxAnswer.model_validate(await run_in_threadpool(filling.outbox))

    return api
