"""A snapshot that was changed bit by bit is the one that would be made anew."""

import gc
import weakref
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.expression import compile_dimension, compile_match
from policy.kinds import AnyRule
from policy.lists import HeldLists
from policy.rules import rule_from_json
from policy.snapshot import compile_rule, compile_rules, compile_snapshot
from tests.policy.small_sets import ACTIONS, NAMES, RULES, shown

STEPS = st.lists(
    st.tuples(st.lists(RULES, max_size=3), st.sets(st.sampled_from(NAMES), max_size=2)),
    max_size=6,
)


@given(STEPS)
def test_a_changed_snapshot_is_as_one_made_anew(steps) -> None:
    present: dict[str, AnyRule] = {}
    snapshot = compile_snapshot([], 0)
    for version, (new, gone) in enumerate(steps, 1):
        shown(snapshot)  # so that all destinations were met
        changes = {rule.name: rule for rule in new}
        gone -= changes.keys()
        present = {name: rule for name, rule in (present | changes).items() if name not in gone}
        compiled = compile_rules(changes.values(), HeldLists(), snapshot)
        before = shown(snapshot)
        changed = snapshot.changed(version, compiled | dict.fromkeys(gone))
        anew = compile_snapshot(present.values(), version)
        assert shown(changed) == shown(anew)
        assert changed.rules.keys() == anew.rules.keys()
        assert changed.version == version
        assert shown(snapshot) == before
        snapshot = changed


@pytest.fixture
def no_collector_of_cycles() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize(
    "action",
    [
        *ACTIONS,
        {
            "kind": "quota", "limit": 2, "window": 1, "cost": "request.size | 1",
            "dimensions": ["source.service"], "draft": {"limit": 1, "window": 1},
            "overrides": [{"name": "o", "when": {"source.service": "a*"}, "unlimited": True}],
        },
        {"kind": "list", "type": "deny", "value": "source.user", "entries": ["ann"]},
        {"kind": "authorization", "allow": [{"paths": ["/a/*"]}]},
    ],
    ids=lambda action: f"{action['kind']}-{len(action)}",
)  # fmt: skip
def test_a_rule_that_is_dropped_is_freed_at_once(no_collector_of_cycles, action) -> None:
    """Large sets are kept from the collector of cycles: what is one would never be freed."""
    match = 'source.service == "gone" && request.path.matches("^/x")'
    rule = rule_from_json({"name": "a", "match": match, **action})
    compiled = compile_rule(rule, HeldLists())
    parts = weakref.ref(compiled.match.test), weakref.ref(rule)
    del rule, compiled
    compile_match.cache_clear()
    compile_dimension.cache_clear()
    assert [part() for part in parts] == [None, None]
