"""Small rule sets that touch one another, and all that a snapshot of one may be asked."""

from typing import Any

from hypothesis import strategies as st

from policy.engine import Engine
from policy.kinds import AnyRule
from policy.quota.memory import MemoryCounters
from policy.rules import rule_from_json
from policy.snapshot import Snapshot
from tests.policy.deciding import NOON_US, ask

NAMES = "abcdef"
SERVICES = ("x", "y", "z")
MATCHES = ("", *(f'destination.service == "{service}"' for service in SERVICES))
ACTIONS: tuple[dict[str, Any], ...] = (
    {"kind": "deny"},
    {"kind": "quota", "limit": 2, "window": 1},
    {"kind": "derive", "attributes": {"derived[a]": '"b"'}},
    {"kind": "headers", "request": [{"operation": "remove", "name": "x-a"}]},
)
RULES = st.builds(
    lambda name, match, action, mode, priority: rule_from_json(
        {"name": name, "match": match, "mode": mode, "priority": priority, **action}
    ),
    st.sampled_from(NAMES),
    st.sampled_from(MATCHES),
    st.sampled_from(ACTIONS),
    st.sampled_from(["enabled", "shadow", "disabled"]),
    st.integers(0, 2),
)


def shown(snapshot: Snapshot) -> list[tuple[str, list[list[AnyRule]]]]:
    """What may be asked about each destination, stage by stage, in order."""
    found = map(snapshot.candidates, (None, *SERVICES, "none", 7, []))
    return [
        (destination, [[compiled.rule for compiled in stage] for stage in stages])
        for destination, *stages, _by_values in found
    ]


def decisions(snapshot: Snapshot) -> list[dict[str, Any]]:
    """Of a check to each destination, with counters of their own, but for the decisions' ids."""
    engine = Engine(MemoryCounters(lambda: NOON_US), snapshot)
    bags = ({"destination.service": service} for service in SERVICES * 3)
    answers = [ask(engine, bag)._asdict() for bag in bags]
    return [answer | {"id": "", "lease": ""} for answer in answers]
