"""What was tried becomes what is in force."""

from policy.errors import InvalidRule
from policy.kinds import AnyRule, Mode, QuotaRule
from policy.rules import rule_from_json, rule_to_json


def promoted(rule: AnyRule) -> AnyRule:
    """A rule in shadow is enabled; else the draft takes the place of the limits, and is gone.

    Raises InvalidRule for a rule of which nothing is tried.
    """
    if rule.mode is Mode.SHADOW:
        return rule.model_copy(update={"mode": Mode.ENABLED})
    if not isinstance(rule, QuotaRule) or rule.draft is None:
        raise InvalidRule("", "the rule is not in shadow, and has no draft")
    limits = rule.draft.model_dump(mode="json")
    return rule_from_json(rule_to_json(rule) | limits | {"draft": None})
