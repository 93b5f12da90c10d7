"""A typed tree to a Python function over the bag's mapping.

An absent attribute raises KeyError in the generated code, which the function's own handler turns
into "does not match"; `&&`, `||` and `|` are Python's short circuits. Names and literals enter the
text through `repr` or as bound constants only.
"""

import ipaddress
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

import re2

from policy.attributes import ValueType
from policy.expression.typed import Apply, Attribute, Const, Lookup, Refuse, Typed

# What a value of another type than the vocabulary's may raise: an evaluation error, no match.
FAULTS = (KeyError, TypeError, AttributeError, ValueError)
REGEX_BYTES = 1 << 20  # of memory for one compiled regular expression


def absent_or(value: Callable[[], Any]) -> Any:
    try:
        return value()
    except KeyError:
        return None


def glob(text: str, pattern: str) -> bool:
    """Mixer's match: `p*` a prefix, `*p` a suffix, else equal."""
    if pattern.endswith("*"):
        return text.startswith(pattern[:-1])
    return text.endswith(pattern[1:]) if pattern.startswith("*") else text == pattern


def address(packed: bytes) -> bytes:
    """Four bytes for an IPv4 address in either form."""
    mapped = ipaddress.IPv6Address(packed).ipv4_mapped if len(packed) == 16 else None
    return mapped.packed if mapped else packed


class Generator:
    """Builds one function. `refuse` makes the error for a fault in the text."""

    def __init__(self, refuse: Refuse) -> None:
        self._refuse = refuse
        self._names = count()
        self._bound: dict[str, Any] = {
            "FAULTS": FAULTS, "EMPTY": {}, "absent_or": absent_or, "glob": glob, "address": address,
        }  # fmt: skip

    def function(self, tree: Typed, otherwise: object) -> Callable[[Mapping[str, Any]], Any]:
        """Answers `otherwise` when the evaluation fails."""
        source = (
            "def evaluate(bag):\n"
            f"    try:\n        return {self._value(tree)}\n"
            f"    except FAULTS:\n        return {otherwise!r}\n"
        )
        exec(compile(source, "<rule>", "exec"), self._bound)  # noqa: S102  # the point of it
        evaluate: Callable[[Mapping[str, Any]], Any] = self._bound["evaluate"]
        return evaluate

    def _constant(self, value: object) -> str:
        if isinstance(value, str | int | float):
            return repr(value)
        name = f"c{next(self._names)}"
        self._bound[name] = value
        return name

    def _value(self, node: Typed) -> str:
        """Code that raises KeyError when what it needs is absent."""
        match node:
            case Const(value):
                return self._constant(value)
            case Attribute(name):
                return f"bag[{name!r}]"
            case Lookup(of, key):
                return f"bag[{of.name!r}].get({self._value(key)}, '')"
            case Apply("&&", operands):
                return "(" + " and ".join(map(self._value, operands)) + ")"
            case Apply("||", operands):
                return "(" + " or ".join(map(self._value, operands)) + ")"
            case Apply("!", (operand,)):
                return f"(not {self._value(operand)})"
            case Apply("|", operands):
                return self._first_present(operands, self._value(operands[-1]))
            case Apply("conditional", (test, yes, no)):
                return f"({self._value(yes)} if {self._value(test)} else {self._value(no)})"
            case Apply("match", (text, Const(str() as pattern))):
                return self._glob(self._value(text), pattern)
            case Apply("match", (text, pattern)):
                return f"glob({self._value(text)}, {self._value(pattern)})"
            case Apply("startsWith", (text, part)):
                return f"{self._value(text)}.startswith({self._value(part)})"
            case Apply("endsWith", (text, part)):
                return f"{self._value(text)}.endswith({self._value(part)})"
            case Apply("matches"):
                return self._regex(node)
            case Apply(operator, (left, right)):
                sides = [self._value(left), self._value(right)]
                if left.type is ValueType.IP_ADDRESS:
                    sides = [f"address({side})" for side in sides]
                return f"({sides[0]} {operator} {sides[1]})"
        raise AssertionError(f"no code for {node}")

    def _optional(self, node: Typed) -> str:
        """Code that gives None when what it needs is absent."""
        match node:
            case Const(value):
                return self._constant(value)
            case Attribute(name):
                return f"bag.get({name!r})"
            case Lookup(of, Const(key)):
                return f"bag.get({of.name!r}, EMPTY).get({key!r})"
            case Lookup(of, key):
                return f"absent_or(lambda: bag[{of.name!r}].get({self._value(key)}))"
            case _:
                return f"absent_or(lambda: {self._value(node)})"

    def _first_present(self, operands: tuple[Typed, ...], last: str) -> str:
        code = []
        for operand in operands[:-1]:
            name = f"v{next(self._names)}"
            code.append(f"{name} if ({name} := {self._optional(operand)}) is not None else ")
        return "(" + "".join(code) + last + ")"

    def _glob(self, text: str, pattern: str) -> str:
        if pattern.endswith("*"):
            return f"{text}.startswith({pattern[:-1]!r})"
        if pattern.startswith("*"):
            return f"{text}.endswith({pattern[1:]!r})"
        return f"({text} == {pattern!r})"

    def _regex(self, call: Apply) -> str:
        """Mixer writes `"regex".matches(text)`, CEL `text.matches("regex")`: the literal is it."""
        receiver, argument = call.operands
        pattern, text = (
            (receiver, argument) if isinstance(receiver, Const) else (argument, receiver)
        )
        if not isinstance(pattern, Const):
            raise self._refuse(call.at, "one side of matches must be a literal: the expression")
        options = re2.Options()
        options.log_errors = False
        options.max_mem = REGEX_BYTES
        try:
            search = re2.compile(str(pattern.value), options).search
        except re2.error as error:
            reason = error.args[0] if error.args else error
            reason = reason.decode(errors="replace") if isinstance(reason, bytes) else reason
            raise self._refuse(pattern.at, f"not a regular expression of RE2: {reason}") from error
        return f"({self._constant(search)}({self._value(text)}) is not None)"
