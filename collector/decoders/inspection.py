"""What a front-end must know of an OTLP request before it acknowledges it, and no more.

The items stay raw: a request of two million empty ones is counted and refused without making two
million objects.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from collector.decoders.bounds import TOO_MANY
from collector.decoders.limits import MAX_ITEMS, Reason, Refusal
from collector.errors import TooLarge

TOLD_REASONS = 3


class Skeleton(Protocol):
    """A request in either encoding: resources of scopes of raw items."""

    @property
    def resources(self) -> "Sequence[ResourceItems] | None": ...


class ResourceItems(Protocol):
    @property
    def scopes(self) -> "Sequence[ScopeItems] | None": ...


class ScopeItems(Protocol):
    @property
    def items(self) -> Sequence[bytes] | None: ...


@dataclass
class Inspection:
    """`rejected` of the `items` will be dead letters: what `partial_success` says."""

    items: int = 0
    rejected: int = 0
    _reasons: dict[Reason, str] = field(default_factory=dict)

    def note(self, refusal: Refusal | None) -> None:
        """One item more, refused or not."""
        self.items += 1
        if refusal:
            self.rejected += 1
            self._reasons.setdefault(*refusal)

    def expect(self, more: int) -> None:
        """Raises TooLarge when so many more are too many."""
        if self.items + more > MAX_ITEMS:
            raise TooLarge(TOO_MANY)

    @property
    def reasons(self) -> list[str]:
        """The first few, each once."""
        return list(self._reasons.values())[:TOLD_REASONS]


Look = Callable[[bytes, int, Inspection], None]  # an item, when it came, and where to note it


def inspect(request: Skeleton, received_ns: int, look: Look) -> Inspection:
    """Raises TooLarge for more than MAX_ITEMS items."""
    refuse_bomb(request)
    found = Inspection()
    for resource in request.resources or ():
        for scope in resource.scopes or ():
            for item in scope.items or ():
                look(item, received_ns, found)
    return found


def refuse_bomb(request: Skeleton) -> None:
    """Raises TooLarge. Empty resources and scopes cost memory too, and are counted."""
    resources = request.resources or ()
    items = len(resources)
    for resource in resources:
        scopes = resource.scopes or ()
        items += len(scopes)
        if items > MAX_ITEMS:
            break
        items += sum(len(scope.items or ()) for scope in scopes)
    if items > MAX_ITEMS:
        raise TooLarge(TOO_MANY)
