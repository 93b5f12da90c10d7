"""Versions of the rule set over HTTP: what made each, what was in it, what differs, and the way
back."""

from collections.abc import Iterator
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import StreamingResponse

from collector.api.acting import Author, IfMatch, expected_version, tag
from collector.api.history_models import (
    DifferenceAnswer,
    ReasonBody,
    SetAnswer,
    VersionAnswer,
)
from collector.api.in_force import InForce, then_in_force
from collector.api.paging import MAX_PAGE, PAGED, Limit, Text, encode, page
from collector.api.problems import REFUSALS, ProblemRoute, problems
from policy.acts import SET, Applied, By, Differing, Document, Edit, Resource, Version, Versions

MAX_VERSION = 2**31 - 1
Number = Annotated[
    int, Path(ge=0, le=MAX_VERSION, description="of the rule set; 0 is the empty one")
]
Key = tuple[Resource, str]


class History(Protocol):
    """What the API asks of the rule database."""

    def versions(self, limit: int, before: int | None = None) -> Versions: ...
    def version(self, version: int) -> Version: ...
    def documents(self, version: int, resource: Resource = ...) -> Iterator[Document]: ...
    def difference(
        self, one: int, other: int, limit: int, after: Key | None = None
    ) -> Differing: ...
    def rollback(self, version: int, by: By = ..., expected: int | None = None) -> Applied: ...


def versions_router(history: History, in_force: InForce) -> APIRouter:
    unknown = problems({404: "the rule set never was at this version"})
    api = APIRouter(
        prefix="/api/v1/versions", route_class=ProblemRoute, responses=REFUSALS, tags=["versions"]
    )

    @api.get("", response_model=list[VersionAnswer], responses=PAGED)
    def list_versions(
        request: Request,
        limit: Limit = 100,
        before: Annotated[
            int | None, Query(ge=0, le=MAX_VERSION, description="those below; none: the newest")
        ] = None,
    ) -> Response:
        """All versions of the rule set, the newest first: who made each, when, why and how."""
        versions, total = history.versions(limit, before)
        last = versions[-1].version if versions else 1
        behind = {"before": last} if last > 1 else None
        return page(request, [version_json(version) for version in versions], total, behind)

    @api.get("/{version}", response_model=SetAnswer, responses=unknown)
    def get_version(version: Number) -> Response:
        """One version and all that was in it, to the letter."""
        found = history.version(version)
        return StreamingResponse(written(history, found), media_type="application/json")

    @api.get("/{version}/diff/{other}", response_model=list[DifferenceAnswer], responses=unknown)
    def differences(
        request: Request,
        version: Number,
        other: Number,
        limit: Limit = MAX_PAGE,
        after: Annotated[Text, Query(description="resource/name, of the last page's last")] = "",
    ) -> Response:
        """What leads from one version to another: what was added, removed and changed, by field."""
        resource, _, name = after.partition("/")
        key = (Resource(resource), name) if resource in SET else None
        edits, more = history.difference(version, other, limit, key)
        behind = {"after": f"{edits[-1].resource}/{edits[-1].name}"} if more else None
        return page(request, [edit_json(edit) for edit in edits], None, behind)

    @api.post(
        "/{version}/rollback",
        response_model=VersionAnswer,
        responses=unknown | problems({412: "the rule set is not at the version of If-Match"}),
    )
    async def rollback(
        version: Number, body: ReasonBody, by: Author, response: Response, if_match: IfMatch = None
    ) -> Any:
        """Make the rule set as it was, all of it or nothing, as a new version.

        When nothing differs no version is made, and the present one is the answer. `If-Match` names
        the version of the whole set. Rules that change get a version above all they ever had.
        """
        by = by._replace(reason=body.reason)
        expected = expected_version(if_match)

        def act() -> Version:
            return history.version(history.rollback(version, by, expected).version)

        made = await then_in_force(in_force, act)
        tag(response, made.version)
        return version_json(made)

    return api


def written(history: History, version: Version) -> Iterator[bytes]:
    """Bit by bit: a set may be large."""
    yield encode(version_json(version))[:-1]
    for resource in SET:
        yield b',"%ss":[' % resource.encode()
        separator = b""
        for document in history.documents(version.version, resource):
            yield separator + encode(document)
            separator = b","
        yield b"]"
    yield b"}"


def version_json(version: Version) -> dict[str, Any]:
    return version._asdict() | {"touched": [touched._asdict() for touched in version.touched]}


def edit_json(edit: Edit) -> dict[str, Any]:
    whole = edit.change != "changed"
    return {
        "resource": edit.resource,
        "name": edit.name,
        "change": edit.change,
        "before": edit.before if whole else None,
        "after": edit.after if whole else None,
        "fields": [field._asdict() for field in edit.fields],
    }
