"""Names that look like others: letters of several scripts in one word, characters nobody sees.

`раypal` with a Cyrillic beginning is another name than `paypal`. It is kept as it is, and told.
Sources: Unicode Technical Standard 39, section 5; Unicode Standard Annex 15.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Any

WORD = re.compile(r"[^\W\d_]+")
# Of which one language writes several in a word.
TOGETHER = dict.fromkeys(("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO"), "EAST ASIAN")
TOGETHER["MICRO"] = "LATIN"  # as in µs
UNSEEN = frozenset({"Cf", "Cc", "Co", "Cn", "Zl", "Zp"})  # general categories
LINES = "\t\n\r"  # of a rule that is written over several
MIXED, HIDDEN = "mixed scripts", "hidden characters"
MAX_TOLD = 10


def composed(name: str) -> str:
    """In normal form C: one name for all ways to write the same characters."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def caution(name: str) -> str:
    """MIXED, HIDDEN, or empty when it is what it looks like."""
    if name.isascii() and name.isprintable():
        return ""
    if any(unicodedata.category(char) in UNSEEN and char not in LINES for char in name):
        return HIDDEN
    if any(len(scripts(word)) > 1 for word in WORD.findall(name)):
        return MIXED
    return ""


def scripts(word: str) -> set[str]:
    """By the first word of each letter's name, which is its script's."""
    names = (unicodedata.name(char, "") for char in word if char.isalpha())
    found = {name.replace("-", " ").partition(" ")[0] for name in names}
    return {TOGETHER.get(script, script) for script in found}


def cautions(value: Any) -> list[str]:
    """The texts in a JSON value that are not what they look like, each once, the first few."""
    told: dict[str, None] = {}
    for text in texts(value):
        if why := caution(text):
            told[f"{why}: {text[:128]!a}"] = None
            if len(told) == MAX_TOLD:
                break
    return list(told)


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from texts(key)
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)
