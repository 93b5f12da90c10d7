"""The rules API: make, read, change, delete and try rules over HTTP, /api/v1.

A change is in force in this collector when its answer is sent, in the others within seconds.
"""

from collections.abc import Callable
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Header, Request, Response
from fastapi.concurrency import run_in_threadpool

from collector.frontends.problems import Problem, ProblemRoute
from collector.frontends.rules_models import (
    CheckAnswer,
    CheckQuestion,
    Lease,
    Released,
    RuleBody,
    RulePatch,
    SnapshotAnswer,
    Validity,
)
from collector.services import Checker, Dedup
from policy.attributes import bag_from_json
from policy.errors import Conflict
from policy.kinds import AnyRule, Mode
from policy.lists import HeldLists
from policy.results import Decision
from policy.rules import rule_from_json, rule_to_json
from policy.snapshot import compile_rule

PROTOCOL = "api"
Responses = dict[int | str, dict[str, Any]]
IfMatch = Annotated[
    str | None, Header(description='the ETag the change is based on, such as "3"; * or none: any')
]


class Rules(Protocol):
    """What the API asks of the rule database."""

    def list(self) -> list[AnyRule]: ...
    def get(self, name: str) -> AnyRule: ...
    def create(self, rule: AnyRule, actor: str = "") -> AnyRule: ...
    def update(
        self,
        name: str,
        change: Callable[[AnyRule], AnyRule],
        expected: int | None = None,
        actor: str = "",
    ) -> AnyRule: ...
    def delete(self, name: str, expected: int | None = None, actor: str = "") -> None: ...


class InForce(Protocol):
    """The rules this collector runs."""

    @property
    def version(self) -> int: ...
    @property
    def failing(self) -> str: ...
    async def refresh(self) -> None: ...


