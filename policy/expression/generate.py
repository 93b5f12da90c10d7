"""A typed tree to a Python function over the bag's mapping.

An absent attribute raises KeyError in the generated code; `&&`, `||` and `|` are Python's short
circuits. Names and literals enter the text through `repr` or as bound constants only.
"""

from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

from policy.expression.conversions import KEYS
from policy.expression.functions import FUNCTIONS
from policy.expression.regex import found, searcher
from policy.expression.typed import Apply, Attribute, Const, Lookup, Refuse, Typed

# What a value of another type than the vocabulary's may raise: an evaluation error, no match.
FAULTS = (KeyError, TypeError, AttributeError, ValueError)

Evaluate = Callable[[Mapping[str, Any]], Any]


class Generator:
    """Builds one function. `refuse` makes the error for a fault in the text."""

    def __init__(self, refuse: Refuse) -> None:
        self._refuse = refuse
        self._names = count()
        self._bound: dict[str, Any] = {"FAULTS": FAULTS, "EMPTY": {}, "found": found}

    def function(self, tree: Typed, otherwise: object) -> Evaluate:
        """Answers `otherwise` when the evaluation fails."""
        return self._made(
            "def evaluate(bag):\n"
            f"    try:\n        return {self._value(tree)}\n"
            f"    except FAULTS:\n        return {otherwise!r}\n"
        )

    def raising(self, tree: Typed) -> Evaluate:
        """Raises one of FAULTS when the evaluation fails; KeyError names what is absent."""
        return self._made(f"def evaluate(bag):\n    return {self._value(tree)}\n")

    def _made(self, source: str) -> Evaluate:
        exec(compile(source, "<rule>", "exec"), self._bound)  # noqa: S102  # the point of it
        # Not bound to what holds it: a cycle would wait for the collector of cycles.
        evaluate: Evaluate = self._bound.pop("evaluate")
        return evaluate

    def _bind(self, value: object) -> str:
        name = f"c{next(self._names)}"
        self._bound[name] = value
        return name

    def _constant(self, value: object) -> str:
        return repr(value) if isinstance(value, str | int | float) else self._bind(value)

    def _value(self, node: Typed) -> str:
        """Code that raises KeyError when what it needs is absent."""
        match node:
            case Const(value):
                return self._constant(value)
            case Attribute(name):
                return f"bag[{name!r}]"
            case Lookup(of, key):
                return f"{self._value(of)}.get({self._value(key)}, '')"
            case Apply("&&", operands):
                return "(" + " and ".join(map(self._value, operands)) + ")"
            case Apply("||", operands):
                return "(" + " or ".join(map(self._value, operands)) + ")"
            case Apply("+", operands):
                return "(" + " + ".join(map(self._value, operands)) + ")"
            case Apply("!", (operand,)):
                return f"(not {self._value(operand)})"
            case Apply("|", operands):
                return self._first_present(operands, self._value)
            case Apply("in", (Lookup(of, key),)):
                return f"({self._value(of)}.get({self._value(key)}) is not None)"
            case Apply("in", (member, Const(tuple() as values))):
                key_of = KEYS.get(member.type, same)
                return f"({self._compared(member)} in {self._bind(frozenset(map(key_of, values)))})"
            case Apply(name) if name in FUNCTIONS:
                return self._call(node)
            case Apply(operator, (left, right)):
                return f"({self._compared(left)} {operator} {self._compared(right)})"
        raise AssertionError(f"no code for {node}")

    def _optional(self, node: Typed) -> str:
        """Code that gives None for an attribute or an entry that is absent.

        Only for these: where a function lacks its argument the evaluation fails, as in Mixer.
        """
        match node:
            case Attribute(name):
                return f"bag.get({name!r})"
            case Lookup(Attribute(name), Const(key)):
                return f"bag.get({name!r}, EMPTY).get({key!r})"
            case Lookup(of, key):
                map_name, key_name = f"v{next(self._names)}", f"v{next(self._names)}"
                return (
                    f"({map_name}.get({key_name})"
                    f" if ({map_name} := {self._optional(of)}) is not None"
                    f" and ({key_name} := {self._optional(key)}) is not None else None)"
                )
            case Apply("|", operands):
                return self._first_present(operands, self._optional)
        return self._value(node)

    def _first_present(self, operands: tuple[Typed, ...], last: Callable[[Typed], str]) -> str:
        code = ""
        for operand in operands[:-1]:
            if not may_be_absent(operand):
                return f"({code}{self._value(operand)})"
            name = f"v{next(self._names)}"
            code += f"{name} if ({name} := {self._optional(operand)}) is not None else "
        return f"({code}{last(operands[-1])})"

    def _compared(self, node: Typed) -> str:
        """The value itself or, for a type with an equality of its own, the key it has there."""
        key = KEYS.get(node.type)
        if key is None:
            return self._value(node)
        if isinstance(node, Const):
            return self._bind(key(node.value))
        self._bound[key.__name__] = key
        return f"{key.__name__}({self._value(node)})"

    def _call(self, node: Apply) -> str:
        match node:
            case Apply("conditional" | "conditionalString", (test, yes, no)):
                return f"({self._value(yes)} if {self._value(test)} else {self._value(no)})"
            case Apply("match", (text, Const(str() as pattern))):
                return self._glob(self._value(text), pattern)
            case Apply("startsWith", (text, part)):
                return f"{self._value(text)}.startswith({self._value(part)})"
            case Apply("endsWith", (text, part)):
                return f"{self._value(text)}.endswith({self._value(part)})"
            case Apply("toLower", (text,)):
                return f"{self._value(text)}.lower()"
            case Apply("matches", (receiver, argument)):
                return self._regex(receiver, argument)
        name = f"call_{node.name}"
        self._bound[name] = FUNCTIONS[node.name].call
        return f"{name}({', '.join(map(self._value, node.operands))})"

    def _glob(self, text: str, pattern: str) -> str:
        if pattern.endswith("*"):
            return f"{text}.startswith({pattern[:-1]!r})"
        if pattern.startswith("*"):
            return f"{text}.endswith({pattern[1:]!r})"
        return f"({text} == {pattern!r})"

    def _regex(self, receiver: Typed, argument: Typed) -> str:
        """Mixer writes `"regex".matches(text)`, CEL `text.matches("regex")`: the literal is it.

        Of two literals, or none, the receiver is, as in Mixer.
        """
        pattern, text = receiver, argument
        if isinstance(argument, Const) and not isinstance(receiver, Const):
            pattern, text = argument, receiver
        if not isinstance(pattern, Const):
            return f"found({self._value(pattern)}, {self._value(text)})"
        try:
            search = searcher(str(pattern.value))
        except ValueError as error:
            raise self._refuse(pattern.at, str(error)) from error
        return f"({self._bind(search)}({self._value(text)}.encode()) is not None)"


def same(value: Any) -> Any:
    return value


def may_be_absent(node: Typed) -> bool:
    match node:
        case Attribute() | Lookup():
            return True
        case Apply("|", operands):
            return all(map(may_be_absent, operands))
    return False
