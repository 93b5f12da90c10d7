"""The versions of the rule set: what made each, what was in it, and the way back to it."""

from collections.abc import Iterator, Sequence

from sqlalchemy import func, select, tuple_
from sqlalchemy.orm import Session

from policy.acts import (
    EMPTY,
    NOBODY,
    SET,
    Applied,
    By,
    Differing,
    Document,
    Edit,
    Resource,
    Version,
    Versions,
)
from policy.errors import UnknownVersion
from policy.store.applying import apply
from policy.store.database import Database
from policy.store.models import ActRow, ChangeRow
from policy.store.states import states
from policy.store.tables import same
from policy.store.versions import described

MAX_VERSION = 2**31 - 1  # the column's
CHUNK = 200  # documents in one read
Key = tuple[Resource, str]  # resource and name


class History:
    """Safe to use from several threads. Every method raises RulesDown."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def versions(self, limit: int, before: int | None = None) -> Versions:
        """The newest first, those below `before`; and how many there are in all."""
        acts = select(ActRow).where(ActRow.version.is_not(None)).order_by(ActRow.version.desc())
        below = acts if before is None else acts.where(ActRow.version < before)
        with self._database.reading() as session:
            total = session.scalars(select(func.count(ActRow.version))).one()
            return Versions(described(session, session.scalars(below.limit(limit)).all()), total)

    def version(self, version: int) -> Version:
        """Raises UnknownVersion."""
        if version == 0:
            return EMPTY
        with self._database.reading() as session:
            act = session.get_one(ActRow, act_of(session, version))
            return described(session, [act])[0]

    def documents(self, version: int, resource: Resource = Resource.RULE) -> Iterator[Document]:
        """What was in the set at the version, by name; read bit by bit, for it does not change.

        Raises UnknownVersion at the first.
        """
        with self._database.reading() as session:
            act = act_of(session, version)
        after: Key | None = resource, ""
        while after:
            with self._database.reading() as session:
                keys = touched_after(session, 0, act, after, [resource])
                found = states(session, act, resource, [name for _, name in keys])
            yield from (found[name] for _, name in keys if name in found)
            after = keys[-1] if keys else None

    def difference(self, one: int, other: int, limit: int, after: Key | None = None) -> Differing:
        """What leads from one version to the other, by resource and name, those behind `after`.

        Raises UnknownVersion.
        """
        edits: list[Edit] = []
        with self._database.reading() as session:
            first, second = act_of(session, one), act_of(session, other)
            low, high = sorted([first, second])
            while len(edits) <= limit:
                keys = touched_after(session, low, high, after, SET)
                if not keys:
                    return Differing(edits, False)
                for resource in SET:
                    names = [name for found, name in keys if found == resource]
                    old = states(session, first, resource, names)
                    new = states(session, second, resource, names)
                    pairs = (Edit(resource, name, old.get(name), new.get(name)) for name in names)
                    edits += [edit for edit in pairs if differs(edit)]
                after = keys[-1]
        return Differing(edits[:limit], True)

    def rollback(self, version: int, by: By = NOBODY, expected: int | None = None) -> Applied:
        """A new version, in which the set is as it was at `version`; none when it is so already.

        All or noedit. Raises UnknownVersion, InvalidRule for what is no rule any more, and
        Conflict when the set is not at the `expected` version.
        """
        lists, rules = (
            {document["name"]: document for document in self.documents(version, resource)}
            for resource in SET
        )
        with self._database.writing() as session:
            return apply(session, rules, lists, by, "rollback", only=True, expected=expected)


def act_of(session: Session, version: int) -> int:
    """Which made that version; 0 made none. Raises UnknownVersion."""
    if version == 0:
        return 0
    asked = select(ActRow.id).where(ActRow.version == version)
    found = session.scalars(asked).first() if version <= MAX_VERSION else None
    if found is None:
        raise UnknownVersion(version)
    return found


def touched_after(
    session: Session, since: int, until: int, after: Key | None, resources: Sequence[Resource]
) -> list[Key]:
    """The next things that acts behind `since`, `until` among them, have changed."""
    key = ChangeRow.resource, ChangeRow.name
    touched = (
        select(*key)
        .where(ChangeRow.resource.in_(resources), tuple_(*key) > (after or ("", "")))
        .where(ChangeRow.act > since, ChangeRow.act <= until)
        .distinct()
        .order_by(*key)
        .limit(CHUNK)
    )
    return [(Resource(resource), name) for resource, name in session.execute(touched)]


def differs(edit: Edit) -> bool:
    if edit.before is None or edit.after is None:
        return edit.before is not edit.after
    return not same(edit.before, edit.after)
