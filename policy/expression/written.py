"""A typed tree as text again: what it means, fully bracketed, whatever way it was written."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from policy.attributes import ValueType, duration, text_of
from policy.expression.functions import FUNCTIONS, Form
from policy.expression.typed import Apply, Attribute, Const, Lookup, Typed

MICROSECOND = timedelta(microseconds=1)


def written(node: Typed) -> str:
    """Compiles to the same tree, but for folded calls, which are their value."""
    match node:
        case Const(value):
            return literal(value, node.type)
        case Attribute(name):
            return name
        case Lookup(of, key):
            return f"{operand(of)}[{written(key)}]"
        case Apply("in", (Lookup(of, key),)):
            return f"{operand(key)} in {operand(of)}"
        case Apply("in", (member, Const(tuple() as values))):
            listed = ", ".join(literal(value, member.type) for value in values)
            return f"{operand(member)} in [{listed}]"
        case Apply("!", (negated,)):
            return f"!{operand(negated)}"
        case Apply(name, operands) if name in FUNCTIONS:
            if Form.FUNCTION in FUNCTIONS[name].form:
                return f"{name}({', '.join(map(written, operands))})"
            receiver, *arguments = operands
            return f"{operand(receiver)}.{name}({', '.join(map(written, arguments))})"
        case Apply(operator, operands):
            return f" {operator} ".join(map(operand, operands))


def operand(node: Typed) -> str:
    if isinstance(node, Apply) and node.name not in FUNCTIONS and node.name != "!":
        return f"({written(node)})"
    return written(node)


MAKERS: dict[ValueType, Callable[[Any], str]] = {
    ValueType.IP_ADDRESS: lambda value: f"ip({literal(text_of(value))})",
    ValueType.DNS_NAME: lambda value: f"dnsName({literal(value)})",
    ValueType.EMAIL_ADDRESS: lambda value: f"email({literal(value)})",
    ValueType.URI: lambda value: f"uri({literal(value)})",
    ValueType.STRING_MAP: lambda _value: "emptyStringMap()",
}


def literal(value: Any, kind: ValueType = ValueType.STRING) -> str:
    if maker := MAKERS.get(kind):
        return maker(value)
    match value:
        case str():
            # Double quotes would make a duration of it.
            return (
                json.dumps(value, ensure_ascii=False) if duration(value) is None else f"'{value}'"
            )
        case bool():
            return "true" if value else "false"
        case timedelta():
            return f'"{in_units(value)}"'
        case datetime():
            return f'timestamp("{value.isoformat()}")'
        case _:
            return repr(value)


def in_units(length: timedelta) -> str:
    micros = length // MICROSECOND
    for unit, size in (("s", 1_000_000), ("ms", 1000)):
        if micros % size == 0:
            return f"{micros // size}{unit}"
    return f"{micros}us"
