"""Decisions that were made: GET /api/v1/decisions, and one by its id.

The id comes with every answer to a check, as `x-meshmeter-decision`.
"""

import binascii
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from http import HTTPStatus
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Query
from starlette.exceptions import HTTPException

from collector.api.asking import REFUSALS, answered, moment
from collector.api.decisions_models import (
    DecisionAnswer,
    DecisionPage,
    recorded,
    unrecorded,
)
from collector.api.problems import Problem, ProblemRoute
from collector.decisions.decided import Page, Place, Sought, StoredDecision
from policy.errors import InvalidRule
from policy.results import Decision

MAX_LIMIT = 1000
KEPT_NS = 30 * 86_400 * 1_000_000_000
AHEAD_NS = 60 * 1_000_000_000  # clocks of other collectors
TIME = "RFC 3339, or seconds since 1970"


class Decisions(Protocol):
    """All but `in_memory` wait for the store."""

    def in_memory(self, decision_id: str) -> StoredDecision | Decision | None: ...
    def stored(self, decision_id: str) -> StoredDecision | None: ...
    def search(self, sought: Sought, limit: int, before: Place | None = None) -> Page: ...


Trace = Annotated[
    str, Query(pattern="^([0-9a-fA-F]{32})?$", description="32 hex digits; empty: any")
]


def decisions_router(decisions: Decisions, allow_sample: float) -> APIRouter:
    api = APIRouter(
        prefix="/api/v1",
        route_class=ProblemRoute,
        responses=REFUSALS,
        tags=["decisions"],
    )

    @api.get(
        "/decisions/{decision_id}",
        response_model=DecisionAnswer,
        response_model_exclude_unset=True,
        responses={404: {"model": Problem, "description": "there is no such decision"}},
    )
    async def decision(decision_id: str) -> dict[str, Any]:
        """One decision, at once after it was made if it was made here."""
        here = decisions.in_memory(decision_id)
        if here is not None:
            return unrecorded(here) if isinstance(here, Decision) else recorded(here, "memory")
        found = await answered(decisions.stored, decision_id)
        if found is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, not_there(decision_id, allow_sample))
        return recorded(found, "store")

    @api.get(
        "/decisions",
        response_model=DecisionPage,
        response_model_exclude_unset=True,
    )
    async def search(
        request_id: Annotated[str, Query(description="x-request-id, whole")] = "",
        trace_id: Trace = "",
        client: Annotated[
            str, Query(description="a source service, its principal, or a quota's key")
        ] = "",
        destination: str = "",
        rule: Annotated[str, Query(description="that decided")] = "",
        beside: Annotated[
            str, Query(description="a shadow rule, or one with a draft, that had something to say")
        ] = "",
        allowed: bool | None = None,
        since: Annotated[
            str, Query(alias="from", description=f"{TIME}; default: all that is kept, 30 days")
        ] = "",
        until: Annotated[
            str, Query(alias="to", description=f"{TIME}, not included; default: now")
        ] = "",
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 100,
        cursor: Annotated[str, Query(description="`next` of the page before")] = "",
    ) -> dict[str, Any]:
        """Recorded decisions: all denials, and a sample of the allows, with their weights."""
        latest_ns = time.time_ns() + AHEAD_NS
        end_ns = min(moment(until, "to"), latest_ns) if until else latest_ns
        sought = Sought(
            start_ns=max(moment(since, "from") if since else end_ns - KEPT_NS, 0),
            end_ns=end_ns,
            allowed=allowed,
            request_id=request_id,
            trace_id=trace_id.lower(),
            client=client,
            destination=destination,
            rule=rule,
            beside=beside,
        )
        before = place(cursor) if cursor else None
        page = await answered(decisions.search, sought, limit, before)
        return {
            "decisions": [recorded(found, "store") for found in page.decisions],
            "total": page.total.decisions,
            "total_is_exact": page.total.exact,
            "requests": page.total.requests,
            "next": page.after and cursor_of(page.after),
            "allow_sample": allow_sample,
        }

    return api


def not_there(decision_id: str, allow_sample: float) -> str:
    return (
        f"there is no decision {decision_id!r} here: a decision of another collector can be read "
        f"once it is stored, within seconds, and of allows a share of {allow_sample:g} is recorded"
    )


def cursor_of(after: Place) -> str:
    time_ns, decision_id = after
    return urlsafe_b64encode(f"{time_ns}:{decision_id}".encode()).decode().rstrip("=")


def place(cursor: str) -> Place:
    """Raises InvalidRule for what is no cursor of ours."""
    try:
        text = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        time_ns, _, decision_id = text.partition(":")
        found = int(time_ns)
    except (binascii.Error, ValueError) as error:
        raise InvalidRule("/cursor", "is no `next` of a page") from error
    if not 0 <= found < 2**63 or not decision_id:
        raise InvalidRule("/cursor", "is no `next` of a page")
    return found, decision_id
