"""A tree of descriptors to rules.

ratelimit walks a request's entries and the tree together, a level an entry, with no way back; the
last entry must end at a descriptor with a limit. So a rule says which entries there are, which
values they have, and which values go elsewhere. A value that the configuration leaves open is a
dimension, unless it is shared.

The limit of a key alone and those of its values are one quota with overrides.
"""

from collections.abc import Iterator
from itertools import chain
from typing import Any, NamedTuple

from policy.attributes import ratelimit_keys
from policy.importing.drafts import Draft
from policy.importing.names import Parts, labels
from policy.importing.ratelimit.collisions import note_collisions
from policy.importing.ratelimit.steps import Step, mergeable, step, takes_all
from policy.importing.ratelimit.tree import Descriptor, Domain, Level, Limit
from policy.importing.writing import all_of, entry, literal, one_of, wildcard

TOO_MANY = 429
EXCEPT, VALUE = "except", "value"  # of two overrides that fit, the first by name is taken
MAX_DESCRIPTION = 1024

Descriptors = set[Descriptor]


class Choice(NamedTuple):
    """An override: for one value of a dimension another limit, or none of this rule's."""

    name: Parts  # its kind first
    dimension: str
    descriptor: Descriptor

    def document(self, name: str) -> dict[str, Any]:
        limit = self.descriptor.limit if self.name[0] == VALUE else None
        limited = window(limit) if limit else {"unlimited": True}
        return {"name": name, "when": {self.dimension: self.descriptor.value}, **limited}


def rules(domain: Domain) -> list[Draft]:
    """What no rule needs is noted."""
    used: Descriptors = set()
    drafts = list(below(domain, (), domain.level, used))
    for descriptor in all_descriptors(domain.level):
        if descriptor not in used and not descriptor.place.told:
            descriptor.place.ignore("limits nothing, so there is no rule for it")
    return drafts


def all_descriptors(level: Level) -> Iterator[Descriptor]:
    for descriptor in chain.from_iterable(level.by_key.values()):
        yield descriptor
        yield from all_descriptors(descriptor.level)


def below(
    domain: Domain, path: tuple[Step, ...], level: Level, used: Descriptors
) -> Iterator[Draft]:
    note_collisions(level)
    for beside in level.by_key.values():
        merged = mergeable(beside)
        for descriptor in beside:
            steps = (*path, step(descriptor, beside))
            if taker := next(filter(takes_all, steps[-1].wildcards), None):
                descriptor.place.ignore(f"is never reached: {taker.text} before it takes all")
                continue
            if descriptor in merged and descriptor.limit_name:
                name = descriptor.place.need("rate_limit").need("name")
                name.ignore("is not kept: an override is called by its value")
            elif descriptor.limit and descriptor not in merged:
                yield draft(domain, steps, descriptor.limit, merged, used)
            yield from below(domain, steps, descriptor.level, used)


def draft(
    domain: Domain, path: tuple[Step, ...], limit: Limit, merged: Descriptors, used: Descriptors
) -> Draft:
    keys = [taken.descriptor.key for taken in path]
    terms = [
        f"ratelimit.domain == {literal(domain.name)}",
        f"ratelimit.keys == {literal(ratelimit_keys(keys))}",
    ]
    dimensions: list[str] = []
    choices: list[Choice] = []
    for index, taken in enumerate(path):
        used.update((taken.descriptor, *taken.wildcards, *taken.exact))
        value = value_of(keys, index)
        terms += value_terms(taken, value)
        if taken.is_dimension:
            dimensions.append(value)
        if taken.is_dimension and limit.requests:
            own = merged if index == len(path) - 1 and not taken.descriptor.value else set()
            choices += [
                Choice(
                    (VALUE if other in own else EXCEPT, *level_name(keys, index), other.value),
                    value,
                    other,
                )
                for other in taken.exact
            ]
        elif taken.exact:
            terms.append(f"!({one_of(value, [other.value for other in taken.exact])})")
    leaf = path[-1].descriptor
    document: dict[str, Any] = {
        "kind": "quota" if limit.requests else "deny",
        "match": all_of(terms),
        "description": description(domain, path),
        "mode": "shadow" if leaf.shadow else "enabled",
    }
    if limit.requests:
        names = labels(choice.name for choice in choices)
        overrides = [choice.document(names[choice.name]) for choice in choices]
        document |= window(limit) | {"dimensions": dimensions, "overrides": overrides}
    else:
        document["http_status"] = TOO_MANY
    texts = chain.from_iterable((taken.descriptor.key, taken.descriptor.value) for taken in path)
    return Draft(leaf.place, (domain.name, *texts), document)


def window(limit: Limit) -> dict[str, Any]:
    """It begins at multiples of its length since 1970, as ratelimit's does."""
    return {"limit": limit.requests, "window": limit.unit_s, "algorithm": "fixed-window"}


def value_terms(taken: Step, value: str) -> list[str]:
    descriptor = taken.descriptor
    elsewhere = [f"!{wildcard(value, other.value)}" for other in taken.wildcards]
    if descriptor.wild:
        return [wildcard(value, descriptor.value), *elsewhere]
    return [f"{value} == {literal(descriptor.value)}"] if descriptor.value else elsewhere


def level_name(keys: list[str], index: int) -> Parts:
    key = keys[index]
    return (key,) if keys.count(key) == 1 else (key, str(index + 1))


def value_of(keys: list[str], index: int) -> str:
    """By its key, unless there are several of it."""
    if keys.count(keys[index]) == 1:
        return entry("ratelimit.descriptor", keys[index])
    return entry("ratelimit.values", str(index + 1))


def description(domain: Domain, path: tuple[Step, ...]) -> str:
    leaf = path[-1].descriptor
    texts = [f"{taken.descriptor.key}={taken.descriptor.value}".removesuffix("=") for taken in path]
    named = f" ({leaf.limit_name})" if leaf.limit_name else ""
    return f"ratelimit {domain.name}: {', '.join(texts)}{named}"[:MAX_DESCRIPTION]
