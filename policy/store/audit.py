"""Who did what, to what, why and when: the log, read as a list."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Text, cast, func, select

from policy.acts import EVERYTHING, Asked, By, Edit, Entries, Entry, Resource
from policy.store.database import Database
from policy.store.log import write_act
from policy.store.models import ActRow, ChangeRow

MAX_BYTES = 8 * 1024 * 1024  # of documents in one page


class Audit:
    """Safe to use from several threads. Every method raises RulesDown."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def entries(self, limit: int, before: int | None = None, asked: Asked = EVERYTHING) -> Entries:
        """The newest first, those with ids below `before`; fewer when their documents are large."""
        where = conditions(asked)
        below = [] if before is None else [ChangeRow.id < before]
        sizes = (
            select(ChangeRow.id, characters(ChangeRow.before) + characters(ChangeRow.after))
            .join(ActRow)
            .where(*where, *below)
            .order_by(ChangeRow.id.desc())
            .limit(limit + 1)
        )
        count = select(func.count(ChangeRow.id)).join(ActRow).where(*where)
        with self._database.reading() as session:
            total = session.scalars(count).one()
            found = session.execute(sizes).all()
            ids = fitting([(row[0], row[1]) for row in found[:limit]])
            rows = (
                select(ChangeRow, ActRow)
                .join(ActRow)
                .where(ChangeRow.id.in_(ids))
                .order_by(ChangeRow.id.desc())
            )
            entries = [entry(change, act) for change, act in session.execute(rows)]
        return Entries(entries, total, len(found) > len(ids))

    def add(self, by: By, action: str, work: Callable[[], Sequence[Edit]]) -> None:
        """An act that does not change the set, done by `work` only when it can be logged."""
        with self._database.writing() as session:
            write_act(session, by, action, None, work)


def conditions(asked: Asked) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [
        column == value
        for column, value in (
            (ActRow.actor, asked.actor),
            (ActRow.action, asked.action),
            (ChangeRow.resource, asked.resource),
            (ChangeRow.name, asked.name),
        )
        if value
    ]
    if asked.since is not None:
        found.append(ActRow.time >= asked.since)
    if asked.until is not None:
        found.append(ActRow.time < asked.until)
    return found


def characters(document: Any) -> ColumnElement[int]:
    return func.coalesce(func.length(cast(document, Text)), 0)


def fitting(sizes: Iterable[tuple[int, int]]) -> list[int]:
    """The first, as many as are within MAX_BYTES; never none of some."""
    ids: list[int] = []
    left = MAX_BYTES
    for found, size in sizes:
        if ids and size > left:
            break
        ids.append(found)
        left -= size
    return ids


def entry(change: ChangeRow, act: ActRow) -> Entry:
    return Entry(
        change.id, act.time, act.actor, act.peer, act.action, act.reason, act.version,
        Resource(change.resource), change.name, change.before, change.after,
    )  # fmt: skip
