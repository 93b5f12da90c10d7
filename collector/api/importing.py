"""Import and export over HTTP: /api/v1/import and /api/v1/export.

An import is one act and one version, whole or not at all. It is read, checked and stored in a
thread.
"""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import ValidationError

from collector.api.acting import Author, IfMatch, expected_version, tag
from collector.api.import_models import (
    File,
    ImportAnswer,
    ImportQuestion,
    NamesAnswer,
    NoteAnswer,
    RefusedImport,
)
from collector.api.in_force import InForce, then_in_force
from collector.api.problems import MEDIA_TYPE, REFUSALS, ProblemRoute, Responses, problems
from policy.acts import Applied, By, Document, Edit, Resource
from policy.documents import invalid
from policy.errors import InvalidRule
from policy.exporting import exported
from policy.importing import AUTO, Imported, Source, import_sources
from policy.kinds import AnyRule
from policy.lists import NamedList, list_from_json

YAML = "application/yaml"
BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": ImportQuestion.model_json_schema()},
            YAML: {"schema": {"type": "string"}},
        },
    }
}
OF_YAML = "where the body is YAML"


class Loaded(Protocol):
    @property
    def version(self) -> int: ...
    @property
    def rules(self) -> list[AnyRule]: ...
    @property
    def lists(self) -> list[NamedList]: ...


class Rules(Protocol):
    """What the API asks of the rule database."""

    def load(self) -> Loaded: ...
    def apply(
        self,
        rules: Mapping[str, Document],
        lists: Mapping[str, Document] = ...,
        *,
        by: By = ...,
        action: str = ...,
        expected: int | None = None,
        dry_run: bool = False,
    ) -> Applied: ...


class KeptLists(Protocol):
    """What fetches lists."""

    def check(self, named: NamedList) -> None: ...


def import_router(rules: Rules, in_force: InForce, kept: KeptLists) -> APIRouter:
    refusals: Responses = problems({412: "the rule set is not at the version of If-Match"}) | {
        422: {"model": RefusedImport, "description": "a part was refused, and nothing stored"}
    }
    api = APIRouter(prefix="/api/v1", route_class=ProblemRoute, responses=REFUSALS, tags=["rules"])

    @api.post("/import", response_model=ImportAnswer, responses=refusals, openapi_extra=BODY)
    async def import_rules(
        request: Request,
        by: Author,
        form: Annotated[str, Query(alias="format", description=OF_YAML)] = AUTO,
        prefix: Annotated[str, Query(description=OF_YAML)] = "",
        dry_run: Annotated[bool, Query(description=OF_YAML)] = False,
        partial: Annotated[bool, Query(description=OF_YAML)] = False,
        if_match: IfMatch = None,
    ) -> Response:
        """Make and change the rules and lists of one file, sent as it is, or of several in JSON.

        Rules and lists that are there under another name stay. Nothing is stored when a part is
        refused, unless `partial`. `If-Match` names the version of the whole set.
        """
        body = await request.body()
        is_json = request.headers.get("content-type", "").startswith("application/json")
        expected = expected_version(if_match)

        def act() -> Response:
            if is_json:
                question = question_of(body)
            else:
                files = [File(name="", text=text_of(body))]
                question = ImportQuestion(
                    files=files, format=form, prefix=prefix, dry_run=dry_run, partial=partial
                )
            sources = [Source(file.name, file.text) for file in question.files]
            found = import_sources(sources, question.format, question.prefix)
            if found.refused and not question.partial and not question.dry_run:
                return refusal(found)
            for document in found.lists:
                check_source(document)
            applied = rules.apply(
                {document["name"]: document for document in found.rules},
                {document["name"]: document for document in found.lists},
                by=by,
                action="import",
                expected=expected,
                dry_run=question.dry_run,
            )
            return stored(found, applied, dry_run=question.dry_run)

        return await then_in_force(in_force, act)

    def check_source(document: Document) -> None:
        """Raises InvalidRule for a source that no collector would ask."""
        try:
            kept.check(list_from_json(document))
        except InvalidRule as error:
            raise error.within(f"/{document['name']}") from error

    @api.get("/export", response_class=Response, responses={200: {"content": {YAML: {}}}})
    def export_rules() -> Response:
        """All rules and lists as YAML, which imports to the same; the ETag is their version."""
        loaded = rules.load()
        answer = Response(exported(loaded.rules, loaded.lists), media_type=YAML)
        tag(answer, loaded.version)
        return answer

    return api


def text_of(body: bytes) -> str:
    """Raises InvalidRule."""
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise InvalidRule("", f"not UTF-8 at byte {error.start}") from error


def question_of(body: bytes) -> ImportQuestion:
    """Raises InvalidRule."""
    try:
        return ImportQuestion.model_validate_json(body)
    except ValidationError as error:
        raise invalid(error) from error


def stored(found: Imported, applied: Applied, *, dry_run: bool) -> Response:
    edits = {(edit.resource, edit.name): edit for edit in applied.edits}
    answer = ImportAnswer(
        stored=not dry_run,
        version=applied.version,
        rules=names(found.rules, Resource.RULE, edits),
        lists=names(found.lists, Resource.LIST, edits),
        notes=notes_of(found),
    )
    response = JSONResponse(answer.model_dump(mode="json"))
    if not dry_run:
        tag(response, applied.version)
    return response


def names(
    documents: Iterable[Document], resource: Resource, edits: Mapping[tuple[Resource, str], Edit]
) -> NamesAnswer:
    answer = NamesAnswer(made=[], changed=[], unchanged=[])
    for document in documents:
        edit = edits.get((resource, document["name"]))
        if edit is None:
            answer.unchanged.append(document["name"])
        else:
            (answer.made if edit.before is None else answer.changed).append(edit.name)
    return answer


def notes_of(found: Imported) -> list[NoteAnswer]:
    return [NoteAnswer.model_validate(note) for note in found.notes]


def refusal(found: Imported) -> Response:
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    parts = "1 part is" if found.refused == 1 else f"{found.refused} parts are"
    reason = f"{parts} refused; nothing is stored"
    told = RefusedImport(
        type="about:blank",
        title=status.phrase,
        status=status,
        detail=reason,
        place="",
        reason=reason,
        line=None,
        column=None,
        notes=notes_of(found),
    )
    content: dict[str, Any] = told.model_dump(mode="json", exclude_none=True)
    return JSONResponse(content, status, media_type=MEDIA_TYPE)
