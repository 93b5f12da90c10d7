"""Why a match does not hold for a bag: the term that fails, what it read, and what was absent.

A match is taken apart at its top `&&`s. Each term is compiled by itself, by the same generator, so
that the terms hold together exactly when the match does.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

from policy.attributes import Value
from policy.expression import Reference, checked, recorded, references, shown
from policy.expression.generate import FAULTS, Generator
from policy.expression.reading import absent, mistyped, near, quoted
from policy.expression.tokens import line_and_column
from policy.expression.typed import Apply, Const, Lookup, Typed
from policy.expression.written import written

KEPT = 1024  # matches taken apart


class Fault(StrEnum):
    FALSE = "false"  # it was evaluated, and does not hold
    ABSENT = "absent"  # an attribute that it needs is not there
    TYPE = "type"  # a value is not of its attribute's type
    FAILED = "failed"  # a function has no result for such a value


@dataclass(frozen=True)
class Failure:
    """A term that does not hold. `line` and `column` count from 1, and are where it begins.

    `read`: what it read, as text. `absent`: the attributes and entries it names that are not there;
    `near`: names that are there, and are written nearly so. `alternatives`: of an `||`, why each
    does not hold, as far as they were asked.
    """

    term: str
    line: int
    column: int
    fault: Fault
    reason: str
    read: Mapping[str, str]
    absent: tuple[str, ...] = ()
    near: tuple[str, ...] = ()
    alternatives: tuple["Failure", ...] = ()


class Operand(NamedTuple):
    """What a term compares, but for literals."""

    tree: Typed
    text: str
    value: Callable[[Mapping[str, Any]], Any]


class Term:
    """A part of a match that holds or not by itself."""

    def __init__(self, source: str, tree: Typed, generator: Generator) -> None:
        self.text = written(tree)
        self.line, self.column = line_and_column(source, min(places(tree)))
        self.reads: tuple[Reference, ...] = tuple(dict.fromkeys(references(tree)))
        self.texts = tuple(dict.fromkeys(texts(tree)))  # its literals
        self._source = source
        self._tree = tree
        self._generator = generator
        self._evaluate = generator.raising(tree)

    def failure(self, bag: Mapping[str, Value]) -> Failure | None:
        """None when it holds."""
        fault = self.fault(bag)
        if fault is None:
            return None
        kind, reason = fault
        return self._failed(bag, kind, reason or self._why_false(bag))

    def fault(self, bag: Mapping[str, Value]) -> tuple[Fault, str] | None:
        """None when it holds; with a reason unless it is just false."""
        try:
            return None if self._evaluate(bag) else (Fault.FALSE, "")
        except KeyError as error:
            return Fault.ABSENT, f"{error.args[0]} is absent"
        except ValueError as error:
            return Fault.FAILED, str(error)
        except FAULTS as error:
            return Fault.TYPE, mistyped(self.reads, bag) or str(error)

    def _why_false(self, bag: Mapping[str, Value]) -> str:
        match self._tree:
            case Apply("||"):
                return f"none of its {len(self._alternatives)} alternatives holds"
            case Apply("!", (negated,)):
                return f"{written(negated)} holds, and is negated"
        found = [told for operand in self._operands if (told := read_by(operand, bag))]
        return " and ".join(found) or "it never holds"

    def _failed(self, bag: Mapping[str, Value], fault: Fault, reason: str) -> Failure:
        missing = tuple(absent(self.reads, bag))
        return Failure(
            self.text,
            self.line,
            self.column,
            fault,
            reason,
            recorded(self.reads, bag),
            tuple(shown(reference) for reference in missing),
            tuple(dict.fromkeys(shown(name) for each in missing for name in near(each, bag))),
            tuple(self._asked(bag)),
        )

    def _asked(self, bag: Mapping[str, Value]) -> Iterator[Failure]:
        """A fault ends the whole match: what stands right of it is not asked."""
        for alternative in self._alternatives:
            failure = alternative.failure(bag)
            if failure is None:
                return
            yield failure
            if failure.fault is not Fault.FALSE:
                return

    @cached_property
    def _alternatives(self) -> tuple["Term", ...]:
        if not isinstance(self._tree, Apply) or self._tree.name != "||":
            return ()
        trees = chained("||", self._tree)
        return tuple(Term(self._source, tree, self._generator) for tree in trees)

    @cached_property
    def _operands(self) -> list[Operand]:
        match self._tree:
            case Apply("in", (Lookup(),)):
                trees: tuple[Typed, ...] = (self._tree.operands[0],)
            case Apply(_, operands):
                trees = operands
            case _:
                trees = (self._tree,)
        return [
            Operand(tree, written(tree), self._generator.raising(tree))
            for tree in trees
            if not isinstance(tree, Const)
        ]


@lru_cache(maxsize=KEPT)
def terms_of(text: str) -> tuple[Term, ...]:
    """All of them hold exactly when the match does. None for the empty match, which always does."""
    if not text.strip():
        return ()
    tree, generator = checked(text)
    return tuple(Term(text, term, generator) for term in chained("&&", tree))


def why_not(text: str, bag: Mapping[str, Value]) -> Failure | None:
    """Of a match that can be compiled; None when it holds."""
    return next((failure for term in terms_of(text) if (failure := term.failure(bag))), None)


def read_by(operand: Operand, bag: Mapping[str, Value]) -> str:
    """ "" for a branch that is not taken, which may have no value."""
    try:
        value = operand.value(bag)
    except FAULTS:
        return ""
    for name, key in absent(tuple(references(operand.tree)), bag):
        if key is not None and isinstance(operand.tree, Lookup):
            return f"{name} has no {key}"
    return f"{operand.text} is {quoted(value)}"


def texts(tree: Typed) -> Iterator[str]:
    """The literal texts that values are compared with; keys of maps are none."""
    match tree:
        case Const(str() as value):
            yield value
        case Const(tuple() as values):
            yield from (value for value in values if isinstance(value, str))
        case Apply("in", (Lookup(),)):
            return
        case Apply(_, operands):
            for each in operands:
                yield from texts(each)


def chained(operator: str, tree: Typed) -> Iterator[Typed]:
    if isinstance(tree, Apply) and tree.name == operator:
        for each in tree.operands:
            yield from chained(operator, each)
    else:
        yield tree


def places(tree: Typed) -> Iterator[int]:
    yield tree.at
    match tree:
        case Lookup(of, key):
            yield from places(of)
            yield from places(key)
        case Apply(_, operands):
            for each in operands:
                yield from places(each)
