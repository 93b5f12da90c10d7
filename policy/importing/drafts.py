"""What an importer makes: documents that have their source's names yet."""

from dataclasses import dataclass, field
from typing import Any

from policy.importing.names import Parts
from policy.importing.places import Place


@dataclass(frozen=True, slots=True)
class Draft:
    """A document but for its name. `place`: what it was made of."""

    place: Place
    name: Parts  # as the source calls it
    document: dict[str, Any]
    label: bool = False  # the name is one already: it stays, or is refused


@dataclass(frozen=True, slots=True)
class Drafts:
    rules: list[Draft] = field(default_factory=list)
    lists: list[Draft] = field(default_factory=list)
