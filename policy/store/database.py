"""Transactions on the rule database, and what every change in it does first and last."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from policy.errors import RulesDown
from policy.store.engine import rules_engine
from policy.store.models import RuleChangeRow, RuleSetRow

SET = 1  # the one row of rule_set

Document = Mapping[str, Any]


class Resource(StrEnum):
    """What a change is one of."""

    RULE = "rule"
    LIST = "list"


@dataclass(frozen=True)
class Change:
    """`version` is the whole set's after it."""

    version: int
    time: datetime
    actor: str
    resource: Resource
    name: str
    before: Document | None
    after: Document | None


class Database:
    """Safe to use from several threads."""

    def __init__(self, url: str) -> None:
        """Raises RulesDown for a URL that cannot be read; nothing connects yet."""
        self._engine = rules_engine(url)

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def session(self, *, one_moment: bool = False) -> Iterator[Session]:
        """One transaction. `one_moment`: all that it reads is of one. Raises RulesDown."""
        try:
            with Session(self._engine) as session, session.begin():
                if one_moment and self._engine.dialect.name == "postgresql":
                    session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
                yield session
        except SQLAlchemyError as error:
            cause = getattr(error, "orig", None) or error
            raise RulesDown(f"the rule database does not answer: {cause}") from error


def next_version(session: Session) -> int:
    """First in each transaction that writes: it takes the lock before anything was read."""
    added = update(RuleSetRow).where(RuleSetRow.id == SET).values(version=RuleSetRow.version + 1)
    return session.scalars(added.returning(RuleSetRow.version)).one()


def last_version(session: Session, resource: Resource, name: str) -> int:
    """0 for a name never used."""
    newest = (
        select(RuleChangeRow.before)
        .where(RuleChangeRow.resource == resource, RuleChangeRow.name == name)
        .order_by(RuleChangeRow.version.desc())
        .limit(1)
    )
    before = session.scalars(newest).first()
    return int(before["version"]) if before else 0


def record(
    session: Session,
    version: int,
    actor: str,
    resource: Resource,
    name: str,
    before: Document | None,
    after: Document | None,
) -> None:
    """Last: what there was, and what there is now; null for nothing."""
    session.add(
        RuleChangeRow(
            version=version,
            actor=actor[:255],
            resource=resource,
            name=name,
            before=before,
            after=after,
        )
    )


def changes(session: Session, limit: int) -> list[Change]:
    """The newest first."""
    newest = select(RuleChangeRow).order_by(RuleChangeRow.version.desc()).limit(limit)
    return [
        Change(
            row.version,
            row.time,
            row.actor,
            Resource(row.resource),
            row.name,
            row.before,
            row.after,
        )
        for row in session.scalars(newest)
    ]
