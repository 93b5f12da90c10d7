"""Pieces of expressions, written so that they read as what they are meant to be."""

from collections.abc import Iterable, Sequence

from policy.attributes import duration

ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
REGEX_SIGNS = frozenset("\\.+*?()|[]{}^$")


def literal(text: str) -> str:
    """Never a duration: what reads as one stands in single quotes."""
    quote = '"' if duration(text) is None else "'"
    return quote + "".join(map(escaped, text)) + quote


def escaped(character: str) -> str:
    if character in ESCAPES:
        return ESCAPES[character]
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def entry(name: str, key: str) -> str:
    return f"{name}[{literal(key)}]"


def one_of(value: str, texts: Sequence[str]) -> str:
    if len(texts) == 1:
        return f"{value} == {literal(texts[0])}"
    return f"{value} in [{', '.join(map(literal, texts))}]"


def all_of(terms: Iterable[str]) -> str:
    """The terms must bind at least as tightly as &&."""
    return " && ".join(term for term in terms if term)


def wildcard(value: str, pattern: str) -> str:
    """Whether the value fits, where each * is any text; "" for a lone *, which all fit."""
    head, *others = pattern.split("*")
    tail = others[-1]
    if len(others) > 1 or (head and tail):
        inner = "(?s:.*)".join(map(regex_literal, (head, *others)))
        return f"{value}.matches({literal(f'^{inner}$')})"
    if head:
        return f"{value}.startsWith({literal(head)})"
    return f"{value}.endsWith({literal(tail)})" if tail else ""


def regex_literal(text: str) -> str:
    return "".join(f"\\{sign}" if sign in REGEX_SIGNS else sign for sign in text)
