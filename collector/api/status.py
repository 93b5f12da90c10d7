"""What rules matched, and why one matches nothing: all of them, or one."""

from collections.abc import Sequence
from typing import Any, Protocol

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field

from collector.api.paging import MAX_PAGE, PAGED, Limit, Text, page
from collector.api.problems import REFUSALS, ProblemRoute, problems
from collector.status.rule_status import RuleStatus
from collector.times import rfc3339
from policy.explain.idle import Idle, TermCount, Why
from policy.kinds import AnyRule
from policy.rules import RulesPage

MS_NS = 1_000_000


class Rules(Protocol):
    def get(self, name: str) -> AnyRule: ...
    def page(self, limit: int, after: str = "") -> RulesPage: ...


class Statuses(Protocol):
    async def of(self, rules: Sequence[AnyRule]) -> Sequence[RuleStatus]: ...
    async def why(self, name: str) -> Idle | None: ...


class HereAnswer(BaseModel):
    """Of the collector that answers."""

    since: str = Field(description="when it was started")
    matched: int = Field(description="requests that it was asked about since")


class StatusAnswer(BaseModel):
    rule: str
    version: int
    mode: str
    in_force: bool = Field(description="the collector that answers asks this version")
    matched: int = Field(description="requests, since this version is in force")
    counted: str = Field(
        description="all collectors, by the counters' server; this collector, while it is away"
    )
    last_matched: str | None = Field(description="to some seconds; null: never, as far as known")
    here: HereAnswer
    idle: bool = Field(
        description="it matched nothing for MESHMETER_RULES_IDLE_S, five minutes, though in force"
    )


class SeenAnswer(BaseModel):
    text: str = Field(description="a value, or a name")
    requests: int = Field(description="of those sampled")


class WhyAnswer(BaseModel):
    """By what the collector that answers was asked lately, and a sample of it."""

    why: Why
    reason: str
    sampled: int = Field(description="requests that were looked at")
    term: TermCount | None = Field(description="a term of the match that holds for none of them")
    seen: list[SeenAnswer] = Field(description="what was there instead, the nearest first")
    by: str = Field(description="the rule that refuses before")
    terms: list[TermCount] = Field(description="for how many of them each term holds")


class OneStatusAnswer(StatusAnswer):
    why_idle: WhyAnswer | None = Field(description="null: it is not idle")


def status_router(rules: Rules, statuses: Statuses) -> APIRouter:
    unknown = problems({404: "there is no such rule"})
    api = APIRouter(prefix="/api/v1", route_class=ProblemRoute, responses=REFUSALS, tags=["rules"])

    @api.get("/rules/{name}/status", response_model=OneStatusAnswer, responses=unknown)
    async def rule_status(name: str) -> dict[str, Any]:
        """What a rule matched; and when it matched nothing for a while, why."""
        rule = await run_in_threadpool(rules.get, name)
        (status,) = await statuses.of([rule])
        why = await statuses.why(name) if status.idle else None
        return {**answer(status), "why_idle": why and why_answer(why)}

    @api.get("/status/rules", response_model=list[StatusAnswer], responses=PAGED)
    async def all_statuses(request: Request, limit: Limit = MAX_PAGE, after: Text = "") -> Response:
        """What each rule matched, by name; a thousand at most."""
        found = await run_in_threadpool(rules.page, limit, after)
        told = await statuses.of(found.rules)
        last = found.rules[-1].name if len(found.rules) == limit else ""
        behind = {"after": last} if last else None
        return await run_in_threadpool(
            lambda: page(request, [answer(each) for each in told], found.total, behind)
        )

    return api


def answer(status: RuleStatus) -> dict[str, Any]:
    rule = status.rule
    return {
        "rule": rule.name,
        "version": rule.version,
        "mode": str(rule.mode),
        "in_force": status.in_force,
        "matched": status.matched.times,
        "counted": "all collectors" if status.of_all else "this collector",
        "last_matched": moment(status.matched.last_ms) if status.matched.last_ms else None,
        "here": {"since": moment(round(status.since_s * 1000)), "matched": status.here.times},
        "idle": status.idle,
    }


def why_answer(why: Idle) -> dict[str, Any]:
    return {**vars(why), "seen": [each._asdict() for each in why.seen]}


def moment(at_ms: int) -> str:
    return rfc3339(at_ms * MS_NS)
