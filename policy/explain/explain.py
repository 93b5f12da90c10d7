"""The engine's own check over counters that are only looked at, and beside it every rule's part.

The decision is what `Engine.check` makes of the same bag, snapshot and counters; the steps are what
the same compiled rules say, one by one.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import TypeVar

from policy.attributes import AttributeBag, text_of
from policy.engine import Engine, matching
from policy.explain.counted import Counted
from policy.explain.looking import Looking, LookingLocally, PeekingNow, Seen
from policy.explain.steps import derived_by, gate_step, gate_steps, headers_step, unasked
from policy.explain.tree import Elsewhere, Explanation, QuotaStep, Step
from policy.quota import Counters
from policy.results import Decision
from policy.snapshot import Snapshot
from policy.stages import Compiled, Derivation, Headers, Values

MAX_UNMATCHED = 200  # listed; why one does not match takes a millisecond the first time
DEADLINE_S = 1.0  # for the counters: no request waits for this

Of = TypeVar("Of", bound=Compiled)


async def explain(
    snapshot: Snapshot,
    counters: Counters,
    local: PeekingNow,
    bag: AttributeBag,
    hits: int = 1,
    *,
    list_elsewhere: bool = False,
) -> Explanation:
    """`local`: what the engine counts with while the counters do not answer."""
    looking, locally = Looking(counters), LookingLocally(local)
    decision = Engine(looking, snapshot, locally).check(bag, hits, DEADLINE_S)
    if not isinstance(decision, Decision):
        decision = await decision
    decision = decision._replace(id="", lease="")
    seen = looking.seen | locally.seen
    return await asyncio.to_thread(tree, snapshot, bag, hits, decision, seen, list_elsewhere)


def tree(
    snapshot: Snapshot,
    bag: AttributeBag,
    hits: int,
    decision: Decision,
    seen: Mapping[str, Seen],
    list_elsewhere: bool,
) -> Explanation:
    first = snapshot.candidates(bag.values.get("destination.service"))
    derivations, values = derived_by(first.derivations, bag.values)
    found = snapshot.candidates(values.get("destination.service"))
    listed = Listed(values)
    counted = Counted(values, seen)

    gates, refused = gate_steps(listed.of(found.gates), values)
    metered, beside = listed.of(found.metered), listed.of(found.shadow_metered)
    if refused:
        quotas = [unasked(QuotaStep, each, values) for each in metered]
        shadow_quotas = [unasked(QuotaStep, each, values) for each in beside]
    else:
        quotas = counted.together(metered, matching(found.metered, values, hits))
        shadow_quotas = counted.apart(beside, matching(found.shadow_metered, values, hits))
    headers = [
        headers_step(each, values, asked=decision.allowed) for each in listed.of(found.headers)
    ]
    shadow_gates = [gate_step(gate, values) for gate in listed.of(found.shadow_gates)]
    others = elsewhere(snapshot, bag.values, values)
    here = [each for name, each in snapshot.rules.items() if name not in others]
    idle = listed.of([each for each in here if each.shadow and without_verdict(each)])
    return Explanation(
        decision,
        snapshot.version,
        written(values),
        tuple(derivations),
        tuple(gates),
        tuple(quotas),
        tuple(headers),
        (*shadow_gates, *shadow_quotas, *(unasked(Step, each, values) for each in idle)),
        Elsewhere(len(others), others if list_elsewhere else {}),
        listed.left_out,
    )


def unruled(decision: Decision, bag: AttributeBag) -> Explanation:
    """Of a request that no rule is asked about."""
    version, attributes = decision.snapshot_version, written(bag.values)
    return Explanation(decision, version, attributes, (), (), (), (), (), Elsewhere(0), 0)


def written(values: Values) -> dict[str, str]:
    return {name: text_of(values[name]) for name in sorted(values)}


class Listed:
    """Chooses which rules are listed: all that match, and so many others over all stages."""

    def __init__(self, values: Values) -> None:
        self._values = values
        self._room = MAX_UNMATCHED
        self.left_out = 0

    def of(self, rules: Sequence[Of]) -> list[Of]:
        return [rule for rule in rules if rule.match.test(self._values) or self._has_room()]

    def _has_room(self) -> bool:
        self._room -= 1
        self.left_out += self._room < 0
        return self._room >= 0


def elsewhere(snapshot: Snapshot, values: Values, derived: Values) -> dict[str, str]:
    """Rules that demand another destination, and which. What derives is asked by the one that the
    request came with."""
    came, went = (each.get("destination.service") for each in (values, derived))
    return {
        name: service
        for name, compiled in sorted(snapshot.rules.items())
        if (service := compiled.match.service) is not None
        and service != (came if isinstance(compiled, Derivation) else went)
    }


def without_verdict(compiled: Compiled) -> bool:
    """What such a rule does cannot be seen beside a decision, so that its shadow does nothing."""
    return isinstance(compiled, Derivation | Headers)
