"""The query API: what the mesh did, over HTTP, /api/v1.

Everything is asked of a window: the last `minutes`, or `from` and `to`.
"""

import base64
import binascii
import re
import time
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple, Protocol, TypeVar

from fastapi import APIRouter, Depends, Query
from fastapi.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from collector.errors import Malformed, StoreError
from collector.frontends.problems import Problem, ProblemRoute
from collector.frontends.query_models import (
    EdgeAnswer,
    GraphAnswer,
    LatencyAnswer,
    OperationAnswer,
    ServiceAnswer,
    SpanAnswer,
    TracesAnswer,
)
from collector.model import TraceSearch
from collector.times import from_rfc3339

SECOND_NS = 1_000_000_000
MAX_DAYS = 400
TRACE_ID = re.compile(r"(?:[0-9a-f]{16}){1,2}")
REFUSALS: dict[int | str, dict[str, Any]] = {
    422: {"model": Problem, "description": "what was asked for is wrong, and where"},
    503: {"model": Problem, "description": "ClickHouse does not answer"},
    504: {"model": Problem, "description": "the question took too long; ask for a shorter window"},
}
Limit = Annotated[int, Query(ge=1, le=1000, description="at most so many")]
Service = Annotated[str, Query(max_length=512, description="empty: any")]


class Asker(Protocol):
    """`collector.questions.Questions`."""

    def edges(
        self, start_ns: int, end_ns: int, limit: int, source: str = "", destination: str = ""
    ) -> list[dict[str, Any]]: ...
    def graph(self, start_ns: int, end_ns: int, limit: int) -> dict[str, Any]: ...
    def services(self, start_ns: int, end_ns: int) -> list[dict[str, Any]]: ...
    def operations(
        self, start_ns: int, end_ns: int, service: str, limit: int
    ) -> list[dict[str, Any]]: ...
    def latency(
        self, start_ns: int, end_ns: int, source: str, destination: str
    ) -> dict[str, Any]: ...
    def traces(
        self,
        start_ns: int,
        end_ns: int,
        wanted: TraceSearch,
        limit: int,
        before: tuple[int, str] | None = None,
    ) -> dict[str, Any]: ...
    def trace(self, trace_id: str) -> list[dict[str, Any]]: ...


class Window(NamedTuple):
    start_ns: int
    end_ns: int


def window(
    minutes: Annotated[
        float, Query(gt=0, le=MAX_DAYS * 1440, description="the last so many; not with from")
    ] = 15.0,
    from_: Annotated[
        str | None, Query(alias="from", description="RFC 3339, or seconds since 1970")
    ] = None,
    to: Annotated[str | None, Query(description="the same; default: now")] = None,
) -> Window:
    end_ns = moment(to, "to") if to else time.time_ns()
    start_ns = moment(from_, "from") if from_ else end_ns - round(minutes * 60 * SECOND_NS)
    if not 0 <= start_ns < end_ns:
        raise HTTPException(422, "from is not before to")
    if end_ns - start_ns > MAX_DAYS * 86_400 * SECOND_NS:
        raise HTTPException(422, f"the window is longer than {MAX_DAYS} days")
    return Window(start_ns, end_ns)


def moment(text: str, name: str) -> int:
    try:
        if re.fullmatch(r"\d{1,10}(\.\d{1,9})?", text):
            return round(float(text) * SECOND_NS)
        return from_rfc3339(text)
    except (ValueError, OverflowError) as error:
        raise HTTPException(422, f"{name}: {text[:64]!r} is no RFC 3339 time") from error


T = TypeVar("T")
TOO_LONG = frozenset({159, 160})  # TIMEOUT_EXCEEDED, TOO_SLOW
Asked = Annotated[Window, Depends(window)]


async def answered(question: Callable[..., T], *given: Any) -> T:
    """In a thread. A question that takes too long is the asker's to shorten."""
    try:
        return await run_in_threadpool(question, *given)
    except StoreError as error:
        if error.code in TOO_LONG:
            raise HTTPException(504, "it takes too long; ask for a shorter window") from error
        raise


