"""Which rules the collectors run."""

from fastapi import APIRouter
from pydantic import BaseModel, Field

from collector.frontends.in_force import InForce
from collector.frontends.problems import ProblemRoute


class SnapshotAnswer(BaseModel):
    version: int = Field(description="of the whole set of rules; -1 before any were loaded")
    failing: str = Field(description="why newer rules are not in force; empty: they are")


def collectors_router(in_force: InForce) -> APIRouter:
    api = APIRouter(prefix="/api/v1", route_class=ProblemRoute, tags=["collectors"])

    @api.get("/snapshot")
    async def snapshot() -> SnapshotAnswer:
        """Which rules this collector runs."""
        return SnapshotAnswer(version=in_force.version, failing=in_force.failing)

    return api
