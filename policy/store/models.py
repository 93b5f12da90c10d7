"""The rows of the rule database. A row is JSON until it is made a rule or a list."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    String,
    TypeDecorator,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SERIAL = BigInteger().with_variant(Integer, "sqlite")  # which numbers rows of that type only


class Base(DeclarativeBase):
    pass


class Moment(TypeDecorator[datetime]):
    """A time with its zone, UTC. SQLite keeps none."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _: Dialect) -> datetime | None:
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: Any, _: Dialect) -> datetime | None:
        if value is None:
            return None
        found: datetime = value
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def now() -> datetime:
    return datetime.now(UTC)


class RuleSetRow(Base):
    """One row: the version of the whole set. Every change begins by adding one to it, which also
    makes writers wait for one another."""

    __tablename__ = "rule_set"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    version: Mapped[int]


class DocumentRow(Base):
    """What people write, as they do."""

    __abstract__ = True

    name: Mapped[str] = mapped_column(String(63), primary_key=True)
    version: Mapped[int]
    document: Mapped[dict[str, Any]] = mapped_column(JSON)
    changed_at: Mapped[datetime] = mapped_column(Moment, default=now, onupdate=now)


class RuleRow(DocumentRow):
    """What to decide, and when. Read whole into a snapshot, never per request."""

    __tablename__ = "rules"
    __table_args__ = (CheckConstraint("length(name) BETWEEN 1 AND 63", name="rule_name_length"),)


class ListRow(DocumentRow):
    """What rules ask by name: entries, or where a collector fetches them."""

    __tablename__ = "lists"
    __table_args__ = (CheckConstraint("length(name) BETWEEN 1 AND 63", name="list_name_length"),)


class ActRow(Base):
    """Something that was done: who, when, why. `version` is the whole set's after it; null for what
    did not change the set. Ids grow with versions: whoever makes one holds the set's lock."""

    __tablename__ = "acts"

    id: Mapped[int] = mapped_column(SERIAL, primary_key=True)
    version: Mapped[int | None] = mapped_column(unique=True)
    time: Mapped[datetime] = mapped_column(Moment, default=now, index=True)
    actor: Mapped[str] = mapped_column(String(255), index=True)
    peer: Mapped[str] = mapped_column(String(255))
    action: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(String(1024))


class ChangeRow(Base):
    """What an act did to one thing; before or after is null where there was none."""

    __tablename__ = "changes"
    __table_args__ = (Index("ix_changes_thing", "resource", "name", "act"),)

    id: Mapped[int] = mapped_column(SERIAL, primary_key=True)
    act: Mapped[int] = mapped_column(SERIAL, ForeignKey("acts.id"), index=True)
    resource: Mapped[str] = mapped_column(String(16))
    name: Mapped[str] = mapped_column(String(63))
    before: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    after: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
