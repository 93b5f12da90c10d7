"""How the front-ends that answer questions ask them: of a window, and in a thread."""

import re
import time
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple, Protocol, TypeVar

from fastapi import Depends, Query
from fastapi.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from collector.api.problems import Problem
from collector.errors import StoreError
from collector.model import LogPlace, LogSearch, TraceSearch
from collector.times import from_rfc3339

SECOND_NS = 1_000_000_000
MAX_DAYS = 400
TRACE_ID = re.compile(r"(?:[0-9a-f]{16}){1,2}")
REFUSALS: dict[int | str, dict[str, Any]] = {
    422: {"model": Problem, "description": "what was asked for is wrong, and where"},
    503: {"model": Problem, "description": "ClickHouse does not answer"},
    504: {"model": Problem, "description": "the question took too long; ask for a shorter window"},
}


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
    def logs(
        self,
        start_ns: int,
        end_ns: int,
        wanted: LogSearch,
        limit: int,
        after: LogPlace | None = None,
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


def trace_id_of(text: str) -> str:
    """32 hex digits; an id of 64 bits is the low half. Raises HTTPException."""
    wanted = text.strip().lower()
    if not TRACE_ID.fullmatch(wanted):
        raise HTTPException(422, f"{text[:40]!r} is no trace id: expected 16 or 32 hex digits")
    return wanted.zfill(32)
