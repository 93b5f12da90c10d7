"""Rules over HTTP: make, read, change, delete and try them.

A change is in force in this collector when its answer is sent, in the others within seconds.
"""

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Protocol

from fastapi import APIRouter, Query, Request, Response

from collector.api.acting import Author, IfMatch, expected_version, tag
from collector.api.in_force import InForce, then_in_force
from collector.api.paging import MAX_PAGE, PAGED, Limit, Text, encode, page
from collector.api.problems import REFUSALS, ProblemRoute, problems
from collector.api.rules_models import KindName, RuleBody, RulePatch, RuleSent, Validity
from collector.look_alikes import cautions
from policy.acts import By
from policy.kinds import AnyRule, Mode
from policy.lists import HeldLists
from policy.rules import RulesPage, rule_from_json, rule_to_json
from policy.snapshot import compile_rule

Change = Callable[[AnyRule], AnyRule]


class Rules(Protocol):
    """What the API asks of the rule database."""

    def page(
        self,
        limit: int,
        after: str = "",
        *,
        kind: str = "",
        mode: Mode | None = None,
        name: str = "",
    ) -> RulesPage: ...
    def get(self, name: str) -> AnyRule: ...
    def create(self, thing: AnyRule, by: By = ...) -> AnyRule: ...
    def update(
        self,
        name: str,
        change: Change,
        expected: int | None = None,
        by: By = ...,
        action: str = ...,
    ) -> AnyRule: ...
    def delete(self, name: str, expected: int | None = None, by: By = ...) -> None: ...


def rules_router(rules: Rules, in_force: InForce) -> APIRouter:
    unknown = problems({404: "there is no such rule"})
    taken = problems({409: "there is a rule of that name, or as many as may be"})
    changed = problems({412: "the rule is not at the version of If-Match"})
    api = APIRouter(
        prefix="/api/v1/rules", route_class=ProblemRoute, responses=REFUSALS, tags=["rules"]
    )

    change = Changing(rules, in_force)

    @api.get("", response_model=list[RuleBody], responses=PAGED)
    def list_rules(
        request: Request,
        limit: Limit = MAX_PAGE,
        after: Text = "",
        kind: KindName | None = None,
        mode: Mode | None = None,
        name: Annotated[Text, Query(description="part of the name")] = "",
    ) -> Response:
        """Rules by name, a thousand at most; the ETag is the version of the whole set."""
        found = rules.page(limit, after, kind=kind or "", mode=mode, name=name)
        last = found.rules[-1].name if len(found.rules) == limit else ""
        items = [rule_to_json(rule) for rule in found.rules]
        behind = {"after": last} if last else None
        return page(request, items, found.total, behind, {"etag": f'"{found.version}"'})

    @api.post("", status_code=201, response_model=RuleBody, responses=taken)
    async def create_rule(body: RuleSent, by: Author) -> Response:
        """Make a rule; it is in force at once unless its `mode` says otherwise."""

        def create() -> Response:
            rule = rules.create(rule_from_json(body), by)
            answer = stored(rule, HTTPStatus.CREATED)
            answer.headers["location"] = f"/api/v1/rules/{rule.name}"
            return answer

        return await then_in_force(in_force, create)

    @api.post("/validate", response_model=Validity)
    def validate_rule(body: RuleSent) -> Validity:
        """Say whether a rule would be taken; nothing is stored."""
        rule = rule_from_json(body)
        compiled = compile_rule(rule, HeldLists())
        reads = [name if key is None else f"{name}[{key}]" for name, key in compiled.reads]
        return Validity(
            valid=True,
            kind=rule.kind,
            reads=reads,
            destination=compiled.match.service or "",
            cautions=cautions(rule_to_json(rule)),
        )

    @api.get("/{name}", response_model=RuleBody, responses=unknown)
    def get_rule(name: str) -> Response:
        """One rule; its version is the ETag."""
        return stored(rules.get(name))

    @api.put("/{name}", response_model=RuleBody, responses=unknown | changed)
    async def replace_rule(
        name: str, body: RuleSent, by: Author, if_match: IfMatch = None
    ) -> Response:
        """Replace a rule whole."""
        return await change(name, lambda _: rule_from_json(body), if_match, by, "update")

    @api.patch("/{name}", response_model=RuleBody, responses=unknown | changed)
    async def change_rule(
        name: str, body: RulePatch, by: Author, if_match: IfMatch = None
    ) -> Response:
        """Change some of a rule's fields."""

        def patched(rule: AnyRule) -> AnyRule:
            return rule_from_json(rule_to_json(rule) | body)

        return await change(name, patched, if_match, by, "update")

    @api.delete("/{name}", status_code=204, responses=unknown | changed)
    async def delete_rule(name: str, by: Author, if_match: IfMatch = None) -> None:
        """Remove a rule."""
        expected = expected_version(if_match)
        await then_in_force(in_force, lambda: rules.delete(name, expected, by))

    @api.post("/{name}/enable", response_model=RuleBody, responses=unknown | changed)
    async def enable_rule(name: str, by: Author, if_match: IfMatch = None) -> Response:
        """Put a rule in force."""
        return await change(name, switched(Mode.ENABLED), if_match, by, "enable")

    @api.post("/{name}/shadow", response_model=RuleBody, responses=unknown | changed)
    async def shadow_rule(name: str, by: Author, if_match: IfMatch = None) -> Response:
        """Evaluate and record a rule beside those in force; it decides nothing."""
        return await change(name, switched(Mode.SHADOW), if_match, by, "shadow")

    @api.post("/{name}/disable", response_model=RuleBody, responses=unknown | changed)
    async def disable_rule(name: str, by: Author, if_match: IfMatch = None) -> Response:
        """Take a rule out of force and keep it."""
        return await change(name, switched(Mode.DISABLED), if_match, by, "disable")

    return api


def stored(rule: AnyRule, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """Written in the thread that has the rule: it may be large."""
    answer = Response(encode(rule_to_json(rule)), status, media_type="application/json")
    tag(answer, rule.version)
    return answer


@dataclass(frozen=True)
class Changing:
    """Changes rules one by one: each change is in force in this collector when it is answered."""

    rules: Rules
    in_force: InForce

    async def __call__(
        self,
        name: str,
        made: Change,
        if_match: str | None,
        by: By,
        action: str,
        shown: Callable[[AnyRule], Response] = stored,
    ) -> Response:
        expected = expected_version(if_match)

        def act() -> Response:
            return shown(self.rules.update(name, made, expected, by, action))

        return await then_in_force(self.in_force, act)


def switched(mode: Mode) -> Change:
    return lambda rule: rule.model_copy(update={"mode": mode})
