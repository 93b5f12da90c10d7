"""Rules, or lists, kept in a database: each change numbered, recorded and in one transaction."""

from collections.abc import Callable
from typing import Generic

from policy.acts import NOBODY, By, Edit
from policy.errors import InvalidRule, NameTaken
from policy.store.database import Database
from policy.store.log import locked_version, record
from policy.store.tables import Table, Thing


class Shelf(Generic[Thing]):
    """Safe to use from several threads. Every method raises RulesDown."""

    def __init__(self, database: Database, table: Table[Thing]) -> None:
        self.database = database
        self._table = table

    def list(self) -> list[Thing]:
        """By name. Raises InvalidRule for an unfit row."""
        with self.database.reading() as session:
            return [*map(self._table.read, self._table.rows(session))]

    def get(self, name: str) -> Thing:
        """Raises UnknownRule or UnknownList."""
        with self.database.reading() as session:
            return self._table.read(self._table.find(session, name))

    def create(self, thing: Thing, by: By = NOBODY) -> Thing:
        """At version 1, or above that of an earlier one of the name.

        Raises NameTaken, TooMany, and InvalidRule for what needs something that is not there.
        """
        with self.database.writing() as session:
            present = locked_version(session)
            if session.get(self._table.row, thing.name):
                raise NameTaken(thing.name, self._table.resource)
            last = self._table.last_versions(session, [thing.name]).get(thing.name, 0)
            created = numbered(thing, last + 1)
            self._table.check(session, created)
            edit = Edit(self._table.resource, thing.name, None, self._table.to_json(created))
            self._table.write(session, [edit])
            record(session, by, "create", present + 1, [edit])
            return created

    def update(
        self,
        name: str,
        change: Callable[[Thing], Thing],
        expected: int | None = None,
        by: By = NOBODY,
        action: str = "update",
    ) -> Thing:
        """What `change` makes of the present one, stored. It may raise; then nothing is changed.

        Raises UnknownRule or UnknownList, Conflict when it is not at the `expected` version, and
        InvalidRule for what needs something that is not there.
        """
        with self.database.writing() as session:
            present = locked_version(session)
            row = self._table.find(session, name, expected)
            changed = change(self._table.read(row))
            if changed.name != name:
                raise InvalidRule("/name", f"a {self._table.resource}'s name cannot be changed")
            after = numbered(changed, row.version + 1)
            self._table.check(session, after)
            edit = Edit(self._table.resource, name, row.document, self._table.to_json(after))
            self._table.write(session, [edit])
            record(session, by, action, present + 1, [edit])
            return after

    def delete(self, name: str, expected: int | None = None, by: By = NOBODY) -> None:
        """Raises UnknownRule or UnknownList, Conflict when it is not at the `expected` version, and
        ListInUse."""
        with self.database.writing() as session:
            present = locked_version(session)
            row = self._table.find(session, name, expected)
            self._table.release(session, name)
            edit = Edit(self._table.resource, name, row.document, None)
            self._table.write(session, [edit])
            record(session, by, "delete", present + 1, [edit])


def numbered(thing: Thing, version: int) -> Thing:
    return thing.model_copy(update={"version": version})
