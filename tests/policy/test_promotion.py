"""What was tried is put in force."""

import pytest

from policy.errors import InvalidRule
from policy.promotion import promoted
from policy.rules import rule_from_json, rule_to_json
from tests.policy.objects import deny, quota


def test_a_rule_in_shadow_is_enabled_and_keeps_its_draft() -> None:
    rule = quota(mode="shadow", draft={"limit": 9, "window": 1})
    assert rule_to_json(promoted(rule)) == rule_to_json(rule) | {"mode": "enabled"}


def test_a_draft_takes_the_place_of_all_that_the_limits_said() -> None:
    rule = quota(
        limit=None, window=None, limits=[{"limit": 1, "window": 1}], priority=4,
        draft={"limit": 3, "window": 2, "burst": 9},
    )  # fmt: skip
    expected = quota(limit=3, window=2, burst=9, priority=4)
    assert promoted(rule) == expected
    several = [{"limit": 3, "window": 1}, {"limit": 9, "window": 60}]
    assert promoted(quota(burst=1, draft={"limits": several})) == rule_from_json(
        rule_to_json(quota()) | {"limit": None, "window": None, "limits": several}
    )


@pytest.mark.parametrize("rule", [quota(), deny(), deny(mode="disabled")])
def test_nothing_can_be_promoted_where_nothing_is_tried(rule) -> None:
    with pytest.raises(InvalidRule, match="is not in shadow, and has no draft"):
        promoted(rule)
