"""A syntax tree to a typed tree, checked against the attribute vocabulary.

Types are strict, as in Mixer: no conversions, both sides of an operator of one type.
"""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from policy.attributes import ValueType
from policy.errors import InvalidRule
from policy.expression.conversions import KEYS
from policy.expression.functions import FUNCTIONS, Form
from policy.expression.nodes import Call, Index, Listing, Literal, Name, Node, Operation

BOOL, STRING = ValueType.BOOL, ValueType.STRING
ORDERED = (STRING, ValueType.INT64, ValueType.DOUBLE, ValueType.TIMESTAMP, ValueType.DURATION)
EQUAL = (*ORDERED, BOOL, *KEYS)
ADDED = (STRING, ValueType.INT64, ValueType.DOUBLE)
ALLOWED: Mapping[str, tuple[ValueType, ...]] = {"==": EQUAL, "!=": EQUAL, "+": ADDED}
LITERALS = {
    bool: BOOL,
    str: STRING,
    int: ValueType.INT64,
    float: ValueType.DOUBLE,
    timedelta: ValueType.DURATION,
}


@dataclass(frozen=True, slots=True)
class Const:
    value: object
    type: ValueType
    at: int


@dataclass(frozen=True, slots=True)
class Attribute:
    name: str
    type: ValueType
    at: int


@dataclass(frozen=True, slots=True)
class Lookup:
    """An entry of a string map."""

    map: "Typed"
    key: "Typed"
    type: ValueType
    at: int


@dataclass(frozen=True, slots=True)
class Apply:
    """An operator or a function; a method's receiver is its first operand."""

    name: str
    operands: tuple["Typed", ...]
    type: ValueType
    at: int


Typed = Const | Attribute | Lookup | Apply
Refuse = Callable[[int, str], InvalidRule]


def described(node: Typed) -> str:
    match node:
        case Const():
            return f"the literal is {node.type}"
        case Attribute():
            return f"attribute {node.name} is {node.type}"
        case Lookup():
            return f"an entry of a map is {node.type}"
        case _:
            return f"{node.name} is {node.type}"


class Checker:
    def __init__(self, vocabulary: Mapping[str, ValueType], refuse: Refuse) -> None:
        self._vocabulary = vocabulary
        self._refuse = refuse

    def typed(self, node: Node) -> Typed:
        """Raises what `refuse` makes."""
        match node:
            case Literal(value, at):
                return Const(value, LITERALS[type(value)], at)
            case Name(name, at):
                return Attribute(name, self._type_of(name, at), at)
            case Index(target, key, at):
                return self._lookup(target, key, at)
            case Listing(at=at):
                raise self._refuse(at, "a list stands right of in only")
            case Operation("in", (item, container), at):
                return self._membership(item, container, at)
            case Operation(operator, operands, at):
                return self._operation(operator, tuple(map(self.typed, operands)), at)
            case Call():
                return self._call(node)

    def _type_of(self, name: str, at: int) -> ValueType:
        kind = self._vocabulary.get(name)
        if kind is None:
            near = difflib.get_close_matches(name, self._vocabulary, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise self._refuse(at, f"unknown attribute {name}{hint}")
        return kind

    def _lookup(self, target: Node, key: Node, at: int, place: str = "before [") -> Typed:
        of = self.typed(target)
        if of.type is not ValueType.STRING_MAP:
            raise self._refuse(of.at, f"{described(of)}, expected {ValueType.STRING_MAP} {place}")
        return Lookup(of, self._must_be(self.typed(key), STRING), STRING, at)

    def _membership(self, item: Node, container: Node, at: int) -> Typed:
        if not isinstance(container, Listing):
            return Apply("in", (self._lookup(container, item, at, "or a list after in"),), BOOL, at)
        member = self.typed(item)
        if member.type not in EQUAL:
            raise self._refuse(member.at, f"{described(member)}, in needs {', '.join(EQUAL)}")
        values = []
        for node in container.items:
            value = self._must_be(self.typed(node), member.type)
            if not isinstance(value, Const):
                raise self._refuse(value.at, "a list is of literals")
            values.append(value.value)
        return Apply("in", (member, Const(tuple(values), member.type, at)), BOOL, at)

    def _must_be(self, node: Typed, expected: ValueType) -> Typed:
        if node.type is not expected:
            hint = ""
            if expected is STRING and node.type is ValueType.DURATION and isinstance(node, Const):
                hint = "; a text that reads as a duration is one unless in single quotes"
            raise self._refuse(node.at, f"{described(node)}, expected {expected}{hint}")
        return node

    def _operation(self, operator: str, operands: tuple[Typed, ...], at: int) -> Typed:
        if operator in ("&&", "||", "!"):
            for operand in operands:
                self._must_be(operand, BOOL)
            return Apply(operator, operands, BOOL, at)
        first = operands[0]
        if operator != "|":
            allowed = ALLOWED.get(operator, ORDERED)
            if first.type not in allowed:
                expected = ", ".join(allowed)
                raise self._refuse(first.at, f"{described(first)}, {operator} needs {expected}")
        for operand in operands[1:]:
            self._must_be(operand, first.type)
        return Apply(operator, operands, first.type if operator in ("|", "+") else BOOL, at)

    def _call(self, call: Call) -> Typed:
        if call.function not in FUNCTIONS:
            known = ", ".join(sorted(FUNCTIONS))
            raise self._refuse(call.at, f"unknown function {call.function}; there are {known}")
        function = FUNCTIONS[call.function]
        form = Form.METHOD if call.receiver else Form.FUNCTION
        if form not in function.form:
            right = (
                f"value.{call.function}(...)" if call.receiver is None else f"{call.function}(...)"
            )
            raise self._refuse(call.at, f"write it {right}")
        nodes = call.arguments if call.receiver is None else (call.receiver, *call.arguments)
        if len(nodes) != len(function.operands):
            wanted = len(function.operands) - (form is Form.METHOD)
            raise self._refuse(
                call.at, f"{call.function} takes {wanted} arguments, not {len(call.arguments)}"
            )
        operands = tuple(map(self.typed, nodes))
        free: ValueType | None = None
        for operand, kind in zip(operands, function.operands, strict=True):
            free = free or (operand.type if kind is None else None)
            self._must_be(operand, kind or free or operand.type)
        return folded(Apply(call.function, operands, function.result or free or BOOL, call.at))


def folded(call: Apply) -> Typed:
    """A function of literals as its value. One that fails is left to fail when it is evaluated."""
    function = FUNCTIONS[call.name].call
    values = [operand.value for operand in call.operands if isinstance(operand, Const)]
    if function is None or len(values) < len(call.operands):
        return call
    try:
        return Const(function(*values), call.type, call.at)
    except ValueError:
        return call
