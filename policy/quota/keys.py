"""The counters' names."""

import hashlib
from collections.abc import Sequence

from policy.quota import ALGORITHMS

PREFIX = "mm:q:"
MAX_SHOWN = 256  # characters of a quota key in an answer


def quota_key(rule: str, limit: str, algorithm: str, values: Sequence[str]) -> str:
    """The counter of one combination of dimension values, of a bounded length."""
    digest = hashlib.blake2b(digest_size=12)
    for value in values:
        raw = value.encode(errors="surrogatepass")
        digest.update(len(raw).to_bytes(8, "big") + raw)
    letter = ALGORITHMS[algorithm].letter
    return f"{PREFIX}{rule}:{limit}:{letter}:{digest.hexdigest()}"


def shown_key(values: Sequence[str]) -> str:
    text = ", ".join(values)
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"
