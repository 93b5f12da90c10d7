"""Lists kept beside the rules that name them."""

from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from policy.lists import NamedList
from policy.store.database import Database
from policy.store.models import ListRow
from policy.store.shelf import Shelf
from policy.store.tables import LISTS


class ListStore(Shelf[NamedList]):
    def __init__(self, database: Database) -> None:
        super().__init__(database, LISTS)


def stored_lists(session: Session, known: Mapping[str, NamedList]) -> list[NamedList]:
    """By name; those of `known` that have not changed are taken from it, unread.

    Raises InvalidRule for an unfit row.
    """
    versions = session.execute(select(ListRow.name, ListRow.version).order_by(ListRow.name)).all()
    changed = [
        name for name, version in versions if name not in known or known[name].version != version
    ]
    read = {row.name: LISTS.read(row) for row in LISTS.rows(session, changed)}
    return [read.get(name) or known[name] for name, _ in versions]
