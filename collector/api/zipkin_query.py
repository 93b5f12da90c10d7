"""Zipkin's read API, version 2: services, span names, traces, one trace, dependencies.

For tools that read Zipkin. Times are microseconds there, `endTs` and `lookback` milliseconds.
Source: https://zipkin.io/zipkin-api/zipkin2-api.yaml
"""

import re
import time
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.exceptions import HTTPException

from collector.api.asking import MAX_DAYS, REFUSALS, Asker, Window, answered, trace_id_of
from collector.api.problems import Problem, ProblemRoute
from collector.model import TraceSearch

MS_NS, US_NS = 1_000_000, 1_000
DAY_MS = 86_400_000
MAX_MS = 4_102_444_800_000  # the year 2100
MAX_MANY = 100
AND = re.compile(r"\s+and\s+", re.IGNORECASE)
KINDS = {"server": "SERVER", "client": "CLIENT", "producer": "PRODUCER", "consumer": "CONSUMER"}

EndTs = Annotated[
    int | None,
    Query(alias="endTs", ge=1, le=MAX_MS, description="ms since 1970; default: now"),
]
Lookback = Annotated[int, Query(ge=1, le=MAX_DAYS * DAY_MS, description="how far back, ms")]


def zipkin_router(ask: Asker) -> APIRouter:
    api = APIRouter(prefix="/api/v2", route_class=ProblemRoute, responses=REFUSALS, tags=["zipkin"])

    @api.get("/services", response_model=list[str])
    async def services(end: EndTs = None, lookback: Lookback = DAY_MS) -> list[str]:
        """The services, by name."""
        found = await answered(ask.services, *window(end, lookback))
        return [service["name"] for service in found]

    @api.get("/spans", response_model=list[str])
    async def span_names(
        service: Annotated[str, Query(alias="serviceName", max_length=1024)],
        end: EndTs = None,
        lookback: Lookback = DAY_MS,
    ) -> list[str]:
        """The names of a service's spans."""
        found = await answered(ask.operations, *window(end, lookback), service, 1000)
        return sorted({operation["name"] for operation in found})

    @api.get("/remoteServices", response_model=list[str])
    async def remote_services(
        service: Annotated[str, Query(alias="serviceName", max_length=1024)],
        end: EndTs = None,
        lookback: Lookback = DAY_MS,
    ) -> list[str]:
        """The services that a service called."""
        found = await answered(ask.edges, *window(end, lookback), 1000, service, "")
        return sorted(edge["destination"] for edge in found)

    @api.get("/traces", response_model=list[list[dict[str, Any]]])
    async def traces(
        service: Annotated[str, Query(alias="serviceName", max_length=1024)] = "",
        span_name: Annotated[str, Query(alias="spanName", max_length=1024)] = "",
        annotations: Annotated[str, Query(alias="annotationQuery", max_length=4096)] = "",
        min_us: Annotated[int, Query(alias="minDuration", ge=0, le=10**15)] = 0,
        max_us: Annotated[int, Query(alias="maxDuration", ge=0, le=10**15)] = 0,
        end: EndTs = None,
        lookback: Lookback = DAY_MS,
        limit: Annotated[int, Query(ge=1, le=200)] = 10,
    ) -> list[list[dict[str, Any]]]:
        """Traces that have such a span, whole, the newest first."""
        terms = [term for term in AND.split(annotations.strip()) if term]
        pairs = [(key, value if equals else None) for key, equals, value in map(split, terms)]
        wanted = TraceSearch(
            service,
            "" if span_name == "all" else span_name,
            min_us * US_NS,
            max_us * US_NS,
            ("error", None) in pairs,
            tuple(pair for pair in pairs if pair != ("error", None)),
        )
        page = await answered(ask.traces, *window(end, lookback), wanted, limit)
        return [await whole(each["trace_id"]) for each in page["traces"]]

    @api.get("/traceMany", response_model=list[list[dict[str, Any]]])
    async def trace_many(
        ids: Annotated[str, Query(alias="traceIds", max_length=MAX_MANY * 33)],
    ) -> list[list[dict[str, Any]]]:
        """Several traces by their ids; those that are not there are left out."""
        found = [await whole(trace_id_of(text)) for text in ids.split(",")]
        return [trace for trace in found if trace]

    @api.get(
        "/trace/{trace_id}",
        response_model=list[dict[str, Any]],
        responses={404: {"model": Problem, "description": "there is no such trace"}},
    )
    async def trace(trace_id: str) -> list[dict[str, Any]]:
        """One trace, whole."""
        found = await whole(trace_id_of(trace_id))
        if not found:
            raise HTTPException(404, f"there is no trace {trace_id}")
        return found

    @api.get("/dependencies", response_model=list[dict[str, Any]])
    async def dependencies(
        end: Annotated[int, Query(alias="endTs", ge=1, le=MAX_MS)],
        lookback: Lookback = DAY_MS,
    ) -> list[dict[str, Any]]:
        """Who called whom: parent, child, callCount, errorCount."""
        found = await answered(ask.edges, *window(end, lookback), 1000)
        return [
            {
                "parent": edge["source"],
                "child": edge["destination"],
                "callCount": round(edge["requests"]),
                "errorCount": round(edge["errors"]),
            }
            for edge in found
        ]

    @api.get("/autocompleteKeys", response_model=list[str])
    async def autocomplete_keys() -> list[str]:
        """None: no key of a tag is singled out."""
        return []

    async def whole(trace_id: str) -> list[dict[str, Any]]:
        return [zipkin_span(span) for span in await answered(ask.trace, trace_id)]

    return api


def window(end_ms: int | None, lookback_ms: int) -> Window:
    end_ns = time.time_ns() if end_ms is None else (end_ms + 1) * MS_NS
    return Window(max(end_ns - lookback_ms * MS_NS, 0), end_ns)


def split(term: str) -> tuple[str, str, str]:
    key, equals, value = term.partition("=")
    if not key:
        raise HTTPException(422, "annotationQuery: expected key or key=value, joined by and")
    return key, equals, value


def zipkin_span(span: dict[str, Any]) -> dict[str, Any]:
    """A span of the query API as Zipkin writes it; fields that say nothing are left out."""
    tags = {**span["resource"], **span["attributes"]}
    if span["error"]:
        tags.setdefault("error", "true")
    if span["http_status"]:
        tags.setdefault("http.status_code", str(span["http_status"]))
    written = {
        "traceId": span["trace_id"],
        "id": span["span_id"],
        "parentId": span["parent_id"],
        "kind": KINDS.get(span["kind"]),
        "name": span["name"],
        "timestamp": span["start_ns"] // US_NS,
        "duration": max(span["duration_ns"] // US_NS, 1),
        "localEndpoint": {"serviceName": span["service"]},
        "annotations": [
            {"timestamp": event["time_ns"] // US_NS, "value": event["name"]}
            for event in span["events"]
        ],
        "tags": tags,
        "shared": span["shared"],
    }
    return {key: value for key, value in written.items() if value}
