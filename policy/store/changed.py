"""What there is to load: everything, or what changed since a version that is known."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from policy.acts import Document, Resource
from policy.errors import InvalidRule
from policy.kinds import AnyRule
from policy.lists import HeldLists, NamedList
from policy.rules import rule_from_json
from policy.snapshot import Snapshot, compile_rules
from policy.store.lists import stored_lists
from policy.store.models import ActRow, ChangeRow, RuleRow, RuleSetRow
from policy.store.tables import chunks

TOGETHER = 1000  # rows in one read


class Stamp(NamedTuple):
    """A version of the rule set, and when it was made: another database has another one."""

    version: int
    time: datetime | None


class Changed(NamedTuple):
    """Rules as they are at `stamp`, each with its version: all of them, or those that are other
    than they were at `since`. `gone` names those that were, and are no more. `lists` are all."""

    stamp: Stamp
    since: Stamp | None
    documents: list[Document]
    gone: Sequence[str]
    lists: Sequence[NamedList]

    def snapshot(self, present: Snapshot | None, lists: HeldLists) -> Snapshot:
        """The rules at `stamp`, when `present` are those at `since`. Raises InvalidRule, naming
        one."""
        compiled = compile_rules(map(named_rule, self.documents), lists, present)
        if present is None or self.since is None:
            rules = {name: found for name, found in compiled.items() if found}
            return Snapshot(self.stamp.version, rules)
        return present.changed(self.stamp.version, compiled | dict.fromkeys(self.gone))


def named_rule(document: Document) -> AnyRule:
    """Raises InvalidRule, naming it."""
    try:
        return rule_from_json(document)
    except InvalidRule as error:
        raise error.within(f"/{document['name']}") from error


def changed(
    session: Session, since: Stamp | None, known: Mapping[str, NamedList]
) -> Changed | None:
    """None when nothing did. `known` are lists at `since`: those that are still so are not read.

    Everything is read when the way from `since` is not known: this is another database, or an older
    one, or it was changed by other means than acts. Raises InvalidRule for an unfit list.
    """
    stamp = stamp_of(session)
    if stamp == since:
        return None
    act = act_of(session, since, stamp) if since else None
    if act is None:
        return Changed(stamp, None, rules(session), (), stored_lists(session, {}))
    names = session.scalars(
        select(ChangeRow.name)
        .where(ChangeRow.act > act, ChangeRow.resource == Resource.RULE)
        .distinct()
    ).all()
    documents = [document for chunk in chunks(names) for document in rules(session, chunk)]
    gone = [*set(names).difference(document["name"] for document in documents)]
    return Changed(stamp, since, documents, gone, stored_lists(session, known))


def stamp_of(session: Session) -> Stamp:
    """`time` is None for the empty set, and for one that was changed by other means than acts."""
    by = ActRow.version == RuleSetRow.version
    made = select(RuleSetRow.version, ActRow.time).outerjoin(ActRow, by)
    return Stamp(*session.execute(made).one())


def act_of(session: Session, since: Stamp, now: Stamp) -> int | None:
    """Which made it so at `since`; None unless it and all acts up to `now` are told of here."""
    versions = select(func.count()).where(
        ActRow.version > since.version, ActRow.version <= now.version
    )
    if session.scalars(versions).one() != now.version - since.version:
        return None
    made = select(ActRow.id).where(ActRow.version == since.version, ActRow.time == since.time)
    return session.scalars(made).first()


def rules(session: Session, names: Sequence[str] | None = None) -> list[Document]:
    columns = select(RuleRow.name, RuleRow.version, RuleRow.document)
    asked = columns if names is None else columns.where(RuleRow.name.in_(names))
    found = session.execute(asked.order_by(RuleRow.name).execution_options(yield_per=TOGETHER))
    return [{**document, "name": name, "version": version} for name, version, document in found]
