"""What a shadow rule or a draft would change: GET /api/v1/rules/{name}/agreement."""

import time
from collections.abc import Sequence
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Query
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field

from collector.api.asking import REFUSALS, answered
from collector.api.problems import Problem, ProblemRoute
from collector.decisions.decided import Cell
from policy.kinds import AnyRule, Mode, QuotaRule

MAX_MINUTES = 30 * 24 * 60
MINUTE_NS = 60_000_000_000


class Compared(Protocol):
    def agreement(self, rule: str, version: int, start_ns: int, end_ns: int) -> Sequence[Cell]:
        """Waits for the store."""


class Rules(Protocol):
    def get(self, name: str) -> AnyRule: ...


class CellAnswer(BaseModel):
    live: bool = Field(description="what was decided, or by a draft's rule: true is allowed")
    beside: bool = Field(description="what the shadow rule, or the draft, said")
    requests: float
    error: float = Field(description="95 of 100 times the truth is within it; 0: exact")
    recorded: int = Field(description="decisions that the number is made of")


class KeyAnswer(BaseModel):
    key: str = Field(description="of the quota's dimensions; without, the source service")
    requests: float


class ExampleAnswer(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: str
    source: str
    destination: str
    key: str


class Difference(BaseModel):
    requests: float
    keys: list[KeyAnswer] = Field(description="whose requests they were, the 20 with most first")
    examples: list[ExampleAnswer] = Field(description="the newest decisions, at most 10")


class AgreementAnswer(BaseModel):
    rule: str
    version: int
    tried: str = Field(description="shadow, draft, or empty: the rule tries nothing now")
    minutes: int
    matrix: list[CellAnswer]
    agreed: float | None = Field(description="share of requests answered alike; null: no requests")
    newly_denied: Difference
    newly_allowed: Difference
    allow_sample: float = Field(
        description="share of the allows on which both agree that this collector records; 0: none,"
        " and the matrix has none of them"
    )


def agreement_router(compared: Compared, rules: Rules, allow_sample: float) -> APIRouter:
    api = APIRouter(
        prefix="/api/v1",
        route_class=ProblemRoute,
        responses=REFUSALS | {404: {"model": Problem, "description": "there is no such rule"}},
        tags=["rules"],
    )

    @api.get("/rules/{name}/agreement", response_model=AgreementAnswer)
    async def agreement(
        name: str,
        minutes: Annotated[int, Query(ge=1, le=MAX_MINUTES, description="up to now")] = 60,
        version: Annotated[
            int | None, Query(ge=0, description="of the rule; default: the newest")
        ] = None,
    ) -> dict[str, Any]:
        """How a shadow rule, or a draft limit, answered beside what is in force."""
        rule = await run_in_threadpool(rules.get, name)
        asked = rule.version if version is None else version
        now_ns = time.time_ns()
        cells = await answered(
            compared.agreement, name, asked, now_ns - minutes * MINUTE_NS, now_ns
        )
        return answer(rule, asked, minutes, cells) | {"allow_sample": allow_sample}

    return api


def answer(rule: AnyRule, version: int, minutes: int, cells: Sequence[Cell]) -> dict[str, Any]:
    found = {(cell.live, cell.beside): cell for cell in cells}
    requests = {place: cell.requests for place, cell in found.items()}
    alike = requests.get((True, True), 0) + requests.get((False, False), 0)
    total = sum(requests.values())
    return {
        "rule": rule.name,
        "version": version,
        "tried": tried(rule),
        "minutes": minutes,
        "matrix": [
            cell_answer(live, beside, found.get((live, beside)))
            for live in (True, False)
            for beside in (True, False)
        ],
        "agreed": alike / total if total else None,
        "newly_denied": difference(found.get((True, False))),
        "newly_allowed": difference(found.get((False, True))),
    }


def tried(rule: AnyRule) -> str:
    if rule.mode is Mode.SHADOW:
        return "shadow"
    return "draft" if isinstance(rule, QuotaRule) and rule.draft else ""


def cell_answer(live: bool, beside: bool, cell: Cell | None) -> CellAnswer:
    if cell is None:
        return CellAnswer(live=live, beside=beside, requests=0, error=0, recorded=0)
    return CellAnswer(
        live=live,
        beside=beside,
        requests=cell.requests,
        error=cell.error,
        recorded=cell.recorded,
    )


def difference(cell: Cell | None) -> Difference:
    if cell is None:
        return Difference(requests=0, keys=[], examples=[])
    return Difference(
        requests=cell.requests,
        keys=[KeyAnswer(key=key, requests=requests) for key, requests in cell.keys],
        examples=[ExampleAnswer.model_validate(example) for example in cell.examples],
    )
