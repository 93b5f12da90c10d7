"""Finds the few rules that may match a request among many that each demand a value of it.

A rule can match only where every equality that its match is a conjunction of holds. Each rule is
kept under one of these, such as `ratelimit.keys == "tenant,path"`; a request is looked up in a few
attributes, and of the rules kept under other values of these none can match.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Generic, TypeVar

from policy.attributes import Value
from policy.expression import FAULTS, Equality, Reference
from policy.stages import Compiled, Derivation

LEAST = 16  # rules: to try fewer one by one is as quick
MOST_LOOKUPS = 6  # attributes that a request is looked up in
MOST_KEPT = 4_096  # combinations of values

Narrowed = TypeVar("Narrowed")
Lookup = tuple[Reference, Mapping[str, Sequence[Compiled]]]  # by the attribute's value


def lookups_of(
    rules: Iterable[Compiled], least: int = LEAST
) -> tuple[list[Lookup], list[Compiled]]:
    """Attributes to look a request up in, and the rules that are kept under no value of any.

    The attribute that spares most comes first. Derivations are kept under none: they are asked
    before all attributes are known.
    """
    left = [rule for rule in rules if rule.match.equals and not isinstance(rule, Derivation)]
    always = [rule for rule in rules if not rule.match.equals or isinstance(rule, Derivation)]
    found: list[Lookup] = []
    while len(left) >= least and len(found) < MOST_LOOKUPS:
        alike = Counter(equality for rule in left for equality in set(rule.match.equals))
        spared: Counter[Reference] = Counter()
        for (reference, _), count in alike.items():
            spared[reference] += count * (len(left) - count)
        reference, worth = spared.most_common(1)[0]
        if worth < least // 2 * len(left):  # a look-up spares too few
            break
        by_value: dict[str, list[Compiled]] = {}
        others: list[Compiled] = []
        for rule in left:
            value = demanded(rule.match.equals, reference)
            (others if value is None else by_value.setdefault(value, [])).append(rule)
        found.append((reference, by_value))
        left = others
    return found, always + left


def demanded(equals: Iterable[Equality], reference: Reference) -> str | None:
    return next((value for other, value in equals if other == reference), None)


class Index(Generic[Narrowed]):
    """Of the rules for one destination; `made` makes of some of them what is asked for."""

    __slots__ = ("_kept", "_made", "always", "lookups")

    def __init__(
        self,
        lookups: Sequence[Lookup],
        always: Sequence[Compiled],
        made: Callable[[Sequence[Compiled]], Narrowed],
    ) -> None:
        self.lookups = lookups
        self.always = always
        self._made = made
        self._kept: dict[tuple[str | None, ...], Narrowed] = {}

    @property
    def kept(self) -> int:
        """Combinations of values whose rules are remembered."""
        return len(self._kept)

    def narrow(self, values: Mapping[str, Value]) -> Narrowed:
        """Without rules that demand other values than these."""
        known: list[str | None] = []
        for (name, key), by_value in self.lookups:
            value: object = values.get(name)
            if key is not None:
                value = entry_of(value, key)
            known.append(value if isinstance(value, str) and value in by_value else None)
        found = self._kept.get(tuple(known))
        return self._make(tuple(known)) if found is None else found

    def _make(self, known: tuple[str | None, ...]) -> Narrowed:
        rules = list(self.always)
        for value, (_, by_value) in zip(known, self.lookups, strict=True):
            if value is not None:
                rules += by_value[value]
        if len(self._kept) >= MOST_KEPT:
            self._kept.clear()
        made = self._kept[known] = self._made(sorted(rules, key=lambda rule: rule.order))
        return made


def entry_of(value: object, key: str) -> object:
    """As a match reads it; None where that fails."""
    try:
        return value.get(key)  # type: ignore[attr-defined]  # or it fails, as the match does
    except FAULTS:
        return None
