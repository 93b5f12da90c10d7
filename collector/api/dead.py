"""What could not be stored: groups in quarantine, to be replayed or deleted, and dead letters."""

import re
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from collector.api.asking import REFUSALS, Asked, answered
from collector.api.dead_models import (
    DeadGroupAnswer,
    DeadGroupContents,
    DeadLetterAnswer,
    Replayed,
    ReplayedLetter,
)
from collector.api.paging import PAGED, Limit, page
from collector.api.problems import ProblemRoute, problems

LETTER = re.compile(r"(\d{1,19})-([0-9a-f]{32})")
MAX_GROUP = 2**63 - 1
GROUPS = problems({404: "no such group is in quarantine", 503: "the outbox cannot be read"})
BAD = problems({422: "what was asked for is wrong, and where"})

Group = Annotated[int, Path(ge=1, le=MAX_GROUP, description="the group's number")]
Text = Annotated[str, Query(max_length=255)]


class DeadThings(Protocol):
    """`collector.dead.Dead`."""

    def groups(self, after: int, limit: int) -> list[dict[str, Any]]: ...
    def group(self, group: int, after: int, limit: int) -> dict[str, Any] | None: ...
    def replay(self, group: int) -> bool: ...
    def discard(self, group: int) -> bool: ...
    def letters(
        self,
        start_ns: int,
        end_ns: int,
        *,
        signal: str,
        reason: str,
        client: str,
        limit: int,
        before: tuple[int, str] | None,
    ) -> list[dict[str, Any]]: ...
    def letter(self, time_ns: int, hash_: str) -> dict[str, Any] | None: ...
    def replay_letter(self, time_ns: int, hash_: str) -> dict[str, Any] | None: ...


def dead_router(dead: DeadThings) -> APIRouter:
    api = APIRouter(prefix="/api/v1/dead", route_class=ProblemRoute, tags=["pipeline"])
    group_routes(api, dead)
    letter_routes(api, dead)
    return api


def group_routes(api: APIRouter, dead: DeadThings) -> None:
    @api.get("/groups", responses=GROUPS | BAD | PAGED, response_model=list[DeadGroupAnswer])
    async def groups(
        request: Request,
        after: Annotated[int, Query(ge=0, le=MAX_GROUP, description="above this number")] = 0,
        limit: Limit = 100,
    ) -> Response:
        """Groups this collector gave up after eight attempts, by number."""
        found = await run_in_threadpool(dead.groups, after, limit)
        behind = {"after": found[-1]["group"]} if len(found) == limit else None
        return page(request, found, behind=behind)

    @api.get("/groups/{group}", responses=GROUPS | BAD)
    async def one_group(
        group: Group,
        after: Annotated[int, Query(ge=0, le=MAX_GROUP, description="reports from here on")] = 0,
        limit: Annotated[int, Query(ge=1, le=100, description="at most so many reports")] = 20,
    ) -> DeadGroupContents:
        """One of them, with the reports in it."""
        found = await run_in_threadpool(dead.group, group, after, limit)
        if found is None:
            raise HTTPException(404, f"no group {group} is in quarantine here")
        return DeadGroupContents.model_validate(found)

    @api.post("/groups/{group}/replay", responses=GROUPS | BAD)
    async def replay(group: Group) -> Replayed:
        """Send it to be stored again, under its number: what of it is stored already is not
        stored again."""
        if not await run_in_threadpool(dead.replay, group):
            raise HTTPException(404, f"no group {group} is in quarantine here")
        return Replayed(group=group, replayed=True)

    @api.delete("/groups/{group}", status_code=204, responses=GROUPS | BAD)
    async def discard(group: Group) -> None:
        """Delete it for good: what was acknowledged is lost, and booked as discarded."""
        if not await run_in_threadpool(dead.discard, group):
            raise HTTPException(404, f"no group {group} is in quarantine here")


def letter_routes(api: APIRouter, dead: DeadThings) -> None:
    @api.get("/letters", responses=REFUSALS | PAGED, response_model=list[DeadLetterAnswer])
    async def letters(
        request: Request,
        asked: Asked,
        signal: Text = "",
        reason: Text = "",
        client: Text = "",
        limit: Limit = 100,
        before: Annotated[str, Query(description="the last id of the page before")] = "",
    ) -> Response:
        """Items that were accepted and refused by the worker, of all collectors, the newest
        first."""
        place = place_of(before) if before else None

        def find() -> list[dict[str, Any]]:
            return dead.letters(
                asked.start_ns,
                asked.end_ns,
                signal=signal,
                reason=reason,
                client=client,
                limit=limit,
                before=place,
            )

        found = await answered(find)
        behind = {"before": found[-1]["id"]} if len(found) == limit else None
        return page(request, found, behind=behind)

    @api.get("/letters/{letter_id}", responses=REFUSALS | problems({404: "no such letter"}))
    async def letter(letter_id: str) -> DeadLetterAnswer:
        """One of them."""
        found = await answered(dead.letter, *place_of(letter_id))
        if found is None:
            raise HTTPException(404, f"there is no dead letter {letter_id}")
        return DeadLetterAnswer.model_validate(found)

    @api.post("/letters/{letter_id}/replay", responses=REFUSALS | problems({404: "no such letter"}))
    async def replay(letter_id: str) -> ReplayedLetter:
        """Decode it again, and store it unless it is refused again; twice replayed is stored
        once. The letter stays."""
        found = await answered(dead.replay_letter, *place_of(letter_id))
        if found is None:
            raise HTTPException(404, f"there is no dead letter {letter_id}")
        return ReplayedLetter.model_validate(found)


def place_of(letter_id: str) -> tuple[int, str]:
    """Raises HTTPException."""
    found = LETTER.fullmatch(letter_id)
    if not found:
        raise HTTPException(422, f"{letter_id[:60]!r} is no id of a dead letter")
    return int(found[1]), found[2]
