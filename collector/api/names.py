"""What found no place in the budget of names, and is stored as `__other__`."""

from collections.abc import Sequence
from typing import Protocol

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field

from collector.api.problems import ProblemRoute, problems

REFUSALS = problems({503: "the outbox cannot be read"})


class Told(Protocol):
    """`collector.outbox.names.TurnedAway`."""

    def _asdict(self) -> dict[str, str | int]: ...


class Budget(Protocol):
    """`collector.outbox.Outbox`."""

    def turned_away(self) -> Sequence[Told]: ...


class TurnedAwayAnswer(BaseModel):
    kind: str = Field(description="service, or operation: the name of a span")
    owner: str = Field(description="who sent the services, or the service of the operations")
    places: int = Field(description="names of its that are told apart now")
    limit: int = Field(description="MESHMETER_MAX_SERVICES or MESHMETER_MAX_OPERATIONS")
    names: int = Field(description="that found no place, counted once in each group of reports")
    example: str = Field(description="the last of them, its beginning")


class NamesAnswer(BaseModel):
    turned_away: list[TurnedAwayAnswer]


def names_router(budget: Budget) -> APIRouter:
    api = APIRouter(prefix="/api/v1", route_class=ProblemRoute, tags=["pipeline"])

    @api.get("/names", responses=REFUSALS)
    async def names() -> NamesAnswer:
        """Whose names this collector stores as `__other__`, since its process began."""
        found = await run_in_threadpool(budget.turned_away)
        return NamesAnswer.model_validate({"turned_away": [entry._asdict() for entry in found]})

    return api
