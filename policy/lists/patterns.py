"""Regular expressions of RE2, searched for all at once.

A set gives up silently when a text needs more memory than it may have, but not below that at which
it could be compiled; so what compiles answers. Compiling holds the interpreter, so a list is made
of sets small enough for that to take milliseconds.
"""

from collections.abc import Callable, Sequence
from typing import Any

import re2

from policy.errors import InvalidRule
from policy.expression.regex import searcher
from policy.lists.texts import exactly

SET_SIZE = 4096  # compiles in some 40 ms
SET_BYTES = 1 << 20
ENTRY_BYTES = 2560  # memory for each entry, compiled and searched for


def find_pattern(entries: Sequence[str], case_insensitive: bool) -> Callable[[str | bytes], int]:
    """Raises InvalidRule."""
    sets = [
        (start, pattern_set(entries[start : start + SET_SIZE], start, case_insensitive))
        for start in range(0, len(entries), SET_SIZE)
    ]

    def find(value: str | bytes) -> int:
        text = exactly(value).encode(errors="surrogatepass")
        for start, search in sets:
            found = search(text)
            if found:
                return start + min(found)
        return -1

    return find


def pattern_set(
    entries: Sequence[str], start: int, case_insensitive: bool
) -> Callable[[bytes], Sequence[int] | None]:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = SET_BYTES + ENTRY_BYTES * len(entries)
    options.never_capture = True
    options.case_sensitive = not case_insensitive
    patterns: Any = re2.Set.SearchSet(options)
    for index, entry in enumerate(entries, start):
        try:
            patterns.Add(exactly(entry))
        except re2.error as error:
            raise InvalidRule(f"/entries/{index}", why(entry)) from error
    try:
        patterns.Compile()
    except re2.error as error:
        raise InvalidRule(
            "/entries",
            f"expressions {start} to {start + len(entries) - 1} together need more than"
            f" {options.max_mem} bytes of memory: use fewer or simpler ones",
        ) from error
    search: Callable[[bytes], Sequence[int] | None] = patterns.Match
    return search


def why(entry: str) -> str:
    """What RE2 says of an expression that it does not take."""
    try:
        searcher(entry)
    except ValueError as error:
        return str(error)
    return "not a regular expression of RE2"
