"""Rules to and from JSON, as people write them."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import ValidationError

from policy.documents import invalid
from policy.errors import InvalidRule
from policy.kinds import KINDS, AnyRule

__all__ = ["AnyRule", "RulesPage", "numbered", "rule_from_json", "rule_to_json"]


class RulesPage(NamedTuple):
    """Some of the rules of one moment; `total` counts all that were asked for."""

    rules: Sequence[AnyRule]
    total: int
    version: int  # of the whole set


def rule_from_json(document: Mapping[str, Any]) -> AnyRule:
    """Windows are in seconds. Raises InvalidRule, also for a field that is not known."""
    kind = document.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise InvalidRule("/kind", f"expected one of {', '.join(KINDS)}")
    try:
        return KINDS[kind].model_validate(dict(document))
    except ValidationError as error:
        raise invalid(error) from error


def rule_to_json(rule: AnyRule) -> dict[str, Any]:
    """What `rule_from_json` reads, every key present."""
    return rule.model_dump(mode="json")


def numbered(rule: AnyRule, version: int) -> AnyRule:
    return rule.model_copy(update={"version": version})
