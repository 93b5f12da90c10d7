"""Regular expressions of RE2: time in proportion to the text, memory within a bound.

Texts are searched as bytes: for a str re2 counts characters, which takes twice the search's time.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import re2

LITERAL_BYTES = 1 << 20  # of memory for one compiled expression
# An expression that comes with the request is compiled while the request waits.
DYNAMIC_BYTES = 1 << 16
DYNAMIC_CHARACTERS = 256
DYNAMIC_KEPT = 256


def searcher(pattern: str, memory_bytes: int = LITERAL_BYTES) -> Callable[[bytes], Any]:
    """Finds the pattern anywhere in UTF-8, None when it is not there. Raises ValueError."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = memory_bytes
    options.never_capture = True
    try:
        search: Callable[[bytes], Any] = re2.compile(pattern, options).search
    except re2.error as error:
        reason = error.args[0] if error.args else error
        reason = reason.decode(errors="replace") if isinstance(reason, bytes) else reason
        raise ValueError(f"not a regular expression of RE2: {reason}") from error
    return search


@lru_cache(maxsize=DYNAMIC_KEPT)
def dynamic_searcher(pattern: str) -> Callable[[bytes], Any]:
    if len(pattern) > DYNAMIC_CHARACTERS:
        raise ValueError(f"a regular expression of more than {DYNAMIC_CHARACTERS} characters")
    return searcher(pattern, DYNAMIC_BYTES)


def found(pattern: str, text: str) -> bool:
    """Where the pattern is no literal. Raises ValueError."""
    return dynamic_searcher(pattern)(text.encode()) is not None