def rules_router(rules: Rules, in_force: InForce, checker: Checker) -> APIRouter:
    refusals: Responses = {
        422: {"model": Problem, "description": "what was sent is wrong, and where"},
        503: {"model": Problem, "description": "the rule database does not answer"},
    }
    unknown: Responses = {404: {"model": Problem, "description": "there is no such rule"}}
    taken: Responses = {409: {"model": Problem, "description": "there is a rule of that name"}}
    changed: Responses = {
        412: {"model": Problem, "description": "the rule is not at the version of If-Match"}
    }
    api = APIRouter(prefix="/api/v1", route_class=ProblemRoute, responses=refusals)

    async def change(
        request: Request,
        response: Response,
        name: str,
        made: Callable[[AnyRule], AnyRule],
        if_match: str | None,
    ) -> dict[str, Any]:
        expected = await expected_version(name, if_match)
        rule = await run_in_threadpool(rules.update, name, made, expected, actor(request))
        await in_force.refresh()
        return stored(rule, response)

    async def expected_version(name: str, if_match: str | None) -> int | None:
        """Raises UnknownRule, and Conflict for an If-Match that no version of ours can meet."""
        if if_match is None or if_match.strip() == "*":
            return None
        text = if_match.strip().removeprefix("W/").strip('"')
        if text.isascii() and text.isdigit() and len(text) < 19:
            return int(text)
        present = await run_in_threadpool(rules.get, name)
        raise Conflict(name, 0, present.version)

    @api.get("/rules", tags=["rules"], response_model=list[RuleBody])
    async def list_rules() -> list[dict[str, Any]]:
        """All rules, by name."""
        return [rule_to_json(rule) for rule in await run_in_threadpool(rules.list)]

    @api.post("/rules", tags=["rules"], status_code=201, response_model=RuleBody, responses=taken)
    async def create_rule(body: RuleBody, request: Request, response: Response) -> dict[str, Any]:
        """Make a rule; it is in force at once unless its `mode` says otherwise."""
        rule = await run_in_threadpool(rules.create, body, actor(request))
        await in_force.refresh()
        response.headers["location"] = f"/api/v1/rules/{rule.name}"
        return stored(rule, response)

    @api.post("/rules/validate", tags=["rules"], response_model=Validity)
    async def validate_rule(body: RuleBody) -> Validity:
        """Say whether a rule would be taken; nothing is stored."""
        compiled = compile_rule(body, HeldLists())
        reads = [name if key is None else f"{name}[{key}]" for name, key in compiled.reads]
        return Validity(
            valid=True, kind=body.kind, reads=reads, destination=compiled.match.service or ""
        )

    @api.get("/rules/{name}", tags=["rules"], response_model=RuleBody, responses=unknown)
    async def get_rule(name: str, response: Response) -> dict[str, Any]:
        """One rule; its version is the ETag."""
        return stored(await run_in_threadpool(rules.get, name), response)

    @api.put("/rules/{name}", tags=["rules"], response_model=RuleBody, responses=unknown | changed)
    async def replace_rule(
        name: str, body: RuleBody, request: Request, response: Response, if_match: IfMatch = None
    ) -> dict[str, Any]:
        """Replace a rule whole."""
        return await change(request, response, name, lambda _: body, if_match)

    @api.patch(
        "/rules/{name}", tags=["rules"], response_model=RuleBody, responses=unknown | changed
    )
    async def change_rule(
        name: str, body: RulePatch, request: Request, response: Response, if_match: IfMatch = None
    ) -> dict[str, Any]:
        """Change some of a rule's fields."""

        def patched(rule: AnyRule) -> AnyRule:
            return rule_from_json(rule_to_json(rule) | body)

        return await change(request, response, name, patched, if_match)

    @api.delete(
        "/rules/{name}", tags=["rules"], status_code=204, responses=unknown | changed
    )  # fmt: skip
    async def delete_rule(name: str, request: Request, if_match: IfMatch = None) -> None:
        """Remove a rule."""
        expected = await expected_version(name, if_match)
        await run_in_threadpool(rules.delete, name, expected, actor(request))
        await in_force.refresh()

    @api.post(
        "/rules/{name}/enable", tags=["rules"], response_model=RuleBody, responses=unknown | changed
    )
    async def enable_rule(
        name: str, request: Request, response: Response, if_match: IfMatch = None
    ) -> dict[str, Any]:
        """Put a rule in force."""
        return await change(request, response, name, switched(Mode.ENABLED), if_match)

    @api.post(
        "/rules/{name}/shadow", tags=["rules"], response_model=RuleBody, responses=unknown | changed
    )
    async def shadow_rule(
        name: str, request: Request, response: Response, if_match: IfMatch = None
    ) -> dict[str, Any]:
        """Evaluate and record a rule beside those in force; it decides nothing."""
        return await change(request, response, name, switched(Mode.SHADOW), if_match)

    @api.post(
        "/rules/{name}/disable",
        tags=["rules"],
        response_model=RuleBody,
        responses=unknown | changed,
    )
    async def disable_rule(
        name: str, request: Request, response: Response, if_match: IfMatch = None
    ) -> dict[str, Any]:
        """Take a rule out of force and keep it."""
        return await change(request, response, name, switched(Mode.DISABLED), if_match)

    @api.post("/check", tags=["checks"], response_model=CheckAnswer)
    async def check(question: CheckQuestion, request: Request) -> dict[str, Any]:
        """May it pass? A real check: it charges quotas by `hits` and is counted and recorded."""
        bag = bag_from_json(question.attributes)
        dedup = Dedup(actor(request), question.dedup_id) if question.dedup_id else None
        decision = checker.check(
            bag,
            protocol=PROTOCOL,
            hits=question.hits,
            best_effort=question.best_effort,
            dedup=dedup,
        )
        if not isinstance(decision, Decision):
            decision = await decision
        return decision_to_json(decision)

    @api.post("/release", tags=["checks"], response_model=Released)
    async def release(question: Lease) -> Released:
        """A request is over: what its lease holds is free again. Unknown or expired: 0."""
        return Released(released=await checker.release(question.lease))

    @api.get("/snapshot", tags=["rules"])
    async def snapshot() -> SnapshotAnswer:
        """Which rules this collector runs."""
        return SnapshotAnswer(version=in_force.version, failing=in_force.failing)

    return api


def actor(request: Request) -> str:
    """Who asks, as far as it is known: the peer's address."""
    return request.client.host if request.client else ""


def stored(rule: AnyRule, response: Response) -> dict[str, Any]:
    response.headers["etag"] = f'"{rule.version}"'
    return rule_to_json(rule)


def switched(mode: Mode) -> Callable[[AnyRule], AnyRule]:
    return lambda rule: rule.model_copy(update={"mode": mode})


def decision_to_json(decision: Decision) -> dict[str, Any]:
    return {
        **decision._asdict(),
        "attributes": dict(decision.attributes),
        "request_headers": [operation._asdict() for operation in decision.request_headers],
        "response_headers": [operation._asdict() for operation in decision.response_headers],
        "beside": [verdict._asdict() for verdict in decision.beside],
    }
