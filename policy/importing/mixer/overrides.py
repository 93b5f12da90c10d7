"""A quota's overrides: in Mixer the first that fits, here the most specific.

What is never reached, and where the two could choose differently, is noted.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from policy.attributes import ValueType, text_of, typed_value
from policy.importing.places import Place

When = Mapping[str, str]  # expressions of dimensions to values


class Dimension(NamedTuple):
    expression: str
    type: ValueType


class Choice(NamedTuple):
    place: Place
    when: When


def choices(overrides: Sequence[Place], dimensions: Mapping[str, Dimension]) -> list[Choice]:
    """Those that can be taken, in order; one that is for all requests is the last."""
    found: list[Choice] = []
    for place in overrides:
        when = when_of(place, dimensions)
        if when is None:
            continue
        if any(before.when.items() <= when.items() for before in found):
            place.ignore("is never reached: one before it fits all that it fits")
            continue
        note_difference(place, when, found)
        found.append(Choice(place, when))
    return found


def when_of(place: Place, dimensions: Mapping[str, Dimension]) -> When | None:
    """None for one that never fits, or cannot be said; that is noted. Raises Refused."""
    when: dict[str, str] = {}
    named = place.get("dimensions")
    for name, given in named.entries().items() if named else ():
        dimension = dimensions.get(name)
        if dimension is None:
            place.ignore(f"never fits: the instance has no dimension {name}")
            return None
        text = value_of(given.text(), dimension.type)
        if text is None or when.get(dimension.expression, text) != text:
            place.ignore(f"never fits: the dimension {name} has no such value")
            return None
        if text.endswith("*"):
            given.refuse("a value that ends with * would be one for how it begins")
            return None
        when[dimension.expression] = text
    return when


def value_of(text: str, kind: ValueType) -> str | None:
    """As the dimension's value is written; None for what is not of its type."""
    if kind in (ValueType.INT64, ValueType.DOUBLE, ValueType.BOOL):
        return number_or_flag(text, kind)
    try:
        return text_of(typed_value(kind, text))
    except (ValueError, OverflowError):
        return None


def number_or_flag(text: str, kind: ValueType) -> str | None:
    if kind is ValueType.BOOL:
        return text if text in ("true", "false") else None
    try:
        return text_of(int(text) if kind is ValueType.INT64 else float(text))
    except ValueError:
        return None


def note_difference(place: Place, when: When, before: Sequence[Choice]) -> None:
    for other in before:
        agree = all(when.get(key, value) == value for key, value in other.when.items())
        if agree and len(other.when) < len(when):
            place.changed(
                f"also fits requests that {other.place.path} fits, which Mixer takes as the first;"
                " here this one is taken, as the more specific"
            )
            return
