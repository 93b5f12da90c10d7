"""Checks asked through the API: one request, as JSON."""

from typing import Any

from fastapi import APIRouter, Request

from collector.api.acting import peer
from collector.api.checks_models import CheckAnswer, CheckQuestion, Lease, Released
from collector.api.problems import ProblemRoute, problems
from collector.services import Checker, Dedup
from policy.attributes import bag_from_json
from policy.results import Decision

PROTOCOL = "api"


def checks_router(checker: Checker, deadline_s: float | None = None) -> APIRouter:
    """`deadline_s`: the longest wait for the counters."""
    refusals = problems({422: "what was sent is wrong, and where", 503: "no rules were loaded yet"})
    api = APIRouter(prefix="/api/v1", route_class=ProblemRoute, responses=refusals, tags=["checks"])

    @api.post("/check", response_model=CheckAnswer)
    async def check(question: CheckQuestion, request: Request) -> dict[str, Any]:
        """May it pass? A real check: it charges quotas by `hits` and is counted and recorded."""
        bag = bag_from_json(question.attributes)
        dedup = Dedup(peer(request), question.dedup_id) if question.dedup_id else None
        decision = checker.check(
            bag,
            protocol=PROTOCOL,
            hits=question.hits,
            deadline_s=deadline_s,
            best_effort=question.best_effort,
            dedup=dedup,
        )
        if not isinstance(decision, Decision):
            decision = await decision
        return decision_to_json(decision)

    @api.post("/release", response_model=Released)
    async def release(question: Lease) -> Released:
        """A request is over: what its lease holds is free again. Unknown or expired: 0."""
        return Released(released=await checker.release(question.lease))

    return api


def decision_to_json(decision: Decision) -> dict[str, Any]:
    return {
        **decision._asdict(),
        "attributes": dict(decision.attributes),
        "request_headers": [operation._asdict() for operation in decision.request_headers],
        "response_headers": [operation._asdict() for operation in decision.response_headers],
        "beside": [verdict._asdict() for verdict in decision.beside],
    }
