"""What rules that ask no counter made of a request, stage by stage."""

from collections.abc import Sequence
from typing import Any, TypeVar

from policy.attributes import text_of
from policy.derived import derive
from policy.errors import EvaluationFailed
from policy.explain.tree import DeriveStep, HeaderChange, HeadersStep, Said, Step
from policy.expression import evaluated, found_in, shown
from policy.expression.why import why_not
from policy.stages import Compiled, Derivation, Gate, Headers, Values

OfStep = TypeVar("OfStep", bound=Step)


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


def unasked(step: type[OfStep], compiled: Compiled, values: Values) -> OfStep:
    """Of one that does not match, or would be asked if nothing had decided before."""
    matches = compiled.match.test(values)
    return step(**common(compiled, values, Said.NOT_ASKED if matches else None))


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
        return unasked(DeriveStep, derivation, before)
    added: dict[str, str] = {}
    kept: list[str] = []
    failed: dict[str, str] = {}
    for name, entry, value in derivation.attributes:
        label = shown((name, entry))
        if found_in(before, (name, entry)) is not None:
            kept.append(label)
        elif (found := found_in(after, (name, entry))) is not None:
            added[label] = text_of(found)
        else:
            failed[label] = why_no_value(value, after)
    return DeriveStep(
        **common(derivation, before, Said.DERIVES), added=added, kept=tuple(kept), failed=failed
    )


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
    if not asked or not gate.match.test(values):
        return unasked(Step, gate, values)
    reason = gate.refuses(values)
    said = Said.PASSES if reason is None else Said.REFUSES
    return Step(**common(gate, values, said, reason or ""))


def headers_step(headers: Headers, values: Values, *, asked: bool) -> HeadersStep:
    if not asked or not headers.match.test(values):
        return unasked(HeadersStep, headers, values)
    return HeadersStep(
        **common(headers, values, Said.CHANGES),
        request=HeaderChange.of(headers.request),
        response=HeaderChange.of(headers.response),
    )
