"""What is remembered of changes: acts, and the versions of the rule set that they make."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from policy.differences import Difference, differences

MAX_NAME = 255
MAX_REASON = 1024
Document = Mapping[str, Any]


class Resource(StrEnum):
    """What can be acted on."""

    COUNTER = "counter"
    LIST = "list"
    RULE = "rule"


SET = (Resource.LIST, Resource.RULE)  # what the rule set is made of


class By(NamedTuple):
    """Whose act: `actor` is who they say they are, `peer` the address they came from."""

    actor: str = ""
    reason: str = ""
    peer: str = ""


NOBODY = By()


class Edit(NamedTuple):
    """One thing before and after an act; None where there is none."""

    resource: Resource
    name: str
    before: Document | None
    after: Document | None

    @property
    def change(self) -> str:
        """added, changed or removed."""
        return change_of(self.before is None, self.after is None)

    @property
    def fields(self) -> Sequence[Difference]:
        """Of what there is both before and after."""
        if self.before is None or self.after is None:
            return ()
        return differences(self.before, self.after)


class Applied(NamedTuple):
    """`version` is the set's: a new one only when there are edits."""

    version: int
    edits: Sequence[Edit]


class Touched(NamedTuple):
    resource: Resource
    name: str
    change: str  # added, changed or removed


class Version(NamedTuple):
    """What made the set as it is at `version`; version 0, the empty set, is nobody's.

    `changes` counts the things it changed, `touched` are the first of them.
    """

    version: int
    time: datetime | None
    actor: str
    peer: str
    action: str
    reason: str
    changes: int
    touched: Sequence[Touched]


EMPTY = Version(0, None, "", "", "", "", 0, ())


class Versions(NamedTuple):
    """`total` counts all there are."""

    versions: Sequence[Version]
    total: int


class Differing(NamedTuple):
    """What leads from one version to another; `more`: there is more behind the last."""

    edits: Sequence[Edit]
    more: bool


class Entry(NamedTuple):
    """One edit of the audit log. `version` is None for what did not change the set."""

    id: int
    time: datetime
    actor: str
    peer: str
    action: str
    reason: str
    version: int | None
    resource: Resource
    name: str
    before: Document | None
    after: Document | None


class Asked(NamedTuple):
    """Which entries; "" and None ask for all. Since, and until but not at, a time."""

    actor: str = ""
    action: str = ""
    resource: Resource | None = None
    name: str = ""
    since: datetime | None = None
    until: datetime | None = None


EVERYTHING = Asked()


class Entries(NamedTuple):
    """`total` counts all that were asked for; `more`: there are older ones than the last."""

    entries: Sequence[Entry]
    total: int
    more: bool


def change_of(new: bool, gone: bool) -> str:
    if new:
        return "added"
    return "removed" if gone else "changed"
