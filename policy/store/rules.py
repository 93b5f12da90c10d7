"""Rules kept in a database: each change numbered, recorded and in one transaction."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, true, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from policy.errors import Conflict, InvalidRule, NameTaken, RulesDown, UnknownRule
from policy.rules import AnyRule, numbered, rule_from_json, rule_to_json
from policy.snapshot import Snapshot, compile_snapshot
from policy.store.engine import rules_engine
from policy.store.models import RuleChangeRow, RuleRow, RuleSetRow

SET = 1  # the one row of rule_set


@dataclass(frozen=True)
class Change:
    """`version` is the whole set's after it."""

    version: int
    time: datetime
    actor: str
    name: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None


class RuleStore:
    """Safe to use from several threads. Every method raises RulesDown."""

    def __init__(self, url: str) -> None:
        self._engine = rules_engine(url)

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _session(self) -> Iterator[Session]:
        try:
            with Session(self._engine) as session, session.begin():
                yield session
        except SQLAlchemyError as error:
            cause = getattr(error, "orig", None) or error
            raise RulesDown(f"the rule database does not answer: {cause}") from error

    def version(self) -> int:
        """That of the whole set; it grows by one with each change."""
        with self._session() as session:
            return session.scalars(select(RuleSetRow.version)).one()

    def load(self) -> tuple[int, list[AnyRule]]:
        """The set's version and its rules, of one moment. Raises InvalidRule for an unfit row."""
        both = select(RuleSetRow.version, RuleRow).outerjoin(RuleRow, true()).order_by(RuleRow.name)
        with self._session() as session:
            rows: Sequence[Any] = session.execute(both).all()
            rules = [stored_rule(row) for _, row in rows if row is not None]
            return rows[0][0], rules

    def load_snapshot(self, previous: Snapshot | None = None) -> Snapshot:
        """Raises InvalidRule."""
        version, rules = self.load()
        return compile_snapshot(rules, version, previous)

    def get(self, name: str) -> AnyRule:
        """Raises UnknownRule."""
        with self._session() as session:
            return stored_rule(found(session, name))

    def changes(self, limit: int = 100) -> list[Change]:
        """The newest first."""
        newest = select(RuleChangeRow).order_by(RuleChangeRow.version.desc()).limit(limit)
        with self._session() as session:
            return [
                Change(row.version, row.time, row.actor, row.name, row.before, row.after)
                for row in session.scalars(newest)
            ]

    def create(self, rule: AnyRule, actor: str = "") -> AnyRule:
        """At version 1, or above that of an earlier rule of the name. Raises NameTaken."""
        with self._session() as session:
            set_version = next_version(session)
            if session.get(RuleRow, rule.name):
                raise NameTaken(rule.name)
            # Never a version twice: decisions are told apart by name@version.
            created = numbered(rule, last_version(session, rule.name) + 1)
            session.add(
                RuleRow(name=rule.name, version=created.version, document=rule_to_json(created))
            )
            record(session, set_version, actor, rule.name, None, created)
            return created

    def update(
        self,
        name: str,
        change: Callable[[AnyRule], AnyRule],
        expected: int | None = None,
        actor: str = "",
    ) -> AnyRule:
        """What `change` makes of the present rule, stored. It may raise; then nothing is changed.

        Raises UnknownRule, and Conflict when the rule is not at the `expected` version.
        """
        with self._session() as session:
            set_version = next_version(session)
            row = found(session, name, expected)
            before = stored_rule(row)
            changed = change(before)
            if changed.name != name:
                raise InvalidRule("/name", "a rule's name cannot be changed")
            after = numbered(changed, row.version + 1)
            row.version, row.document = after.version, rule_to_json(after)
            record(session, set_version, actor, name, before, after)
            return after

    def delete(self, name: str, expected: int | None = None, actor: str = "") -> None:
        """Raises UnknownRule, and Conflict when the rule is not at the `expected` version."""
        with self._session() as session:
            set_version = next_version(session)
            row = found(session, name, expected)
            record(session, set_version, actor, name, stored_rule(row), None)
            session.delete(row)

    def list(self) -> list[AnyRule]:
        """By name."""
        return self.load()[1]


def next_version(session: Session) -> int:
    """First in each transaction that writes: it takes the lock before anything was read."""
    added = update(RuleSetRow).where(RuleSetRow.id == SET).values(version=RuleSetRow.version + 1)
    return session.scalars(added.returning(RuleSetRow.version)).one()


def found(session: Session, name: str, expected: int | None = None) -> RuleRow:
    row = session.get(RuleRow, name)
    if row is None:
        raise UnknownRule(name)
    if expected is not None and row.version != expected:
        raise Conflict(name, expected, row.version)
    return row


def last_version(session: Session, name: str) -> int:
    """0 for a name never used."""
    newest = (
        select(RuleChangeRow.before)
        .where(RuleChangeRow.name == name)
        .order_by(RuleChangeRow.version.desc())
        .limit(1)
    )
    before = session.scalars(newest).first()
    return int(before["version"]) if before else 0


def stored_rule(row: RuleRow) -> AnyRule:
    try:
        return numbered(rule_from_json(row.document), row.version)
    except InvalidRule as error:
        raise error.within(f"/{row.name}") from error


def record(
    session: Session,
    version: int,
    actor: str,
    name: str,
    before: AnyRule | None,
    after: AnyRule | None,
) -> None:
    session.add(
        RuleChangeRow(
            version=version,
            actor=actor[:255],
            name=name,
            before=rule_to_json(before) if before else None,
            after=rule_to_json(after) if after else None,
        )
    )
