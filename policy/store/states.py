"""How things were after an act: the log read backwards."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import and_, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from policy.acts import Document, Resource
from policy.store.models import ChangeRow


def states(
    session: Session, act: int, resource: Resource, names: Sequence[str]
) -> dict[str, Document]:
    """By name; those that were not there are not here."""
    return last(session, ChangeRow.after, resource, names, act)


def last(
    session: Session,
    column: InstrumentedAttribute[Any],
    resource: Resource,
    names: Sequence[str],
    act: int | None = None,
) -> dict[str, Document]:
    """The column of what was last done to each, by name: until and by the `act`, or ever."""
    of_these = [ChangeRow.resource == resource, ChangeRow.name.in_(names)]
    until = [] if act is None else [ChangeRow.act <= act]
    newest = (
        select(ChangeRow.name, func.max(ChangeRow.act).label("act"))
        .where(*of_these, *until)
        .group_by(ChangeRow.name)
        .subquery()
    )
    is_newest = and_(ChangeRow.name == newest.c.name, ChangeRow.act == newest.c.act)
    found = session.execute(
        select(ChangeRow.name, column).where(*of_these).join(newest, is_newest)
    )  # fmt: skip
    return {name: document for name, document in found if document is not None}
