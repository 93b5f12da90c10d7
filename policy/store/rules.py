"""Rules kept in a database: each change numbered, recorded and in one transaction."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from policy.errors import Conflict, InvalidRule, NameTaken, UnknownRule
from policy.kinds import ListRule
from policy.lists import NamedList
from policy.rules import AnyRule, numbered, rule_from_json, rule_to_json
from policy.snapshot import Snapshot, compile_snapshot
from policy.store.database import (
    Change,
    Database,
    Resource,
    changes,
    last_version,
    next_version,
    record,
)
from policy.store.lists import ListStore, missing, stored_lists
from policy.store.models import RuleRow, RuleSetRow

NO_LISTS: Mapping[str, NamedList] = MappingProxyType({})


class RuleSet(NamedTuple):
    """All there is, of one moment. `version` grows by one with each change."""

    version: int
    rules: list[AnyRule]
    lists: list[NamedList]


class RuleStore:
    """Safe to use from several threads. Every method raises RulesDown."""

    def __init__(self, url: str) -> None:
        self._database = Database(url)
        self.lists = ListStore(self._database)

    def close(self) -> None:
        self._database.close()

    def version(self) -> int:
        """That of the whole set; it grows by one with each change."""
        with self._database.session() as session:
            return session.scalars(select(RuleSetRow.version)).one()

    def load(self, known: Mapping[str, NamedList] = NO_LISTS) -> RuleSet:
        """Lists of `known` that have not changed are taken from it. Raises InvalidRule for an
        unfit row."""
        with self._database.session(one_moment=True) as session:
            version = session.scalars(select(RuleSetRow.version)).one()
            rows = session.scalars(select(RuleRow).order_by(RuleRow.name))
            return RuleSet(version, [*map(stored_rule, rows)], stored_lists(session, known))

    def load_snapshot(self, previous: Snapshot | None = None) -> Snapshot:
        """Raises InvalidRule."""
        loaded = self.load()
        return compile_snapshot(loaded.rules, loaded.version, previous)

    def get(self, name: str) -> AnyRule:
        """Raises UnknownRule."""
        with self._database.session() as session:
            return stored_rule(found(session, name))

    def changes(self, limit: int = 100) -> list[Change]:
        """Of rules and lists, the newest first."""
        with self._database.session() as session:
            return changes(session, limit)

    def create(self, rule: AnyRule, actor: str = "") -> AnyRule:
        """At version 1, or above that of an earlier rule of the name.

        Raises NameTaken, and InvalidRule for a list that is not there.
        """
        with self._database.session() as session:
            set_version = next_version(session)
            if session.get(RuleRow, rule.name):
                raise NameTaken(rule.name)
            # Never a version twice: decisions are told apart by name@version.
            created = numbered(rule, last_version(session, Resource.RULE, rule.name) + 1)
            check_lists(session, created)
            document = rule_to_json(created)
            session.add(RuleRow(name=rule.name, version=created.version, document=document))
            record(session, set_version, actor, Resource.RULE, rule.name, None, document)
            return created

    def update(
        self,
        name: str,
        change: Callable[[AnyRule], AnyRule],
        expected: int | None = None,
        actor: str = "",
    ) -> AnyRule:
        """What `change` makes of the present rule, stored. It may raise; then nothing is changed.

        Raises UnknownRule, Conflict when the rule is not at the `expected` version, and
        InvalidRule for a list that is not there.
        """
        with self._database.session() as session:
            set_version = next_version(session)
            row = found(session, name, expected)
            changed = change(stored_rule(row))
            if changed.name != name:
                raise InvalidRule("/name", "a rule's name cannot be changed")
            after = numbered(changed, row.version + 1)
            check_lists(session, after)
            before, document = row.document, rule_to_json(after)
            row.version, row.document = after.version, document
            record(session, set_version, actor, Resource.RULE, name, before, document)
            return after

    def delete(self, name: str, expected: int | None = None, actor: str = "") -> None:
        """Raises UnknownRule, and Conflict when the rule is not at the `expected` version."""
        with self._database.session() as session:
            set_version = next_version(session)
            row = found(session, name, expected)
            record(session, set_version, actor, Resource.RULE, name, row.document, None)
            session.delete(row)

    def list(self) -> list[AnyRule]:
        """By name."""
        with self._database.session() as session:
            return [*map(stored_rule, session.scalars(select(RuleRow).order_by(RuleRow.name)))]


def found(session: Session, name: str, expected: int | None = None) -> RuleRow:
    row = session.get(RuleRow, name)
    if row is None:
        raise UnknownRule(name)
    if expected is not None and row.version != expected:
        raise Conflict(name, expected, row.version)
    return row


def check_lists(session: Session, rule: AnyRule) -> None:
    """Raises InvalidRule unless every list that the rule asks is there."""
    asked = (rule.list,) if isinstance(rule, ListRule) and rule.list else ()
    if absent := missing(session, asked):
        raise InvalidRule("/list", f"there is no list {absent!r}")


def stored_rule(row: RuleRow) -> AnyRule:
    try:
        return numbered(rule_from_json(row.document), row.version)
    except InvalidRule as error:
        raise error.within(f"/{row.name}") from error
