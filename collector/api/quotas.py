"""Parts of quota rules over HTTP: overrides one by one, and the draft.

They are the rule's: a change of one is a change of the rule, whose version is their ETag.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request, Response

from collector.api.acting import Author, IfMatch, tag
from collector.api.in_force import InForce
from collector.api.paging import MAX_PAGE, PAGED, Limit, Text, encode, page
from collector.api.problems import REFUSALS, ProblemRoute, problems
from collector.api.quotas_models import DraftSent, OverrideSent
from collector.api.rules import Changing, Rules
from collector.api.rules_models import RuleBody
from policy.kinds import AnyRule
from policy.kinds.quota import OverrideDocument
from policy.quota_rules import (
    override_of,
    promoted,
    quota_rule,
    with_draft,
    with_new_override,
    with_override,
    without_draft,
    without_override,
)


def quotas_router(rules: Rules, in_force: InForce) -> APIRouter:
    unknown = problems({404: "there is no such quota, or no such part of it"})
    changed = problems({412: "the rule is not at the version of If-Match"})
    taken = problems({409: "there is an override of that name"})
    api = APIRouter(
        prefix="/api/v1/quotas/{name}",
        route_class=ProblemRoute,
        responses=REFUSALS | unknown,
        tags=["quotas"],
    )

    change = Changing(rules, in_force)

    @api.get("/overrides", response_model=list[OverrideDocument], responses=PAGED)
    def list_overrides(
        request: Request, name: str, limit: Limit = MAX_PAGE, after: Text = ""
    ) -> Response:
        """Overrides of a quota, by name; the ETag is the rule's version."""
        rule = quota_rule(rules.get(name))
        found = sorted(
            (override for override in rule.overrides if override.name > after),
            key=lambda override: override.name,
        )
        items = [written(override) for override in found[:limit]]
        behind = {"after": found[limit - 1].name} if len(found) > limit else None
        headers = {"etag": f'"{rule.version}"'}
        return page(request, items, len(rule.overrides), behind, headers)

    @api.post(
        "/overrides", status_code=201, response_model=OverrideDocument, responses=changed | taken
    )
    async def create_override(
        name: str, body: OverrideSent, by: Author, if_match: IfMatch = None
    ) -> Response:
        """Give some values of the dimensions a limit of their own, or none."""

        def shown(rule: AnyRule) -> Response:
            answer = part(rule, str(body["name"]), HTTPStatus.CREATED)
            answer.headers["location"] = f"/api/v1/quotas/{name}/overrides/{body['name']}"
            return answer

        return await change(
            name, lambda rule: with_new_override(rule, body), if_match, by, "override", shown
        )

    @api.get("/overrides/{override}", response_model=OverrideDocument)
    def get_override(name: str, override: str) -> Response:
        """One override; its ETag is the rule's version."""
        return part(rules.get(name), override)

    @api.put("/overrides/{override}", response_model=OverrideDocument, responses=changed)
    async def replace_override(
        name: str, override: str, body: OverrideSent, by: Author, if_match: IfMatch = None
    ) -> Response:
        """Replace an override whole."""
        return await change(
            name,
            lambda rule: with_override(rule, override, body),
            if_match,
            by,
            "override",
            lambda rule: part(rule, override),
        )

    @api.delete("/overrides/{override}", status_code=204, responses=changed)
    async def delete_override(
        name: str, override: str, by: Author, if_match: IfMatch = None
    ) -> Response:
        """Remove an override: the others, or the rule's own limits, count again."""
        return await change(
            name, lambda rule: without_override(rule, override), if_match, by, "override", gone
        )

    @api.post("/draft", response_model=RuleBody, responses=changed)
    async def set_draft(
        name: str, body: DraftSent, by: Author, if_match: IfMatch = None
    ) -> Response:
        """Count other limits beside those in force, on the same requests; they never refuse."""
        return await change(name, lambda rule: with_draft(rule, body), if_match, by, "draft")

    @api.delete("/draft", status_code=204, responses=changed)
    async def delete_draft(name: str, by: Author, if_match: IfMatch = None) -> Response:
        """Forget the draft."""
        return await change(name, without_draft, if_match, by, "draft", gone)

    @api.post("/promote", response_model=RuleBody, responses=changed)
    async def promote(name: str, by: Author, if_match: IfMatch = None) -> Response:
        """Make the draft the limit in force, in one change."""
        return await change(name, promoted, if_match, by, "promote")

    return api


def part(rule: AnyRule, override: str, status: HTTPStatus = HTTPStatus.OK) -> Response:
    found = override_of(rule, override)
    answer = Response(encode(written(found)), status, media_type="application/json")
    tag(answer, rule.version)
    return answer


def gone(rule: AnyRule) -> Response:
    answer = Response(status_code=HTTPStatus.NO_CONTENT)
    tag(answer, rule.version)
    return answer


def written(override: OverrideDocument) -> Mapping[str, Any]:
    return override.model_dump(mode="json")
