"""The match language: text to a predicate, or to a value, over an attribute bag.

Source: Mixer's expression language (CEXL) as the interpreter of istio 1.3 has it; what differs is
listed in docs/expressions.md.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from policy.attributes import VOCABULARY, Value, ValueType, text_of
from policy.errors import EvaluationFailed, InvalidRule
from policy.expression.generate import FAULTS, Generator
from policy.expression.syntax import parse
from policy.expression.tokens import refused
from policy.expression.typed import Apply, Attribute, Checker, Const, Lookup, Typed

__all__ = [
    "FAULTS",
    "Dimension",
    "Equality",
    "Expression",
    "Match",
    "Reference",
    "compile_dimension",
    "compile_expression",
    "compile_match",
    "evaluated",
    "found_in",
    "recorded",
    "shown",
]

Reference = tuple[str, str | None]  # an attribute, and the key when it is a map's entry
Equality = tuple[Reference, str]  # the attribute, or entry, is this text

# Loading a changed set of rules reads them all, and nearly all of them are known.
KEPT = 32_768


@dataclass(frozen=True, slots=True)
class Match:
    text: str
    test: Callable[[Mapping[str, Value]], bool]
    reads: tuple[Reference, ...]  # every attribute it may read
    service: str | None  # matches only requests with this destination.service
    equals: tuple[Equality, ...] = ()  # and only those of which all of these are so


@dataclass(frozen=True, slots=True)
class Dimension:
    """A value a quota is counted by, as text; "" when an attribute it needs is absent."""

    text: str
    value: Callable[[Mapping[str, Value]], Value]
    reads: tuple[Reference, ...]

    def read(self, bag: Mapping[str, Value]) -> str:
        value = self.value(bag)
        return value if isinstance(value, str) else text_of(value)


@dataclass(frozen=True, slots=True)
class Expression:
    """Any value, of any type, over any vocabulary; for those who must know why there is none."""

    text: str
    type: ValueType
    value: Callable[[Mapping[str, Value]], Value]
    reads: tuple[Reference, ...]

    def evaluate(self, bag: Mapping[str, Value]) -> Value:
        """Raises EvaluationFailed."""
        return evaluated(self.value, bag)


def evaluated(value: Callable[[Mapping[str, Value]], Value], bag: Mapping[str, Value]) -> Value:
    """What an expression's `value` gives for this bag. Raises EvaluationFailed."""
    try:
        return value(bag)
    except KeyError as error:
        name = str(error.args[0])
        raise EvaluationFailed(f"attribute {name} is absent", name) from error
    except ValueError as error:
        raise EvaluationFailed(str(error)) from error
    except FAULTS as error:
        raise EvaluationFailed(f"a value is not of its attribute's type: {error}") from error


@lru_cache(maxsize=KEPT)
def compile_match(text: str) -> Match:
    """The empty text matches everything. Raises InvalidRule with line and column."""
    if not text.strip():
        return Match(text, lambda _bag: True, (), None)
    tree, generator = checked(text)
    if tree.type is not ValueType.BOOL:
        raise refused(text, tree.at, f"the expression is {tree.type}, expected {ValueType.BOOL}")
    test = generator.function(tree, otherwise=False)
    return Match(text, test, tuple(dict.fromkeys(references(tree))), service_of(tree), equals(tree))


@lru_cache(maxsize=KEPT)
def compile_dimension(text: str) -> Dimension:
    """Raises InvalidRule with line and column."""
    tree, generator = checked(text)
    if tree.type is ValueType.STRING_MAP:
        raise refused(text, tree.at, "a whole map cannot be counted by; name an entry with [ ]")
    value = generator.function(tree, otherwise="")
    return Dimension(text, value, tuple(dict.fromkeys(references(tree))))


def compile_expression(text: str, vocabulary: Mapping[str, ValueType] = VOCABULARY) -> Expression:
    """Raises InvalidRule with line and column."""
    tree, generator = checked(text, vocabulary)
    reads = tuple(dict.fromkeys(references(tree)))
    return Expression(text, tree.type, generator.raising(tree), reads)


def checked(text: str, vocabulary: Mapping[str, ValueType] = VOCABULARY) -> tuple[Typed, Generator]:
    def refuse(at: int, reason: str) -> InvalidRule:
        return refused(text, at, reason)

    tree = Checker(vocabulary, refuse).typed(parse(text))
    return tree, Generator(refuse)


def references(tree: Typed, entry: str | None = None) -> Iterator[Reference]:
    """`entry`: the key that is looked up in the map this tree gives."""
    match tree:
        case Attribute(name):
            yield name, entry if tree.type is ValueType.STRING_MAP else None
        case Lookup(of, key):
            literal = key.value if isinstance(key, Const) else None
            yield from references(of, literal if isinstance(literal, str) else None)
            yield from references(key)
        case Apply(_, operands):
            for operand in operands:
                yield from references(operand, entry)
        case Const():
            return


def service_of(tree: Typed) -> str | None:
    """The literal of a top conjunct `destination.service == "..."`: what rules are indexed by."""
    match tree:
        case Apply("&&", operands):
            return next(filter(None, map(service_of, operands)), None)
        case Apply("==", (Attribute("destination.service"), Const(str() as service))):
            return service
        case Apply("==", (Const(str() as service), Attribute("destination.service"))):
            return service
    return None


def equals(tree: Typed) -> tuple[Equality, ...]:
    """The top conjuncts that say which text an attribute, or an entry of a map, is."""
    match tree:
        case Apply("&&", operands):
            return tuple(found for operand in operands for found in equals(operand))
        case Apply("==", (Const(str() as text, ValueType.STRING), named)):
            pass
        case Apply("==", (named, Const(str() as text, ValueType.STRING))):
            pass
        case _:
            return ()
    match named:
        case Attribute(name, ValueType.STRING):
            return (((name, None), text),)
        case Lookup(Attribute(name), Const(str() as key)) if text:  # an absent entry is ""
            return (((name, key), text),)
    return ()


def found_in(bag: Mapping[str, Any], reference: Reference) -> Any | None:
    """What the reference names; None when it is not there."""
    name, key = reference
    value = bag.get(name)
    if key is None:
        return value
    return value.get(key) if isinstance(value, Mapping) else None


def recorded(references: tuple[Reference, ...], bag: Mapping[str, Any]) -> dict[str, str]:
    """What these references found, written for a decision record.

    Written out, without `found_in` and `shown`: nearly every decision asks this.
    """
    found: dict[str, str] = {}
    for name, key in references:
        value = bag.get(name)
        if value is None:
            continue
        if key is None:
            found[name] = text_of(value)
        elif isinstance(value, Mapping) and (entry := value.get(key)) is not None:
            found[f"{name}[{key}]"] = entry
    return found


def shown(reference: Reference) -> str:
    """As decision records name it."""
    name, key = reference
    return name if key is None else f"{name}[{key}]"
