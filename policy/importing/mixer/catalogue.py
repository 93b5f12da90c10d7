"""Who refers to whom.

A name may be short: of the kind that is due and of the own namespace; `name.kind` or
`name.namespace`; or in full `name.kind.namespace`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from policy.importing.mixer.resources import (
    ROLES,
    TELEMETRY_ADAPTERS,
    TELEMETRY_TEMPLATES,
    Handler,
    Instance,
    Resource,
)
from policy.importing.places import Key, Place, Refused


@dataclass(slots=True)
class Catalogue:
    """All resources of an import, and those handlers and instances that a rule led to."""

    by_key: dict[tuple[str, str, str], Resource] = field(default_factory=dict)
    used: set[Resource] = field(default_factory=set)
    chosen: set[Key] = field(default_factory=set)  # places of limits that rules led to

    def add(self, resource: Resource) -> None:
        """Raises Refused."""
        if resource.key in self.by_key:
            raise Refused(resource.root, f"there is another {'.'.join(resource.key)} before it")
        self.by_key[resource.key] = resource

    def of(self, *kinds: str) -> list[Resource]:
        return [found for found in self.by_key.values() if found.kind in kinds]

    def used_handlers(self) -> list[Handler]:
        """In the order in which they were written."""
        found = self.by_key.values()
        return [each for each in found if isinstance(each, Handler) and each in self.used]

    def handler(self, reference: Place, namespace: str) -> Handler:
        """Raises Refused."""
        found = self.find(reference.text(), "handler", namespace)
        if not isinstance(found, Handler):
            raise Refused(reference, f"there is no handler {reference.text()} in what is imported")
        return found

    def instance(self, reference: Place, namespace: str) -> Instance:
        """Raises Refused."""
        found = self.find(reference.text(), "instance", namespace)
        if not isinstance(found, Instance):
            raise Refused(reference, f"there is no instance {reference.text()} in what is imported")
        return found

    def find(self, name: str, kind: str, namespace: str) -> Resource | None:
        keys = candidates(name, kind, namespace)
        return next((self.by_key[key] for key in keys if key in self.by_key), None)

    def note_unused(self) -> None:
        for found in self.by_key.values():
            if found in self.used or found.root.told:
                continue
            if is_telemetry(found):
                found.root.ignore("is telemetry")
            elif isinstance(found, Handler | Instance) or found.kind in ROLES:
                found.root.ignore("no rule that is imported uses it")


def is_telemetry(found: Resource) -> bool:
    if isinstance(found, Handler):
        return found.adapter in TELEMETRY_ADAPTERS
    return isinstance(found, Instance) and found.template in TELEMETRY_TEMPLATES


def candidates(name: str, kind: str, namespace: str) -> Iterator[tuple[str, str, str]]:
    match name.split("."):
        case [first]:
            yield first, kind, namespace
        case [first, second]:
            yield first, second, namespace
            yield first, kind, second
        case [first, second, third]:
            yield first, second, third
