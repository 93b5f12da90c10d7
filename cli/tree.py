"""The tree of a decision, as lines for a terminal: what POST /api/v1/evaluate answers."""

from collections.abc import Iterator
from typing import Any

US = 1_000_000
STAGES = {
    "derivations": "derived first",
    "gates": "gates, in order",
    "quotas": "quotas, charged together",
    "headers": "headers",
    "shadow": "in shadow, decides nothing",
}


def tree_lines(tree: dict[str, Any]) -> Iterator[str]:
    yield from decision_lines(tree["decision"], tree["snapshot_version"])
    yield "the request"
    for name, value in tree["attributes"].items():
        yield f"  {name} = {value}"
    for stage, title in STAGES.items():
        if tree[stage]:
            yield title
        for step in tree[stage]:
            yield from step_lines(step)
    if tree["left_out"]:
        yield f"not matched, and not listed: {tree['left_out']} more"
    elsewhere = tree["elsewhere"]
    if elsewhere["count"]:
        yield f"not asked, for other destinations: {elsewhere['count']}"
    for name, destination in elsewhere["rules"].items():
        yield f"  {name}: {destination}"


def decision_lines(decision: dict[str, Any], snapshot_version: int) -> Iterator[str]:
    answer = "allowed" if decision["allowed"] else f"denied with {decision['http_status']}"
    rule = decision["rule"]
    by = f" by {rule}@{decision['rule_version']}" if rule else ", no rule decided"
    reason = f": {decision['reason']}" if decision["reason"] else ""
    yield f"{answer}{by} ({decision['decided_by']}){reason}; rules of version {snapshot_version}"


def step_lines(step: dict[str, Any]) -> Iterator[str]:
    said = f"{step['said']}: {step['reason']}" if step["reason"] else step["said"]
    yield f"  {step['rule']}@{step['version']} ({step['kind']}): {said}"
    if step["why_not"]:
        yield from failure_lines(step["why_not"], "    ")
    for name, value in step.get("added", {}).items():
        yield f"    adds {name} = {value}"
    for name in step.get("kept", []):
        yield f"    {name} is there already"
    for name, why in step.get("failed", {}).items():
        yield f"    cannot add {name}: {why}"
    if step.get("limits") or step.get("draft"):
        override = f", override {step['override']}" if step["override"] else ""
        yield f"    key {step['key'] or '(one for all)'}{override}"
    for counter in step.get("limits", []):
        yield f"    {counter_line(counter)}"
    for counter in step.get("draft", []):
        yield f"    draft: {counter_line(counter)}"
    for side in ("request", "response"):
        for change in step.get(side, []):
            value = f" = {change['value']}" if change["value"] else ""
            yield f"    {side}: {change['operation']} {change['name']}{value}"


def failure_lines(failure: dict[str, Any], indent: str) -> Iterator[str]:
    at = f"line {failure['line']}, column {failure['column']}"
    yield f"{indent}{failure['term']} ({at}): {failure['reason']}"
    for name in failure["absent"]:
        yield f"{indent}  absent: {name}"
    for name in failure["near"]:
        yield f"{indent}  is it {name}?"
    for alternative in failure["alternatives"]:
        yield from failure_lines(alternative, indent + "  ")


def counter_line(counter: dict[str, Any]) -> str:
    limit = f"{counter['limit']} in {counter['window_us'] / US:g} s, {counter['algorithm']}"
    if counter["granted"] is None:
        return f"{limit}: its counter does not answer"
    left = f"{counter['before']} left, takes {counter['amount']}, then {counter['after']} left"
    refused = "" if counter["granted"] else "; refuses"
    return f"{limit}: {left}{refused}"
