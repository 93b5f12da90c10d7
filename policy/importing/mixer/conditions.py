"""When a rule of Mixer's applies, as a match.

The rules of the default configuration namespace are for all requests; those of another one for
requests to it and, where the caller's sidecar asks, from it.
"""

from policy.attributes import ValueType
from policy.errors import InvalidRule
from policy.expression import compile_expression, compile_match
from policy.expression.nodes import Operation
from policy.expression.syntax import parse
from policy.importing.places import Place, Refused
from policy.importing.writing import literal

CONFIG_NAMESPACE = "istio-system"
CLUSTER_DOMAIN = ".svc.cluster.local"
OUTBOUND = '(context.reporter.kind | "inbound") == "outbound"'


def in_namespace(namespace: str) -> str:
    """ "" for the default configuration namespace."""
    if namespace == CONFIG_NAMESPACE:
        return ""
    side = f"conditional({OUTBOUND}, source.namespace, destination.namespace)"
    return f"{side} == {literal(namespace)}"


def match_of(place: Place | None) -> str:
    """ "" for all. Raises Refused."""
    text = place.text() if place else ""
    if place is None or text.strip() in ("", "true"):
        return ""
    try:
        compile_match(text)
    except InvalidRule as error:
        raise Refused(place, fault_of(error)) from error
    note_cluster_names(place, text)
    return text


def expression_of(place: Place, *types: ValueType) -> str:
    """Of one of these types; of any where none is given. Raises Refused."""
    text = place.text()
    try:
        found = compile_expression(text).type
    except InvalidRule as error:
        raise Refused(place, fault_of(error)) from error
    if types and found not in types:
        raise Refused(place, f"the expression is {found}, expected {' or '.join(types)}")
    note_cluster_names(place, text)
    return text


def fault_of(error: InvalidRule) -> str:
    at = f" (line {error.line}, column {error.column} of it)" if error.line else ""
    return error.reason + at


def note_cluster_names(place: Place, text: str) -> None:
    if CLUSTER_DOMAIN in text:
        place.changed(
            f"names ending with {CLUSTER_DOMAIN} are told by Istio only; Envoy's protocols tell"
            " services here as name.namespace"
        )


def joined(*conditions: str) -> str:
    """All of them; empty ones are true."""
    return " && ".join(
        f"({condition})" if is_either(condition) else condition
        for condition in conditions
        if condition
    )


def either(conditions: list[str]) -> str:
    """Any of them, without those that only narrow another one. "" when one is always true."""
    unique = list(dict.fromkeys(conditions))
    wide = [
        condition
        for condition in unique
        if not any(condition.startswith(f"{other} && ") for other in unique)
    ]
    return "" if "" in unique else " || ".join(wide)


def is_either(condition: str) -> bool:
    found = parse(condition)
    return isinstance(found, Operation) and found.operator == "||"
