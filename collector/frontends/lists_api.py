"""The lists API: make, read, change, delete and try the lists that rules name, /api/v1/lists.

Bodies are read and checked in threads: a list of a hundred thousand entries takes a while.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec
from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from collector.frontends.lists_models import (
    NOT_YET,
    ListAnswer,
    ListLine,
    ListQuestion,
    ListState,
)
from collector.frontends.problems import Problem, ProblemRoute
from collector.frontends.rules_api import IfMatch, InForce, Responses, actor
from collector.lists import ListStatus
from policy.errors import Conflict, InvalidRule
from policy.lists import EntryList, NamedList, list_from_json, list_to_json

MAX_BYTES = 16 * 1024 * 1024  # of a list as it is sent
SCHEMA = {"schema": {"$ref": "#/components/schemas/NamedList"}}
BODY = {"requestBody": {"required": True, "content": {"application/json": SCHEMA}}}


class Lists(Protocol):
    """What the API asks of the rule database."""

    def list(self) -> list[NamedList]: ...
    def get(self, name: str) -> NamedList: ...
    def create(self, named: NamedList, actor: str = "") -> NamedList: ...
    def update(
        self,
        name: str,
        change: Callable[[NamedList], NamedList],
        expected: int | None = None,
        actor: str = "",
    ) -> NamedList: ...
    def delete(self, name: str, expected: int | None = None, actor: str = "") -> None: ...


class KeptLists(Protocol):
    """The lists this collector keeps."""

    def check(self, named: NamedList) -> None: ...
    def status(self, name: str) -> ListStatus | None: ...
    def entries(self, name: str) -> EntryList | None: ...


def lists_router(lists: Lists, in_force: InForce, kept: KeptLists) -> APIRouter:
    refusals: Responses = {
        422: {"model": Problem, "description": "what was sent is wrong, and where"},
        503: {"model": Problem, "description": "the rule database does not answer"},
    }
    unknown: Responses = {404: {"model": Problem, "description": "there is no such list"}}
    taken: Responses = {409: {"model": Problem, "description": "there is a list of that name"}}
    used: Responses = {409: {"model": Problem, "description": "rules ask it: says which"}}
    large: Responses = {413: {"model": Problem, "description": f"more than {MAX_BYTES} bytes"}}
    changed: Responses = {
        412: {"model": Problem, "description": "the list is not at the version of If-Match"}
    }
    api = APIRouter(
        prefix="/api/v1/lists", route_class=ProblemRoute, responses=refusals, tags=["lists"]
    )

    def checked(document: Mapping[str, Any]) -> NamedList:
        """For a thread. Raises InvalidRule."""
        named = list_from_json(document)
        kept.check(named)
        return named

    async def change(
        request: Request,
        name: str,
        made: Callable[[NamedList], NamedList],
        if_match: str | None,
    ) -> Response:
        expected = await expected_version(name, if_match)
        named = await run_in_threadpool(lists.update, name, made, expected, actor(request))
        await in_force.refresh()
        return answer(named)

    async def expected_version(name: str, if_match: str | None) -> int | None:
        """Raises UnknownList, and Conflict for an If-Match that no version of ours can meet."""
        if if_match is None or if_match.strip() == "*":
            return None
        text = if_match.strip().removeprefix("W/").strip('"')
        if text.isascii() and text.isdigit() and len(text) < 19:
            return int(text)
        present = await run_in_threadpool(lists.get, name)
        raise Conflict(name, 0, present.version, "list")

    @api.get("", response_model=list[ListLine])
    async def list_lists() -> list[ListLine]:
        """All lists, by name, without their entries."""
        return [line(named) for named in await run_in_threadpool(lists.list)]

    @api.post(
        "", status_code=201, response_model=NamedList, responses=taken | large, openapi_extra=BODY
    )
    async def create_list(request: Request) -> Response:
        """Make a list. A source is asked at once, and waited for up to a second."""
        named = await run_in_threadpool(checked, await document_of(request))
        named = await run_in_threadpool(lists.create, named, actor(request))
        await in_force.refresh()
        return answer(named, 201, {"location": f"/api/v1/lists/{named.name}"})

    @api.get("/{name}", response_model=NamedList, responses=unknown)
    async def get_list(name: str) -> Response:
        """One list with its own entries; its version is the ETag."""
        return answer(await run_in_threadpool(lists.get, name))

    @api.put(
        "/{name}", response_model=NamedList, responses=unknown | changed | large, openapi_extra=BODY
    )
    async def replace_list(name: str, request: Request, if_match: IfMatch = None) -> Response:
        """Replace a list whole."""
        named = await run_in_threadpool(checked, await document_of(request))
        return await change(request, name, lambda _: named, if_match)

    @api.patch(
        "/{name}", response_model=NamedList, responses=unknown | changed | large, openapi_extra=BODY
    )
    async def change_list(name: str, request: Request, if_match: IfMatch = None) -> Response:
        """Change some of a list's fields."""
        fields = await document_of(request)

        def patched(named: NamedList) -> NamedList:
            return checked(list_to_json(named) | fields)

        return await change(request, name, patched, if_match)

    @api.delete("/{name}", status_code=204, responses=unknown | changed | used)
    async def delete_list(name: str, request: Request, if_match: IfMatch = None) -> None:
        """Remove a list that no rule asks."""
        expected = await expected_version(name, if_match)
        await run_in_threadpool(lists.delete, name, expected, actor(request))
        await in_force.refresh()

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
    """Raises InvalidRule, and HTTPException for more than MAX_BYTES."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BYTES:
            raise HTTPException(413, f"more than {MAX_BYTES} bytes")
    try:
        found = await run_in_threadpool(msgspec.json.decode, bytes(body))
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
