"""Literals by a dictionary, prefixes by a binary search: neither slows down with the list's length
in a way that shows."""

import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Sequence

from policy.attributes import text_of


def exactly(value: str | bytes) -> str:
    """Unicode's normal form C. An address given as bytes is the text it is written as."""
    if isinstance(value, bytes):
        value = text_of(value)
    return value if value.isascii() else unicodedata.normalize("NFC", value)


def folded(value: str | bytes) -> str:
    """The same for upper and lower case. Source: Unicode, default caseless matching."""
    if isinstance(value, bytes):
        value = text_of(value)
    if value.isascii():
        return value.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", value).casefold())


def find_literal(entries: Sequence[str], case_insensitive: bool) -> Callable[[str | bytes], int]:
    normal = folded if case_insensitive else exactly
    indices: dict[str, int] = {}
    for index, entry in enumerate(entries):
        indices.setdefault(normal(entry), index)
    get = indices.get
    return lambda value: get(normal(value), -1)


def find_prefix(entries: Sequence[str], case_insensitive: bool) -> Callable[[str | bytes], int]:
    """An entry that begins with another adds nothing. Of the rest, in order, only the last one not
    above the value can be its beginning."""
    normal = folded if case_insensitive else exactly
    starts: list[str] = []
    indices: list[int] = []
    for start, index in sorted((normal(entry), index) for index, entry in enumerate(entries)):
        if not starts or not start.startswith(starts[-1]):
            starts.append(start)
            indices.append(index)
    if not starts:
        return lambda _: -1

    def find(value: str | bytes) -> int:
        text = normal(value)
        at = bisect_right(starts, text) - 1
        return indices[at] if at >= 0 and text.startswith(starts[at]) else -1

    return find
