"""The audit log over HTTP."""

from datetime import UTC, datetime
from typing import Annotated, Protocol

from fastapi import APIRouter, Query, Request, Response

from collector.api.history_models import EntryAnswer
from collector.api.paging import PAGED, Limit, Text, page
from collector.api.problems import REFUSALS, ProblemRoute
from policy.acts import Asked, Entries, Resource

MAX_ID = 2**63 - 1
Time = Annotated[datetime | None, Query(description="RFC 3339; without a zone: UTC")]


class Audit(Protocol):
    """What the API asks of the rule database."""

    def entries(self, limit: int, before: int | None = None, asked: Asked = ...) -> Entries: ...


def audit_router(audit: Audit) -> APIRouter:
    api = APIRouter(
        prefix="/api/v1/audit", route_class=ProblemRoute, responses=REFUSALS, tags=["audit"]
    )

    @api.get("", response_model=list[EntryAnswer], responses=PAGED)
    def entries(
        request: Request,
        limit: Limit = 100,
        actor: Text = "",
        action: Text = "",
        resource: Resource | None = None,
        name: Text = "",
        since: Time = None,
        until: Time = None,
        before: Annotated[
            int | None, Query(ge=0, le=MAX_ID, description="ids below; none: the newest")
        ] = None,
    ) -> Response:
        """Who did what, to what, why and when, with all there was before and after; the newest
        first.

        Filters are exact and all must fit. A page of large documents is a short one.
        """
        asked = Asked(actor, action, resource, name, zoned(since), zoned(until))
        found, total, more = audit.entries(limit, before, asked)
        behind = {"before": found[-1].id} if more else None
        return page(request, [entry._asdict() for entry in found], total, behind)

    return api


def zoned(time: datetime | None) -> datetime | None:
    return time.replace(tzinfo=UTC) if time and time.tzinfo is None else time
