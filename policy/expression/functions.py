"""The functions of the language: their types, and what they do.

A function without `call` is written out by the generator: its arguments are not all evaluated,
or one of them is compiled beforehand.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Flag, auto
from types import MappingProxyType
from typing import Any

from policy.attributes import ValueType
from policy.expression.conversions import dns_name, email, ip, timestamp, uri

BOOL, STRING = ValueType.BOOL, ValueType.STRING


class Form(Flag):
    FUNCTION = auto()  # name(value, ...)
    METHOD = auto()  # value.name(...)


@dataclass(frozen=True, slots=True)
class Function:
    """`operands`: a method's receiver is the first. None: any type, the same wherever None is."""

    operands: tuple[ValueType | None, ...]
    result: ValueType | None
    call: Callable[..., Any] | None = None
    form: Form = Form.FUNCTION


def match(text: str, pattern: str) -> bool:
    """`p*` a prefix, `*p` a suffix, else equal."""
    if pattern.endswith("*"):
        return text.startswith(pattern[:-1])
    return text.endswith(pattern[1:]) if pattern.startswith("*") else text == pattern


def size(text: str) -> int:
    """In bytes of UTF-8, as Go counts."""
    return len(text.encode())


def reverse(text: str) -> str:
    return text[::-1]


FUNCTIONS: Mapping[str, Function] = {
    "conditional": Function((BOOL, None, None), None),
    "conditionalString": Function((BOOL, STRING, STRING), STRING),
    "dnsName": Function((STRING,), ValueType.DNS_NAME, dns_name),
    "email": Function((STRING,), ValueType.EMAIL_ADDRESS, email),
    "emptyStringMap": Function((), ValueType.STRING_MAP, lambda: MappingProxyType({})),
    "endsWith": Function((STRING, STRING), BOOL, str.endswith, Form.METHOD),
    "ip": Function((STRING,), ValueType.IP_ADDRESS, ip),
    "match": Function((STRING, STRING), BOOL, match),
    "matches": Function((STRING, STRING), BOOL, None, Form.METHOD),
    "reverse": Function((STRING,), STRING, reverse, Form.FUNCTION | Form.METHOD),
    "size": Function((STRING,), ValueType.INT64, size),
    "startsWith": Function((STRING, STRING), BOOL, str.startswith, Form.METHOD),
    "timestamp": Function((STRING,), ValueType.TIMESTAMP, timestamp),
    "toLower": Function((STRING,), STRING, str.lower),
    "uri": Function((STRING,), ValueType.URI, uri),
}