def query_router(ask: Asker) -> APIRouter:
    api = APIRouter(
        prefix="/api/v1", route_class=ProblemRoute, responses=REFUSALS, tags=["questions"]
    )

    @api.get("/graph", response_model=GraphAnswer)
    async def graph(asked: Asked, limit: Limit = 500) -> dict[str, Any]:
        """The service graph: every service heard of, and the busiest edges."""
        return await answered(ask.graph, *asked, limit)

    @api.get("/edges", response_model=list[EdgeAnswer])
    async def edges(
        asked: Asked, source: Service = "", destination: Service = "", limit: Limit = 500
    ) -> list[dict[str, Any]]:
        """Who called whom: rates, errors, denials, percentiles; the busiest first."""
        return await answered(ask.edges, *asked, limit, source, destination)

    @api.get("/services", response_model=list[ServiceAnswer])
    async def services(asked: Asked) -> list[dict[str, Any]]:
        """Which services were heard of, by name."""
        return await answered(ask.services, *asked)

    @api.get("/operations", response_model=list[OperationAnswer])
    async def operations(
        asked: Asked, service: Service = "", limit: Limit = 500
    ) -> list[dict[str, Any]]:
        """What each operation did, by its spans; the busiest first."""
        return await answered(ask.operations, *asked, service, limit)

    @api.get("/latency", response_model=LatencyAnswer)
    async def latency(
        asked: Asked, source: Service = "", destination: Service = ""
    ) -> dict[str, Any]:
        """Rates and percentiles over time, of calls from one service to another."""
        return await answered(ask.latency, *asked, source, destination)

    @api.get("/traces", response_model=TracesAnswer)
    async def traces(
        asked: Asked,
        service: Service = "",
        operation: Annotated[str, Query(max_length=1024, description="a span's name")] = "",
        min_duration_ms: Annotated[float, Query(ge=0, le=1e12)] = 0,
        max_duration_ms: Annotated[float, Query(ge=0, le=1e12, description="0: any")] = 0,
        errors: Annotated[bool, Query(description="only of spans that failed")] = False,
        attribute: Annotated[
            str, Query(max_length=4096, description="key=value of a span or its resource")
        ] = "",
        limit: Limit = 20,
        cursor: Annotated[str, Query(max_length=128, description="`next` of the last page")] = "",
    ) -> dict[str, Any]:
        """Traces that have a span of this kind, the newest first, page by page."""
        key, equals, value = attribute.partition("=")
        if attribute and not (key and equals):
            raise HTTPException(422, "attribute: expected key=value")
        wanted = TraceSearch(
            service,
            operation,
            round(min_duration_ms * 1e6),
            round(max_duration_ms * 1e6),
            errors,
            (key, value),
        )
        before = read_cursor(cursor) if cursor else None
        found = await answered(ask.traces, *asked, wanted, limit, before)
        return {**found, "next": write_cursor(*found["next"]) if found["next"] else None}

    @api.get(
        "/trace/{trace_id}",
        response_model=list[SpanAnswer],
        responses={404: {"model": Problem, "description": "there is no such trace"}},
    )
    async def trace(trace_id: str) -> list[dict[str, Any]]:
        """All spans of one trace, in the order they began."""
        wanted = trace_id.lower()
        if not TRACE_ID.fullmatch(wanted):
            raise HTTPException(422, "trace_id: expected 16 or 32 hex digits")
        found = await answered(ask.trace, wanted.zfill(32))
        if not found:
            raise HTTPException(404, f"there is no trace {wanted}")
        return found

    return api


def write_cursor(at_ns: int, trace_id: str) -> str:
    return base64.urlsafe_b64encode(f"{at_ns}.{trace_id}".encode()).decode().rstrip("=")


def read_cursor(text: str) -> tuple[int, str]:
    try:
        padded = text + "=" * (-len(text) % 4)
        at_ns, _, trace_id = base64.urlsafe_b64decode(padded).decode("ascii").partition(".")
        if not TRACE_ID.fullmatch(trace_id):
            raise Malformed("no trace id")
        return int(at_ns), trace_id
    except (ValueError, binascii.Error, Malformed) as error:
        raise HTTPException(422, "cursor: expected `next` of an earlier page") from error
