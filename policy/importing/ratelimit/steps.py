"""Which entry goes to which descriptor of a level.

ratelimit takes the descriptor of the entry's key and value, else the first wildcard that fits,
else the one of the key alone. Descriptors of different keys never compete.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from policy.importing.ratelimit.tree import Descriptor


@dataclass(frozen=True, slots=True)
class Step:
    """A descriptor, and those beside it that take some of what would fit it."""

    descriptor: Descriptor
    wildcards: tuple[Descriptor, ...] = ()
    exact: tuple[Descriptor, ...] = ()  # but for those that one of the wildcards fits

    @property
    def is_dimension(self) -> bool:
        """Each value has a counter of its own."""
        descriptor = self.descriptor
        return not descriptor.value or (descriptor.wild and not descriptor.shared)


def step(descriptor: Descriptor, beside: Sequence[Descriptor]) -> Step:
    """`beside`: all of its level and key, in order."""
    if descriptor.value and not descriptor.wild:
        return Step(descriptor)
    wildcards = [other for other in beside if other.wild]
    if descriptor.wild:
        before = wildcards[: wildcards.index(descriptor)]
        wildcards = [other for other in before if may_overlap(descriptor.value, other.value)]
    exact = [
        other
        for other in beside
        if other.value
        and not other.wild
        and (not descriptor.wild or fits(descriptor.value, other.value))
        and not any(fits(wild.value, other.value) for wild in wildcards)
    ]
    return Step(descriptor, tuple(wildcards), tuple(exact))


def mergeable(beside: Sequence[Descriptor]) -> set[Descriptor]:
    """Values whose limits can be overrides of that of their key alone."""
    default = next((other for other in beside if not other.value), None)
    if default is None or not limits(default):
        return set()
    wildcards = [other for other in beside if other.wild]
    return {
        other
        for other in beside
        if other.value
        and not other.wild
        and limits(other)
        and other.shadow == default.shadow
        and not any(fits(wild.value, other.value) for wild in wildcards)
    }


def limits(descriptor: Descriptor) -> bool:
    """With a limit above 0, which a quota can have."""
    return descriptor.limit is not None and descriptor.limit.requests > 0


def takes_all(wildcard: Descriptor) -> bool:
    return not wildcard.value.strip("*")


def fits(pattern: str, value: str) -> bool:
    head, *others = pattern.split("*")
    tail = others.pop()
    if not value.startswith(head) or not value.endswith(tail):
        return False
    at, end = len(head), len(value) - len(tail)
    for part in others:
        found = value.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return at <= end


def may_overlap(one: str, other: str) -> bool:
    """Whether a text could fit both, as far as their beginnings tell."""
    first, second = one.partition("*")[0], other.partition("*")[0]
    return first.startswith(second) or second.startswith(first)
