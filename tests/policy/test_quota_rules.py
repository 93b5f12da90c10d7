"""A draft is put in force."""

import pytest

from policy.errors import UnknownPart
from policy.quota_rules import promoted
from policy.rules import rule_from_json, rule_to_json
from tests.policy.objects import deny, quota


def test_a_draft_takes_the_place_of_all_that_the_limits_said_and_of_nothing_else() -> None:
    rule = quota(
        limit=None, window=None, limits=[{"limit": 1, "window": 1}], priority=4, mode="shadow",
        draft={"limit": 3, "window": 2, "burst": 9},
    )  # fmt: skip
    assert promoted(rule) == quota(limit=3, window=2, burst=9, priority=4, mode="shadow")
    several = [{"limit": 3, "window": 1}, {"limit": 9, "window": 60}]
    assert promoted(quota(burst=1, draft={"limits": several})) == rule_from_json(
        rule_to_json(quota()) | {"limit": None, "window": None, "limits": several}
    )


@pytest.mark.parametrize("rule", [quota(), quota(mode="shadow"), deny()])
def test_without_a_draft_nothing_is_promoted(rule) -> None:
    with pytest.raises(UnknownPart):
        promoted(rule)
