"""Which names may be told apart: a budget of services for each sender, and of operations for each
service.

A name that has a place keeps it until it was not sent for an hour, over a restart too. What finds
no place is to be stored under another name. What was answered about a group is kept as long as the
group, so whoever stores it, and however late, is answered the same.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from prometheus_client import Counter as Metric

from collector.model import Names

KEEP_S = 3600.0
EXPIRE_EVERY_S = 60.0  # at most: it looks at every place
SERVICE, OPERATION = "service", "operation"
TOTAL = {SERVICE: 20, OPERATION: 200}  # times what one sender, or service, may have, in all
MAX_TOLD = 500  # owners of whom it is told what was turned away
MAX_EXAMPLE_CHARS = 128

TURNED_AWAY = Metric(
    "meshmeter_names_turned_away",
    "names of groups that found no place in the budget and are stored as __other__",
    ["kind"],
)

KEPT = "SELECT over FROM verdicts WHERE group_id = ?"
KEEP = """
INSERT INTO verdicts SELECT ?, ? WHERE EXISTS (SELECT 1 FROM groups WHERE id = ?)
"""
ADD = "INSERT OR IGNORE INTO names VALUES (?, ?, ?)"
DROP = "DELETE FROM names WHERE kind = ? AND owner = ? AND name = ?"

Key = tuple[str, str]


class NameLimits(NamedTuple):
    """Services that a sender may bring, operations that a service may have."""

    services: int = 1000
    operations: int = 1000


class TurnedAway(NamedTuple):
    """What of one owner found no place since the process began."""

    kind: str
    owner: str  # a sender of services, a service that has operations
    places: int  # that it has now
    limit: int
    names: int  # counted once in each group
    example: str  # the last


@dataclass(slots=True)
class Place:
    owner: str
    name: str
    seen_s: float


class Register:
    """The places of one kind. `shared`: a name is one whoever sends it, and costs the first."""

    def __init__(self, kind: str, each: int, *, shared: bool) -> None:
        self.kind = kind
        self.each = each
        self._total = TOTAL[kind] * each
        self._shared = shared
        self._places: dict[Key, Place] = {}
        self._owned: Counter[str] = Counter()
        self._expired_s = 0.0
        self._away: dict[str, tuple[int, str]] = {}
        self.changes: list[tuple[str, Key]] = []  # statements not yet written

    def load(self, owned: Iterable[Key], now_s: float) -> None:
        for owner, name in owned:
            self._take(owner, name, now_s)

    def over(self, owner: str, names: Sequence[str], now_s: float) -> list[str]:
        """Those of them without a place."""
        left = [name for name in names if not self._admit(owner, name, now_s)]
        if left:
            TURNED_AWAY.labels(self.kind).inc(len(left))
            if owner in self._away or len(self._away) < MAX_TOLD:
                before = self._away.get(owner, (0, ""))[0]
                self._away[owner] = before + len(left), left[-1][:MAX_EXAMPLE_CHARS]
        return left

    def told(self) -> list[TurnedAway]:
        return [
            TurnedAway(self.kind, owner, self._owned[owner], self.each, count, example)
            for owner, (count, example) in self._away.items()
        ]

    def _admit(self, owner: str, name: str, now_s: float) -> bool:
        place = self._places.get(self._key(owner, name))
        if place is not None:
            place.seen_s = now_s
            return True
        if self._full(owner):
            self._expire(now_s)
            if self._full(owner):
                return False
        self._take(owner, name, now_s)
        self.changes.append((ADD, (owner, name)))
        return True

    def _take(self, owner: str, name: str, now_s: float) -> None:
        self._places[self._key(owner, name)] = Place(owner, name, now_s)
        self._owned[owner] += 1

    def _key(self, owner: str, name: str) -> Key:
        return ("", name) if self._shared else (owner, name)

    def _full(self, owner: str) -> bool:
        return self._owned[owner] >= self.each or len(self._places) >= self._total

    def _expire(self, now_s: float) -> None:
        if now_s - self._expired_s < EXPIRE_EVERY_S:
            return
        self._expired_s = now_s
        old = [key for key, place in self._places.items() if now_s - place.seen_s > KEEP_S]
        for key in old:
            place = self._places.pop(key)
            self._owned[place.owner] -= 1
            self.changes.append((DROP, (place.owner, place.name)))


class NameBudget:
    """Both kinds. What touches a connection is inside a transaction of the writer's."""

    def __init__(self, limits: NameLimits) -> None:
        self._services = Register(SERVICE, limits.services, shared=True)
        self._operations = Register(OPERATION, limits.operations, shared=False)
        self._both = (self._services, self._operations)

    def load(self, connection: sqlite3.Connection, now_s: float) -> None:
        for register in self._both:
            found = connection.execute(
                "SELECT owner, name FROM names WHERE kind = ?", (register.kind,)
            )
            register.load(found, now_s)

    def over(self, connection: sqlite3.Connection, group: int, names: Names, now_s: float) -> Names:
        """Of the names in a group, those that are to be stored under another."""
        kept = connection.execute(KEPT, (group,)).fetchone()
        if kept is not None:
            answered: dict[str, Any] = json.loads(kept[0])
            return answered
        over = self._decided(names, now_s)
        connection.execute(KEEP, (group, json.dumps(over), group))
        for register in self._both:
            for statement, (owner, name) in register.changes:
                connection.execute(statement, (register.kind, owner, name))
            register.changes.clear()
        return over

    def told(self) -> list[TurnedAway]:
        return [entry for register in self._both for entry in register.told()]

    def _decided(self, names: Names, now_s: float) -> Names:
        services: dict[str, Sequence[str]] = {}
        for sender, sent in names.get(SERVICE, {}).items():
            if left := self._services.over(sender, sent, now_s):
                services[sender] = left
        nameless = {name for left in services.values() for name in left}
        operations: dict[str, Sequence[str]] = {}
        for service, has in names.get(OPERATION, {}).items():
            # Those of a service without a place go with it.
            if service not in nameless and (left := self._operations.over(service, has, now_s)):
                operations[service] = left
        return {SERVICE: services, OPERATION: operations}
