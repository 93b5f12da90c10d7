"""The lists API: make, read, change, delete and try the lists that rules name, /api/v1/lists.

Bodies are read and checked in threads: a list of a hundred thousand entries takes a while.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from collector.api.acting import Author, IfMatch, expected_version
from collector.api.bodies import MAX_BODY
from collector.api.in_force import InForce, then_in_force
from collector.api.lists_models import (
    NOT_YET,
    ListAnswer,
    ListLine,
    ListQuestion,
    ListState,
)
from collector.api.problems import REFUSALS, ProblemRoute, problems
from collector.lists import ListStatus
from policy.acts import By
from policy.errors import InvalidRule
from policy.lists import EntryList, NamedList, list_from_json, list_to_json

SCHEMA = {"schema": {"$ref": "#/components/schemas/NamedList"}}
BODY = {"requestBody": {"required": True, "content": {"application/json": SCHEMA}}}


class Lists(Protocol):
    """What the API asks of the rule database."""

    def list(self) -> list[NamedList]: ...
    def get(self, name: str) -> NamedList: ...
    def create(self, thing: NamedList, by: By = ...) -> NamedList: ...
    def update(
        self,
        name: str,
        change: Callable[[NamedList], NamedList],
        expected: int | None = None,
        by: By = ...,
    ) -> NamedList: ...
    def delete(self, name: str, expected: int | None = None, by: By = ...) -> None: ...


class KeptLists(Protocol):
    """The lists this collector keeps."""

    def check(self, named: NamedList) -> None: ...
    def status(self, name: str) -> ListStatus | None: ...
    def entries(self, name: str) -> EntryList | None: ...


def lists_router(lists: Lists, in_force: InForce, kept: KeptLists) -> APIRouter:
    unknown = problems({404: "there is no such list"})
    taken = problems({409: "there is a list of that name, or as many as may be"})
    used = problems({409: "rules ask it: says which"})
    large = problems({413: f"more than {MAX_BODY} bytes"})
    changed = problems({412: "the list is not at the version of If-Match"})
    api = APIRouter(
        prefix="/api/v1/lists", route_class=ProblemRoute, responses=REFUSALS, tags=["lists"]
    )

    def checked(document: Mapping[str, Any]) -> NamedList:
        """For a thread. Raises InvalidRule."""
        named = list_from_json(document)
        kept.check(named)
        return named

    async def change(
        name: str, made: Callable[[NamedList], NamedList], if_match: str | None, by: By
    ) -> Response:
        expected = expected_version(if_match)
        return await then_in_force(in_force, lambda: answer(lists.update(name, made, expected, by)))

    @api.get("", response_model=list[ListLine])
    async def list_lists() -> list[ListLine]:
        """All lists, by name, without their entries."""
        return [line(named) for named in await run_in_threadpool(lists.list)]

    @api.post(
        "", status_code=201, response_model=NamedList, responses=taken | large, openapi_extra=BODY
    )
    async def create_list(request: Request, by: Author) -> Response:
        """Make a list. A source is asked at once, and waited for up to a second."""
        document = await document_of(request)

        def create() -> Response:
            named = lists.create(checked(document), by)
            return answer(named, 201, {"location": f"/api/v1/lists/{named.name}"})

        return await then_in_force(in_force, create)

    @api.get("/{name}", response_model=NamedList, responses=unknown)
    def get_list(name: str) -> Response:
        """One list with its own entries; its version is the ETag."""
        return answer(lists.get(name))

    @api.put(
        "/{name}", response_model=NamedList, responses=unknown | changed | large, openapi_extra=BODY
    )
    async def replace_list(
        name: str, request: Request, by: Author, if_match: IfMatch = None
    ) -> Response:
        """Replace a list whole."""
        named = await run_in_threadpool(checked, await document_of(request))
        return await change(name, lambda _: named, if_match, by)

    @api.patch(
        "/{name}", response_model=NamedList, responses=unknown | changed | large, openapi_extra=BODY
    )
    async def change_list(
        name: str, request: Request, by: Author, if_match: IfMatch = None
    ) -> Response:
        """Change some of a list's fields."""
        fields = await document_of(request)

        def patched(named: NamedList) -> NamedList:
            return checked(list_to_json(named) | fields)

        return await change(name, patched, if_match, by)

    @api.delete("/{name}", status_code=204, responses=unknown | changed | used)
    async def delete_list(name: str, by: Author, if_match: IfMatch = None) -> None:
        """Remove a list that no rule asks."""
        expected = expected_version(if_match)
        await then_in_force(in_force, lambda: lists.delete(name, expected, by))

    @api.get("/{name}/status", response_model=ListState, responses=unknown)
    async def list_status(name: str) -> dict[str, Any]:
        """What of a list is in force in this collector, and how its source fares."""
        status = kept.status(name)
        if status is None:
            await run_in_threadpool(lists.get, name)
            return NOT_YET
        return status._asdict()

    @api.post("/{name}/test", response_model=ListAnswer, responses=unknown)
    async def test_list(name: str, question: ListQuestion) -> ListAnswer:
        """Is this on the list, as it is in force in this collector, and by which entry?"""
        entries = kept.entries(name)
        if entries is None:
            if kept.status(name) is None:
                await run_in_threadpool(lists.get, name)
            return ListAnswer(available=False, on_list=False, entry=None)
        entry = await run_in_threadpool(entries.entry, question.value)
        return ListAnswer(available=True, on_list=entry is not None, entry=entry)

    return api


async def document_of(request: Request) -> dict[str, Any]:
    """Raises InvalidRule, and HTTPException for more than MAX_BODY."""
    try:
        found = await run_in_threadpool(msgspec.json.decode, await request.body())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRule("", f"not JSON: {error}") from error
    if not isinstance(found, dict):
        raise InvalidRule("", "expected an object")
    return found


def answer(
    named: NamedList, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    etag = {"etag": f'"{named.version}"'}
    return JSONResponse(list_to_json(named), status, {**etag, **(headers or {})})


def line(named: NamedList) -> ListLine:
    length = None if named.entries is None else len(named.entries)
    fields = named.model_dump(exclude={"entries"})
    return ListLine(length=length, **fields)
