"""Parts of quota rules changed by themselves: one override, or the draft.

Each gives the rule as it is then. Faults are placed in the part, as it was sent.
"""

from typing import Any

from policy.acts import Document
from policy.errors import InvalidRule, NameTaken, UnknownPart
from policy.kinds import AnyRule, QuotaRule
from policy.kinds.quota import OverrideDocument
from policy.rules import rule_from_json, rule_to_json


def quota_rule(rule: AnyRule) -> QuotaRule:
    """Raises UnknownPart for a rule of another kind."""
    if not isinstance(rule, QuotaRule):
        raise UnknownPart(f"rule {rule.name!r} is no quota, but of kind {rule.kind}")
    return rule


def override_of(rule: AnyRule, name: str) -> OverrideDocument:
    """Raises UnknownPart."""
    for override in quota_rule(rule).overrides:
        if override.name == name:
            return override
    raise UnknownPart(f"quota {rule.name!r} has no override {name!r}")


def with_new_override(rule: AnyRule, override: Document) -> AnyRule:
    """Raises UnknownPart, NameTaken, InvalidRule."""
    overrides = documents(rule)
    if any(present["name"] == override.get("name") for present in overrides):
        raise NameTaken(str(override["name"]), "override")
    return remade(rule, {"overrides": [*overrides, override]}, f"/overrides/{len(overrides)}")


def with_override(rule: AnyRule, name: str, override: Document) -> AnyRule:
    """In place of the one of this name. Raises UnknownPart, InvalidRule."""
    at = quota_rule(rule).overrides.index(override_of(rule, name))
    if override.get("name", name) != name:
        raise InvalidRule("/name", "an override's name cannot be changed")
    overrides = documents(rule)
    overrides[at] = {"name": name, **override}
    return remade(rule, {"overrides": overrides}, f"/overrides/{at}")


def without_override(rule: AnyRule, name: str) -> AnyRule:
    """Raises UnknownPart."""
    gone = override_of(rule, name)
    overrides = [override for override in documents(rule) if override["name"] != gone.name]
    return remade(rule, {"overrides": overrides}, "/overrides")


def with_draft(rule: AnyRule, draft: Document) -> AnyRule:
    """Raises UnknownPart, InvalidRule."""
    return remade(quota_rule(rule), {"draft": draft}, "/draft")


def without_draft(rule: AnyRule) -> AnyRule:
    """Raises UnknownPart."""
    draft_of(rule)
    return remade(rule, {"draft": None}, "/draft")


def promoted(rule: AnyRule) -> AnyRule:
    """The draft is the limit, and there is no draft any more. Raises UnknownPart."""
    return remade(rule, {**draft_of(rule), "draft": None}, "")


def draft_of(rule: AnyRule) -> dict[str, Any]:
    draft = quota_rule(rule).draft
    if draft is None:
        raise UnknownPart(f"quota {rule.name!r} has no draft")
    return draft.model_dump(mode="json")


def documents(rule: AnyRule) -> list[Document]:
    found: list[Document] = rule_to_json(quota_rule(rule))["overrides"]
    return found


def remade(rule: AnyRule, fields: dict[str, Any], part: str) -> AnyRule:
    try:
        return rule_from_json(rule_to_json(rule) | fields)
    except InvalidRule as error:
        place = error.place.removeprefix(part)
        raise InvalidRule(place, error.reason, error.line, error.column) from error
