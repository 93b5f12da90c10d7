"""The counters' names: unique by a digest, and readable, so that they can be listed.

`mm:q:RULE:LIMIT:LETTER:DIGEST:SHOWN`: LIMIT says which of the rule's limits, LETTER is the
algorithm's, SHOWN the values of the dimensions.
"""

import hashlib
from collections.abc import Sequence

from policy.quota import ALGORITHMS

PREFIX = "mm:q:"
MAX_SHOWN = 256  # characters of a quota key in an answer
MAX_IN_KEY = 100  # bytes of it in the counter's name


def quota_key(rule: str, limit: str, algorithm: str, values: Sequence[str]) -> str:
    """The counter of one combination of dimension values, of a bounded length."""
    digest = hashlib.blake2b(digest_size=12)
    for value in values:
        raw = value.encode(errors="surrogatepass")
        digest.update(len(raw).to_bytes(8, "big") + raw)
    shown = ", ".join(values)
    if len(shown) > MAX_IN_KEY or not shown.isascii():
        raw = shown.encode(errors="backslashreplace")[:MAX_IN_KEY]
        shown = raw.decode(errors="ignore")
    return f"{key_prefix(rule, limit, algorithm)}{digest.hexdigest()}:{shown}"


def key_prefix(rule: str, limit: str, algorithm: str) -> str:
    """What the keys of one limit of a rule begin with. Neither name holds a colon."""
    return f"{PREFIX}{rule}:{limit}:{ALGORITHMS[algorithm].letter}:"


def shown_key(values: Sequence[str]) -> str:
    text = ", ".join(values)
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"


def rule_prefix(rule: str) -> str:
    """What the keys of a rule begin with."""
    return f"{PREFIX}{rule}:"


def limit_of(key: str) -> tuple[str, str]:
    """Which of the rule's limits a key is of, and the letter of its algorithm."""
    _, _, _, limit, letter, _ = key.split(":", 5)
    return limit, letter


def rule_of(key: str) -> str:
    """ "" for a key that is none of ours."""
    return key.split(":", 3)[2] if key.startswith(PREFIX) else ""


def shown_of(key: str) -> str:
    """The dimension values, as far as the key holds them."""
    return key.split(":", 6)[-1]
