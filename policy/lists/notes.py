"""Texts that may not be what they look like.

Source: Unicode Technical Standard 39, its two commonest cases: letters of scripts whose letters
look alike within one text, and characters that compatibility decomposition turns into others.
"""

import unicodedata

ALIKE = frozenset({"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC"})


def lookalike(text: str) -> str:
    """What a reader may not see, in words; "" for a text that is plain."""
    if text.isascii():
        return ""
    scripts = {
        unicodedata.name(character, "").partition(" ")[0]
        for character in text
        if character.isalpha()
    }
    mixed = sorted(scripts & ALIKE)
    if len(mixed) > 1:
        return f"mixes {' and '.join(name.capitalize() for name in mixed)} letters"
    for character in unicodedata.normalize("NFC", text):
        plain = unicodedata.normalize("NFKC", character)
        if plain != character:
            return f"has U+{ord(character):04X}, which looks like {plain!r}"
    return ""
