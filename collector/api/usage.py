"""What is used of quotas over HTTP, and taking some of it back by hand."""

from collections.abc import Sequence
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Query

from collector.api.acting import Author
from collector.api.problems import ProblemRoute, problems
from collector.api.quotas_models import ConsumerSent, DoneAnswer, GrantSent, UsageAnswer
from collector.consumption import Consumed, Done
from policy.acts import By

MAX_TOP = 1000


class Consumption(Protocol):
    """`collector.consumption.Consumption`."""

    async def usage(self, name: str, top: int) -> Consumed: ...
    async def reset(self, name: str, key: Sequence[str], by: By) -> Done: ...
    async def grant(self, name: str, key: Sequence[str], amount: int, by: By) -> Done: ...


def usage_router(consumption: Consumption) -> APIRouter:
    refusals = problems(
        {
            404: "there is no such quota in force",
            422: "what was sent is wrong, and where",
            503: "the counters, or the rule database, do not answer",
        }
    )
    api = APIRouter(
        prefix="/api/v1/quotas/{name}",
        route_class=ProblemRoute,
        responses=refusals,
        tags=["quotas"],
    )

    @api.get("/usage", response_model=UsageAnswer)
    async def usage(
        name: str,
        top: Annotated[int, Query(ge=1, le=MAX_TOP, description="at most so many")] = 100,
    ) -> dict[str, Any]:
        """Who uses most of a quota: each counter of each limit, those of overrides and of the draft
        too. Not complete: there are more counters than could be looked at in a second."""
        found = await consumption.usage(name, top)
        return {
            "rule_version": found.rule_version,
            "complete": found.usage.complete,
            "consumers": [use._asdict() | {"key": use.shown} for use in found.usage.entries],
        }

    @api.post("/reset", response_model=DoneAnswer)
    async def reset(name: str, body: ConsumerSent, by: Author) -> dict[str, Any]:
        """Forget what one consumer used, as if it had never asked. Logged with the reason."""
        return done_json(await consumption.reset(name, body.key, by._replace(reason=body.reason)))

    @api.post("/grant", response_model=DoneAnswer)
    async def grant(name: str, body: GrantSent, by: Author) -> dict[str, Any]:
        """Give back some of what one consumer used, at most all. Logged with the reason."""
        by = by._replace(reason=body.reason)
        return done_json(await consumption.grant(name, body.key, body.amount, by))

    return api


def done_json(done: Done) -> dict[str, Any]:
    return {
        "override": done.override,
        "before": [left._asdict() for left in done.before],
        "after": [left._asdict() for left in done.after],
    }
