"""What would be decided, and why: POST /api/v1/evaluate. Nothing is charged, counted or recorded.

Draft rules may be tried in place of those in force, or beside them.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Protocol

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field

from collector.api.bodies import STRICT, DescribedAs
from collector.api.checks import decision_to_json
from collector.api.checks_models import MAX_HITS, CheckAnswer
from collector.api.problems import ProblemRoute, problems
from collector.api.rules_models import RuleBody
from policy.attributes import AttributeBag, bag_from_json
from policy.errors import InvalidRule
from policy.explain import Explanation
from policy.explain.tree import DeriveStep, Elsewhere, HeadersStep, QuotaStep, Step
from policy.kinds import AnyRule
from policy.rules import rule_from_json

MAX_RULES = 1000


class Evaluator(Protocol):
    async def __call__(
        self,
        bag: AttributeBag,
        hits: int,
        rules: Sequence[AnyRule],
        *,
        alone: bool,
        list_elsewhere: bool,
    ) -> Explanation:
        """Raises NoSnapshot, InvalidRule."""


class EvaluateQuestion(BaseModel):
    model_config = STRICT

    attributes: dict[str, Any] = Field(
        description="names of the vocabulary to values; durations as 1.5s, times as RFC 3339",
        examples=[{"destination.service": "b.default", "source.service": "a.default"}],
    )
    hits: int = Field(1, ge=0, le=MAX_HITS, description="what each quota would be charged")
    rules: list[Annotated[dict[str, Any], DescribedAs(RuleBody)]] = Field(
        [],
        max_length=MAX_RULES,
        description="drafts, each in place of the rule of its name; disabled: as if it were not",
    )
    alone: bool = Field(False, description="the drafts in place of all rules in force")
    list_elsewhere: bool = Field(
        False, description="name the rules that demand another destination, and which"
    )


class EvaluateAnswer(BaseModel):
    """Every rule that could act on such a request, in the order of asking."""

    decision: CheckAnswer = Field(description="what a check would answer; it has no id")
    snapshot_version: int
    attributes: dict[str, str] = Field(description="with what was derived, as text")
    derivations: list[DeriveStep]
    gates: list[Step]
    quotas: list[QuotaStep]
    headers: list[HeadersStep]
    shadow: list[QuotaStep | Step] = Field(description="what shadow rules would have said")
    elsewhere: Elsewhere = Field(description="rules that demand another destination")
    left_out: int = Field(description="rules that do not match, beyond those listed")


def evaluate_router(evaluate: Evaluator) -> APIRouter:
    refusals = problems({422: "what was sent is wrong, and where", 503: "no rules were loaded yet"})
    api = APIRouter(prefix="/api/v1", route_class=ProblemRoute, responses=refusals, tags=["checks"])

    @api.post("/evaluate", response_model=EvaluateAnswer)
    async def evaluate_request(question: EvaluateQuestion) -> dict[str, Any]:
        """What would be decided, and why. Nothing is charged, counted or recorded."""
        bag = bag_from_json(question.attributes)
        try:
            rules = await run_in_threadpool(read_rules, question.rules)
            found = await evaluate(
                bag,
                question.hits,
                rules,
                alone=question.alone,
                list_elsewhere=question.list_elsewhere,
            )
        except InvalidRule as error:
            raise error.within("/rules") from error
        return {**vars(found), "decision": decision_to_json(found.decision)}

    return api


def read_rules(documents: Sequence[dict[str, Any]]) -> list[AnyRule]:
    """Raises InvalidRule, whose place begins with the rule's number."""
    rules = []
    for number, document in enumerate(documents):
        try:
            rules.append(rule_from_json(document))
        except InvalidRule as error:
            raise error.within(f"/{number}") from error
    return rules
