"""The query API: what the mesh did, over HTTP, /api/v1.

Everything is asked of a window: the last `minutes`, or `from` and `to`.
"""

import base64
import binascii
import struct
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.exceptions import HTTPException

from collector.api.asking import REFUSALS, TRACE_ID, Asked, Asker, answered, trace_id_of
from collector.api.problems import Problem, ProblemRoute
from collector.api.query_models import (
    EdgeAnswer,
    GraphAnswer,
    LatencyAnswer,
    LogsAnswer,
    OperationAnswer,
    ServiceAnswer,
    SpanAnswer,
    TracesAnswer,
)
from collector.errors import Malformed
from collector.model import LogPlace, LogSearch, TraceSearch

MAX_ATTRIBUTE = 4096
LOG_PLACE = struct.Struct(">qQI")
Limit = Annotated[int, Query(ge=1, le=1000, description="at most so many")]
Service = Annotated[str, Query(max_length=512, description="empty: any")]


Attributes = Annotated[
    list[str] | None,
    Query(max_length=16, description="key=value of it or its resource; or only key"),
]
Cursor = Annotated[str, Query(max_length=128, description="`next` of the last page")]


class Severity(StrEnum):
    """The least of OTLP's severity numbers that have the name."""

    TRACE, DEBUG, INFO, WARN, ERROR, FATAL = "trace", "debug", "info", "warn", "error", "fatal"

    @property
    def number(self) -> int:
        return 1 + 4 * list(Severity).index(self)


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
        attribute: Attributes = None,
        limit: Limit = 20,
        cursor: Cursor = "",
    ) -> dict[str, Any]:
        """Traces that have a span of this kind, the newest first, page by page."""
        wanted = TraceSearch(
            service,
            operation,
            round(min_duration_ms * 1e6),
            round(max_duration_ms * 1e6),
            errors,
            tuple(map(attribute_of, attribute or ())),
        )
        before = read_cursor(cursor) if cursor else None
        found = await answered(ask.traces, *asked, wanted, limit, before)
        return {**found, "next": write_cursor(*found["next"]) if found["next"] else None}

    @api.get("/logs", response_model=LogsAnswer)
    async def logs(
        asked: Asked,
        service: Service = "",
        severity: Annotated[
            Severity | None, Query(description="at least so severe; else any, and none")
        ] = None,
        trace_id: Annotated[
            str, Query(max_length=32, description="16 or 32 hex digits; empty: any")
        ] = "",
        text: Annotated[
            str, Query(max_length=1024, description="in the body; ASCII letters in either case")
        ] = "",
        attribute: Attributes = None,
        limit: Limit = 100,
        cursor: Cursor = "",
    ) -> dict[str, Any]:
        """Log records of this kind, the newest first, page by page."""
        wanted = LogSearch(
            service,
            severity.number if severity else 0,
            trace_id_of(trace_id) if trace_id else "",
            text,
            tuple(map(attribute_of, attribute or ())),
        )
        after = read_log_cursor(cursor) if cursor else None
        found = await answered(ask.logs, *asked, wanted, limit, after)
        return {**found, "next": write_log_cursor(found["next"]) if found["next"] else None}

    @api.get(
        "/trace/{trace_id}",
        response_model=list[SpanAnswer],
        responses={404: {"model": Problem, "description": "there is no such trace"}},
    )
    async def trace(trace_id: str) -> list[dict[str, Any]]:
        """All spans of one trace, in the order they began."""
        found = await answered(ask.trace, trace_id_of(trace_id))
        if not found:
            raise HTTPException(404, f"there is no trace {trace_id}")
        return found

    return api


def attribute_of(text: str) -> tuple[str, str | None]:
    """`key=value`, or `key` for any value."""
    key, equals, value = text.partition("=")
    if not key or len(text) > MAX_ATTRIBUTE:
        raise HTTPException(
            422, f"attribute: expected key=value, at most {MAX_ATTRIBUTE} characters"
        )
    return key, value if equals else None


def write_cursor(at_ns: int, trace_id: str) -> str:
    return to_base64(f"{at_ns}.{trace_id}".encode())


def read_cursor(text: str) -> tuple[int, str]:
    try:
        at_ns, _, trace_id = from_base64(text).decode("ascii").partition(".")
        if not TRACE_ID.fullmatch(trace_id):
            raise Malformed("no trace id")
        return int(at_ns), trace_id
    except (ValueError, binascii.Error, Malformed) as error:
        raise BAD_CURSOR from error


def write_log_cursor(place: LogPlace) -> str:
    return to_base64(LOG_PLACE.pack(*place))


def read_log_cursor(text: str) -> LogPlace:
    try:
        place = LogPlace(*LOG_PLACE.unpack(from_base64(text)))
    except (ValueError, binascii.Error, struct.error) as error:
        raise BAD_CURSOR from error
    if place.at_ns < 0:
        raise BAD_CURSOR
    return place


BAD_CURSOR = HTTPException(422, "cursor: expected `next` of an earlier page")


def to_base64(place: bytes) -> str:
    return base64.urlsafe_b64encode(place).decode().rstrip("=")


def from_base64(text: str) -> bytes:
    """Raises ValueError, binascii.Error."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
