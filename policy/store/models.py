"""The rows of the rule database. A row is JSON until it is made a rule or a list."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, DateTime, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


def now() -> datetime:
    return datetime.now(UTC)


class RuleSetRow(Base):
    """One row: the version of the whole set. Every change begins by adding one to it, which also
    makes writers wait for one another."""

    __tablename__ = "rule_set"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    version: Mapped[int]


class RuleRow(Base):
    """What to decide, and when. Read whole into a snapshot, never per request."""

    __tablename__ = "rules"
    __table_args__ = (CheckConstraint("length(name) BETWEEN 1 AND 63", name="rule_name_length"),)

    name: Mapped[str] = mapped_column(String(63), primary_key=True)
    version: Mapped[int]
    document: Mapped[dict[str, Any]] = mapped_column(JSON)
    changed_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=now, onupdate=now)


class ListRow(Base):
    """What rules ask by name: entries, or where a collector fetches them."""

    __tablename__ = "lists"
    __table_args__ = (CheckConstraint("length(name) BETWEEN 1 AND 63", name="list_name_length"),)

    name: Mapped[str] = mapped_column(String(63), primary_key=True)
    version: Mapped[int]
    document: Mapped[dict[str, Any]] = mapped_column(JSON)
    changed_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=now, onupdate=now)


class RuleChangeRow(Base):
    """One change of one rule or list. `version` is the whole set's after it; before or after is
    null."""

    __tablename__ = "rule_changes"

    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    time: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=now)
    actor: Mapped[str] = mapped_column(String(255))
    resource: Mapped[str] = mapped_column(String(16), server_default="rule")
    name: Mapped[str] = mapped_column(String(63), index=True)
    before: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    after: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
