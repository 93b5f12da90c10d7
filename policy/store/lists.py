"""Lists kept beside the rules that name them: same database, same numbering, same record."""

from collections.abc import Callable, Iterable, Mapping

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from policy.errors import Conflict, InvalidRule, ListInUse, NameTaken, UnknownList
from policy.lists import NamedList, list_from_json, list_to_json, numbered_list
from policy.store.database import Database, Resource, last_version, next_version, record
from policy.store.models import ListRow, RuleRow

MAX_LISTS = 1000


class ListStore:
    """Safe to use from several threads. Every method raises RulesDown."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self) -> list[NamedList]:
        """By name. Raises InvalidRule for an unfit row."""
        with self._database.session() as session:
            return stored_lists(session, {})

    def get(self, name: str) -> NamedList:
        """Raises UnknownList."""
        with self._database.session() as session:
            return stored_list(found(session, name))

    def create(self, named: NamedList, actor: str = "") -> NamedList:
        """At version 1, or above that of an earlier list of the name.

        Raises NameTaken, and InvalidRule when there are MAX_LISTS.
        """
        with self._database.session() as session:
            set_version = next_version(session)
            if session.get(ListRow, named.name):
                raise NameTaken(named.name, Resource.LIST)
            if session.scalars(select(func.count()).select_from(ListRow)).one() >= MAX_LISTS:
                raise InvalidRule("", f"there are {MAX_LISTS} lists already, as many as may be")
            version = last_version(session, Resource.LIST, named.name) + 1
            created = numbered_list(named, version)
            document = list_to_json(created)
            session.add(ListRow(name=named.name, version=version, document=document))
            record(session, set_version, actor, Resource.LIST, named.name, None, document)
            return created

    def update(
        self,
        name: str,
        change: Callable[[NamedList], NamedList],
        expected: int | None = None,
        actor: str = "",
    ) -> NamedList:
        """What `change` makes of the present list, stored. It may raise; then nothing is changed.

        Raises UnknownList, and Conflict when the list is not at the `expected` version.
        """
        with self._database.session() as session:
            set_version = next_version(session)
            row = found(session, name, expected)
            changed = change(stored_list(row))
            if changed.name != name:
                raise InvalidRule("/name", "a list's name cannot be changed")
            after = numbered_list(changed, row.version + 1)
            before, document = row.document, list_to_json(after)
            row.version, row.document = after.version, document
            record(session, set_version, actor, Resource.LIST, name, before, document)
            return after

    def delete(self, name: str, expected: int | None = None, actor: str = "") -> None:
        """Raises UnknownList, ListInUse while rules name it, whatever their mode, and Conflict
        when the list is not at the `expected` version."""
        with self._database.session() as session:
            set_version = next_version(session)
            row = found(session, name, expected)
            if users := rules_using(session, name):
                raise ListInUse(name, users)
            record(session, set_version, actor, Resource.LIST, name, row.document, None)
            session.delete(row)


def found(session: Session, name: str, expected: int | None = None) -> ListRow:
    row = session.get(ListRow, name)
    if row is None:
        raise UnknownList(name)
    if expected is not None and row.version != expected:
        raise Conflict(name, expected, row.version, Resource.LIST)
    return row


def rules_using(session: Session, name: str) -> list[str]:
    """Names of the rules that ask this list."""
    using = (
        select(RuleRow.name)
        .where(
            RuleRow.document["kind"].as_string() == "list",
            RuleRow.document["list"].as_string() == name,
        )
        .order_by(RuleRow.name)
    )
    return [*session.scalars(using)]


def missing(session: Session, names: Iterable[str]) -> str:
    """The first of these that no list has; "" when each has one."""
    wanted = dict.fromkeys(names)
    if not wanted:
        return ""
    there = set(session.scalars(select(ListRow.name).where(ListRow.name.in_(wanted))))
    return next((name for name in wanted if name not in there), "")


def stored_lists(session: Session, known: Mapping[str, NamedList]) -> list[NamedList]:
    """By name; those of `known` that have not changed are taken from it, unread.

    Raises InvalidRule for an unfit row.
    """
    versions = session.execute(select(ListRow.name, ListRow.version).order_by(ListRow.name)).all()
    changed = [
        name for name, version in versions if name not in known or known[name].version != version
    ]
    rows = select(ListRow).where(ListRow.name.in_(changed)).order_by(ListRow.name)
    read = {row.name: stored_list(row) for row in session.scalars(rows)}
    return [read.get(name) or known[name] for name, _ in versions]


def stored_list(row: ListRow) -> NamedList:
    try:
        return numbered_list(list_from_json(row.document), row.version)
    except InvalidRule as error:
        raise error.within(f"/{row.name}") from error
