"""Text to tokens of the match language.

Source: Mixer's expression language, which is a part of Go's expression syntax. Ours beside it:
a string in single quotes may have any length and is never read as a duration.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from policy.errors import InvalidRule

MAX_BYTES = 4096


class Kind(StrEnum):
    NAME = "name"
    INT = "integer"
    FLOAT = "number"
    STRING = "string"
    OPERATOR = "operator"
    END = "end"


@dataclass(frozen=True, slots=True)
class Token:
    kind: Kind
    text: str
    at: int  # offset into the source


TOKEN = re.compile(
    r"""
    (?P<space>[ \t\r\n]+)
  | (?P<name>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)
  | (?P<number>(?:\d+\.\d*|\.\d+)(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+)
  | (?P<integer>\d+)
  | (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`)
  | (?P<operator>==|!=|<=|>=|&&|\|\||[<>!|+()\[\],.-])
    """,
    re.VERBOSE | re.ASCII,
)


def tokens(text: str) -> Iterator[Token]:
    """Ends with an END token. Raises InvalidRule."""
    if len(text.encode(errors="replace")) > MAX_BYTES:
        raise InvalidRule("", f"longer than {MAX_BYTES} bytes", 1, 1)
    at = 0
    while at < len(text):
        found = TOKEN.match(text, at)
        if found is None:
            raise refused(text, at, unreadable(text, at))
        kind = found.lastgroup
        end = found.end()
        if kind in ("number", "integer") and re.match(r"[A-Za-z0-9_.]", text[end : end + 1]):
            raise refused(text, at, "not a decimal number")
        if kind != "space":
            yield Token(KINDS[kind or ""], found.group(), at)
        at = end
    yield Token(Kind.END, "", at)


KINDS = {
    "name": Kind.NAME,
    "number": Kind.FLOAT,
    "integer": Kind.INT,
    "string": Kind.STRING,
    "operator": Kind.OPERATOR,
}


def unreadable(text: str, at: int) -> str:
    character = text[at]
    if character in "\"'`":
        return "the string has no closing quote on its line"
    if character == "=":
        return "expected ==, found ="
    if character == "&":
        return "expected &&, found &"
    return f"unexpected character {character!r}"


def refused(text: str, at: int, reason: str) -> InvalidRule:
    """An InvalidRule at this offset."""
    return InvalidRule("", reason, *line_and_column(text, at))


def line_and_column(text: str, at: int) -> tuple[int, int]:
    """Of an offset, each from 1."""
    return text.count("\n", 0, at) + 1, at - (text.rfind("\n", 0, at) + 1) + 1


ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))")
SIMPLE = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
    "\\": "\\", '"': '"', "'": "'",
}  # fmt: skip


def unquoted(token: Token) -> str:
    """The string a literal stands for. Raises ValueError for an escape Go does not know."""
    body = token.text[1:-1]
    if token.text[0] == "`" or "\\" not in body:
        return body

    def plain(found: re.Match[str]) -> str:
        short, four, eight, octal, simple = found.groups()
        if simple is not None:
            if simple not in SIMPLE:
                raise ValueError(f"unknown escape {found.group()}")
            return SIMPLE[simple]
        code = int(octal, 8) if octal else int(short or four or eight, 16)
        if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
            raise ValueError(f"{found.group()} is no character")
        return chr(code)

    return ESCAPE.sub(plain, body)
