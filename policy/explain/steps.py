"""What rules that ask no counter made of a request, stage by stage."""

from collections.abc import Mapping, Sequence
from typing import Any

from policy.attributes import Value, text_of
from policy.derived import derive
from policy.errors import EvaluationFailed
from policy.explain.tree import DeriveStep, HeaderChange, HeadersStep, Said, Step
from policy.expression import evaluated
from policy.expression.reading import shown
from policy.expression.why import why_not
from policy.stages import Compiled, Derivation, Gate, Headers, Values


def common(
    compiled: Compiled, values: Values, said: Said | None, reason: str = ""
) -> dict[str, Any]:
    """What every step has. None: the rule does not match."""
    rule = compiled.rule
    return {
        "rule": rule.name,
        "version": rule.version,
        "kind": rule.kind,
        "mode": str(rule.mode),
        "priority": rule.priority,
        "said": Said.NOT_MATCHED if said is None else said,
        "reason": reason,
        "why_not": why_not(compiled.match.text, values) if said is None else None,
        "read": compiled.recorded(values),
    }


def derived_by(
    derivations: Sequence[Derivation], values: Values
) -> tuple[list[DeriveStep], Values]:
    """Each with what it added, and the attributes after all of them."""
    steps = []
    for derivation in derivations:
        after = derive([derivation], values)
        steps.append(derive_step(derivation, values, after))
        values = after
    return steps, values


def derive_step(derivation: Derivation, before: Values, after: Values) -> DeriveStep:
    if not derivation.match.test(before):
        return DeriveStep(**common(derivation, before, None))
    added: dict[str, str] = {}
    kept: list[str] = []
    failed: dict[str, str] = {}
    for name, entry, value in derivation.attributes:
        label = shown((name, entry))
        if held(before, name, entry) is not None:
            kept.append(label)
        elif (found := held(after, name, entry)) is not None:
            added[label] = text_of(found)
        else:
            failed[label] = why_no_value(value, after)
    return DeriveStep(
        **common(derivation, before, Said.DERIVES), added=added, kept=tuple(kept), failed=failed
    )


def held(values: Values, name: str, entry: str | None) -> Value | None:
    value = values.get(name)
    if entry is None:
        return value
    return value.get(entry) if isinstance(value, Mapping) else None


def why_no_value(value: Any, values: Values) -> str:
    try:
        evaluated(value, values)
    except EvaluationFailed as error:
        return str(error)
    return "what it needs is derived later"


def gate_steps(gates: Sequence[Gate], values: Values) -> tuple[list[Step], bool]:
    """In order, and whether one of them refused: those that come after it are not asked."""
    steps, refused = [], False
    for gate in gates:
        step = gate_step(gate, values, asked=not refused)
        refused = refused or step.said is Said.REFUSES
        steps.append(step)
    return steps, refused


def gate_step(gate: Gate, values: Values, *, asked: bool = True) -> Step:
    if not gate.match.test(values):
        return Step(**common(gate, values, None))
    if not asked:
        return Step(**common(gate, values, Said.NOT_ASKED))
    reason = gate.refuses(values)
    said = Said.PASSES if reason is None else Said.REFUSES
    return Step(**common(gate, values, said, reason or ""))


def headers_step(headers: Headers, values: Values, *, asked: bool) -> HeadersStep:
    if not headers.match.test(values):
        return HeadersStep(**common(headers, values, None))
    said = Said.CHANGES if asked else Said.NOT_ASKED
    return HeadersStep(
        **common(headers, values, said),
        request=HeaderChange.of(headers.request),
        response=HeaderChange.of(headers.response),
    )
