"""Cases that say what an expression gives: a document of them, and how each fares.

The document is the one of tests/policy/conformance; docs/expressions.md describes it.
"""

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from policy.attributes import VOCABULARY, Value, ValueType
from policy.errors import EvaluationFailed, InvalidRule
from policy.expression import compile_expression
from policy.expression.conversions import ip_key, timestamp

REFUSED = "refused when compiled"
ABSENT = re.compile(r"lookup failed: '(.*)'")


@dataclass(frozen=True, slots=True)
class Result:
    """`what`: the value, or the kind of error; of an absent attribute with its name."""

    type: str  # "" when the expression is refused
    what: object

    def __str__(self) -> str:
        return f"{self.type} {self.what!r}" if self.type else str(self.what)


@dataclass(frozen=True, slots=True)
class Outcome:
    number: int  # from 1
    expression: str
    expected: Result
    actual: Result

    @property
    def passed(self) -> bool:
        """Python holds True, 1 and 1.0 equal; here they are not."""
        expected, actual = self.expected, self.actual
        return expected == actual and type(expected.what) is type(actual.what)


@dataclass(frozen=True, slots=True)
class Failure:
    """An evaluation without a value."""

    absent: str = ""

    def __repr__(self) -> str:
        return f"attribute {self.absent} is absent" if self.absent else "the evaluation fails"


def run_cases(document: Any) -> Iterator[Outcome]:
    """Raises ValueError, naming the case that cannot be read."""
    for number, case in enumerate(listed(document), 1):
        try:
            vocabulary = vocabulary_of(case, document)
            bag = {name: value_of(item) for name, item in case.get("input", {}).items()}
            expected = expected_of(case)
            text = str(case["expression"])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"case {number} cannot be read: {error!r}") from error
        actual = result(text, vocabulary, bag)
        if case.get("expect_result", {}).get("t") == "IP_ADDRESS":
            actual = of_address(actual)
        yield Outcome(number, text, expected, actual)


def listed(document: Any) -> list[Any]:
    cases = document.get("cases") if isinstance(document, dict) else None
    if isinstance(cases, list) and all(isinstance(case, dict) for case in cases):
        return cases
    raise ValueError('expected an object with a list of objects "cases"')


def vocabulary_of(case: Mapping[str, Any], document: Mapping[str, Any]) -> Mapping[str, ValueType]:
    """The case's own, by its name in the document, or the one that rules have."""
    if "vocabulary" not in case:
        return VOCABULARY
    named = document["vocabularies"][case["vocabulary"]]
    return {name: ValueType(kind) for name, kind in named.items()}


def result(text: str, vocabulary: Mapping[str, ValueType], bag: Mapping[str, Value]) -> Result:
    try:
        expression = compile_expression(text, vocabulary)
    except InvalidRule:
        return Result("", REFUSED)
    try:
        value = expression.evaluate(bag)
    except EvaluationFailed as error:
        return Result(expression.type, Failure(error.absent))
    return Result(expression.type, dict(value) if isinstance(value, Mapping) else value)


def of_address(result: Result) -> Result:
    """With an IPv4 address in its four bytes, of which Mixer and its cases have two forms."""
    return replace(result, what=ip_key(result.what)) if isinstance(result.what, bytes) else result


def expected_of(case: Mapping[str, Any]) -> Result:
    if "expect_compile_error" in case:
        return Result("", REFUSED)
    kind = ValueType(case["expect_type"])
    if "expect_result" in case:
        return Result(kind, value_of(case["expect_result"]))
    absent = ABSENT.match(case["expect_eval_error_prefix"])
    return Result(kind, Failure(absent.group(1) if absent else ""))


def value_of(item: Mapping[str, Any]) -> Any:
    """A value written as its type and text."""
    kind, value = item["t"], item.get("v")
    match kind:
        case "STRING" | "BOOL" | "INT64":
            return value
        case "DOUBLE":
            return float(item["v"])
        case "TIMESTAMP":
            return timestamp(item["v"])
        case "DURATION_NS":
            return timedelta(microseconds=item["v"] / 1000)
        case "BYTES":
            return bytes.fromhex(item["v"])
        case "IP_ADDRESS":
            return ipaddress.ip_address(item["v"]).packed
        case "STRING_MAP" if "go_text" in item:  # key:value, a space between two
            return dict(entry.split(":", 1) for entry in item["go_text"].split())
        case "STRING_MAP":
            return dict(item["v"])
        case _ if kind.lower().startswith("int"):  # Go's int, which is of none of the types
            return int(item["v"])
    raise ValueError(f"there is no type {kind}")
