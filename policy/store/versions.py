"""Versions of the rule set as they are listed: who made each, when, why, and what it changed."""

from collections.abc import Sequence

from sqlalchemy import func, null, select
from sqlalchemy.orm import Session

from policy.acts import Resource, Touched, Version, change_of
from policy.store.models import ActRow, ChangeRow

MAX_TOUCHED = 20


def described(session: Session, acts: Sequence[ActRow]) -> list[Version]:
    ids = [act.id for act in acts]
    of_each = select(ChangeRow.act, func.count()).where(ChangeRow.act.in_(ids))
    counts = {act: n for act, n in session.execute(of_each.group_by(ChangeRow.act))}  # noqa: C416
    number = func.row_number().over(
        partition_by=ChangeRow.act, order_by=(ChangeRow.resource, ChangeRow.name)
    )
    numbered = (
        select(
            ChangeRow.act,
            ChangeRow.resource,
            ChangeRow.name,
            ChangeRow.before.is_(null()).label("new"),
            ChangeRow.after.is_(null()).label("gone"),
            number.label("number"),
        )
        .where(ChangeRow.act.in_(ids))
        .subquery()
    )
    touched: dict[int, list[Touched]] = {}
    for act, resource, name, new, gone, _ in session.execute(
        select(numbered).where(numbered.c.number <= MAX_TOUCHED).order_by(numbered.c.number)
    ):
        touched.setdefault(act, []).append(Touched(Resource(resource), name, change_of(new, gone)))
    return [
        Version(
            act.version or 0, act.time, act.actor, act.peer, act.action, act.reason,
            counts[act.id], touched[act.id],
        )
        for act in acts
    ]  # fmt: skip
