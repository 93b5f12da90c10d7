"""Errors of the API as RFC 9457 problems, all of one shape.

`place` is a JSON pointer into what was sent, `reason` what is wrong there; `line` and `column` are
set for a fault inside an expression.
"""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from collector.api.bodies import BoundedRequest
from collector.errors import StoreDown, StoreError, Unready
from policy.documents import invalid_at, pointer
from policy.errors import (
    Conflict,
    CountersDown,
    InvalidAttribute,
    InvalidRule,
    ListInUse,
    NameTaken,
    NoSnapshot,
    PolicyError,
    RulesDown,
    TooMany,
    UnknownList,
    UnknownPart,
    UnknownRule,
    UnknownVersion,
)

MEDIA_TYPE = "application/problem+json"
RETRY = {"retry-after": "1"}
STATUS: Mapping[type[Exception], HTTPStatus] = {
    Conflict: HTTPStatus.PRECONDITION_FAILED,
    CountersDown: HTTPStatus.SERVICE_UNAVAILABLE,
    ListInUse: HTTPStatus.CONFLICT,
    NameTaken: HTTPStatus.CONFLICT,
    NoSnapshot: HTTPStatus.SERVICE_UNAVAILABLE,
    RulesDown: HTTPStatus.SERVICE_UNAVAILABLE,
    StoreDown: HTTPStatus.SERVICE_UNAVAILABLE,
    TooMany: HTTPStatus.CONFLICT,
    UnknownList: HTTPStatus.NOT_FOUND,
    UnknownPart: HTTPStatus.NOT_FOUND,
    UnknownRule: HTTPStatus.NOT_FOUND,
    UnknownVersion: HTTPStatus.NOT_FOUND,
    Unready: HTTPStatus.SERVICE_UNAVAILABLE,
}


class Problem(BaseModel):
    """Source: RFC 9457; `place`, `reason`, `line` and `column` are ours."""

    type: str = Field(description="always about:blank: the status says the kind")
    title: str = Field(description="the status in words")
    status: int = Field(description="the HTTP status")
    detail: str = Field(description="what is wrong, in a sentence")
    place: str = Field("", description="JSON pointer to the fault; empty: the whole")
    reason: str = Field("", description="what is wrong at that place")
    line: int | None = Field(None, description="in an expression, from 1")
    column: int | None = Field(None, description="in an expression, from 1")


Responses = dict[int | str, dict[str, Any]]


def problems(meanings: Mapping[int, str]) -> Responses:
    """For the API's description: what each status of a problem means."""
    return {
        status: {"model": Problem, "description": meaning} for status, meaning in meanings.items()
    }


REFUSALS = problems(
    {422: "what was sent is wrong, and where", 503: "the rule database does not answer"}
)
Answer = Callable[[Request], Coroutine[Any, Any, Response]]


class ProblemRoute(APIRoute):
    """A route whose errors, the framework's own among them, are problems."""

    def get_route_handler(self) -> Answer:
        handler = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handler(BoundedRequest(request.scope, request.receive))
            except RequestValidationError as error:
                return problem_of(first_fault(error.errors()))
            except HTTPException as error:
                return problem(HTTPStatus(error.status_code), "", error.detail)
            except (PolicyError, StoreError, Unready) as error:
                return problem_of(error)

        return answer


def problem_of(error: PolicyError | StoreError | Unready) -> Response:
    if isinstance(error, InvalidRule):
        return problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            error.place,
            error.reason,
            line=error.line or None,
            column=error.column or None,
        )
    if isinstance(error, InvalidAttribute):
        place = pointer(("attributes", error.name))
        return problem(HTTPStatus.UNPROCESSABLE_ENTITY, place, error.reason)
    return problem(STATUS.get(type(error), HTTPStatus.INTERNAL_SERVER_ERROR), "", str(error))


def problem(
    status: HTTPStatus,
    place: str,
    reason: str,
    line: int | None = None,
    column: int | None = None,
) -> Response:
    at = f" (line {line}, column {column})" if line else ""
    body = Problem(
        type="about:blank",
        title=status.phrase,
        status=status,
        detail=f"{place}{at}: {reason}" if place else reason,
        place=place,
        reason=reason,
        line=line,
        column=column,
    )
    headers = RETRY if status is HTTPStatus.SERVICE_UNAVAILABLE else None
    content = body.model_dump(exclude_none=True)
    return JSONResponse(content, status, headers, media_type=MEDIA_TYPE)


def first_fault(errors: Sequence[Any]) -> InvalidRule:
    """The framework's first complaint, its own words for the body left out."""
    error = errors[0]
    if error["type"] == "json_invalid":
        reason = f"not JSON: {error['ctx']['error']} at character {error['loc'][-1]}"
        return InvalidRule("", reason)
    return invalid_at(error, 1)
