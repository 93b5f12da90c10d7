"""Column types as text, parsed only as far as their widths are concerned.

Source: src/DataTypes/DataTypeFactory.cpp
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from embedded.store.errors import NOT_IMPLEMENTED, Broken

DEEPEST = 64  # types within types
# Bytes of one value.
WIDTHS = {
    **dict.fromkeys(["Int8", "UInt8", "Bool", "Enum8", "Nothing"], 1),
    **dict.fromkeys(["Int16", "UInt16", "Enum16", "Date", "BFloat16"], 2),
    **dict.fromkeys(["Int32", "UInt32", "Float32", "Date32", "DateTime", "Decimal32"], 4),
    **dict.fromkeys(["IPv4", "Time"], 4),
    **dict.fromkeys(["Int64", "UInt64", "Float64", "DateTime64", "Decimal64", "Time64"], 8),
    **dict.fromkeys(["Int128", "UInt128", "UUID", "IPv6", "Decimal128"], 16),
    **dict.fromkeys(["Int256", "UInt256", "Decimal256"], 32),
}
NAME_AND_ARGUMENTS = re.compile(r"(\w+)\s*(?:\((.*)\))?", re.DOTALL)
NAMED_ELEMENT = re.compile(r"(?:`(?:[^`\\]|\\.)*`|\w+)\s+(\w.*)", re.DOTALL)
DECIMAL_WIDTHS = ((9, 4), (18, 8), (38, 16), (76, 32))  # digits, bytes


@dataclass(frozen=True)
class Type:
    """A column type: its family, the bytes of a value when fixed (else 0), and its inner types."""

    family: str
    width: int = 0
    inner: tuple["Type", ...] = ()


@lru_cache(maxsize=4096)
def parse_type(text: str, depth: int = 0) -> Type:
    """Raises Broken for a type whose values cannot be told apart."""
    match = NAME_AND_ARGUMENTS.fullmatch(text.strip())
    if match is None or depth > DEEPEST:
        raise unknown(text)
    family, arguments = match[1], match[2] or ""

    def parse(inner: str) -> Type:
        return parse_type(inner, depth + 1)

    if family in WIDTHS or family.startswith("Interval"):
        return Type("Fixed", WIDTHS.get(family, 8))
    match family:
        case "String":
            return Type("String")
        case "FixedString":
            return Type("Fixed", number(arguments, text))
        case "Decimal":
            digits = number(arguments.partition(",")[0], text)
            return Type(
                "Fixed", next((wide for most, wide in DECIMAL_WIDTHS if digits <= most), 32)
            )
        case "Nullable" | "Array" | "LowCardinality":
            return Type(family, inner=(parse(arguments),))
        case "SimpleAggregateFunction":
            return parse(split(arguments)[-1])
        case "Map":
            return Type("Array", inner=(Type("Tuple", inner=tuple(map(parse, split(arguments)))),))
        case "Nested":
            return Type("Array", inner=(Type("Tuple", inner=elements(arguments, depth)),))
        case "Tuple":
            return Type("Tuple", inner=elements(arguments, depth))
    raise unknown(text)


def elements(arguments: str, depth: int) -> tuple[Type, ...]:
    """The types of a tuple's elements, named or not."""
    found = []
    for argument in split(arguments):
        named = NAMED_ELEMENT.fullmatch(argument)
        found.append(parse_type(named[1] if named else argument, depth + 1))
    return tuple(found)


def split(arguments: str) -> list[str]:
    """At the commas that are in no brackets and no quotes."""
    parts, depth, start = [], 0, 0
    for token in re.finditer(r"'(?:[^'\\]|\\.|'')*'|`(?:[^`\\]|\\.)*`|[(),]", arguments):
        if token[0] == "(":
            depth += 1
        elif token[0] == ")":
            depth -= 1
        elif token[0] == "," and depth == 0:
            parts.append(arguments[start : token.start()].strip())
            start = token.end()
    last = arguments[start:].strip()
    return [*parts, last] if last or parts else []


def number(digits: str, text: str) -> int:
    if not digits.strip().isdecimal():
        raise unknown(text)
    return int(digits)


def unknown(text: str) -> Broken:
    return Broken(NOT_IMPLEMENTED, f"the embedded store cannot carry columns of type {text[:200]}")
