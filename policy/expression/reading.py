"""What references find in a bag, and what is there in place of what they do not find."""

import difflib
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from policy.attributes import VOCABULARY, Value, ValueType, text_of
from policy.expression import Reference

MAX_NEAR = 3
MAX_VALUE = 256  # characters of a value in a sentence
MAX_ENTRIES = 16  # of a map, by name

TYPES: Mapping[ValueType, tuple[type, ...]] = {
    ValueType.STRING: (str,),
    ValueType.INT64: (int,),
    ValueType.DOUBLE: (float, int),
    ValueType.BOOL: (bool,),
    ValueType.TIMESTAMP: (datetime,),
    ValueType.DURATION: (timedelta,),
    ValueType.IP_ADDRESS: (bytes,),
    ValueType.STRING_MAP: (Mapping,),
}


def absent(reads: tuple[Reference, ...], bag: Mapping[str, Value]) -> Iterator[Reference]:
    """The attributes that are not there, and the entries of maps that are."""
    for name, key in reads:
        value = bag.get(name)
        if value is None:
            yield name, None
        elif key is not None and isinstance(value, Mapping) and key not in value:
            yield name, key


def near(missing: Reference, bag: Mapping[str, Any]) -> list[Reference]:
    """What is in the bag, and the missing one may have been meant for. Only names are looked at."""
    name, key = missing
    entries = bag.get(name)
    if key is not None and isinstance(entries, Mapping):
        return [(name, each) for each in difflib.get_close_matches(key, list(entries), MAX_NEAR)]
    kind = VOCABULARY.get(name)
    alike = [each for each in bag if VOCABULARY.get(each) is kind]
    return [(each, None) for each in difflib.get_close_matches(name, alike, MAX_NEAR)]


def mistyped(reads: tuple[Reference, ...], bag: Mapping[str, Value]) -> str:
    """The first value that is not of its attribute's type; "" when all are."""
    for name, _ in reads:
        kind, value = VOCABULARY[name], bag.get(name)
        if value is not None and not isinstance(value, TYPES[kind]):
            return f"{name} is {quoted(value)}, which is no {kind}"
    return ""


def quoted(value: Any) -> str:
    match value:
        case str():
            return f'"{value}"' if len(value) <= MAX_VALUE else f'"{value[: MAX_VALUE - 1]}…"'
        case Mapping():
            names = ", ".join(sorted(value)[:MAX_ENTRIES])
            return f"a map of {names}" if names else "an empty map"
        case _:
            return text_of(value)
