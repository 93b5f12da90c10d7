"""The rule set in a database: rules, and the lists they name."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from policy.acts import NOBODY, Applied, By, Document
from policy.kinds import Mode
from policy.lists import NamedList
from policy.rules import AnyRule, RulesPage
from policy.snapshot import Snapshot, compile_snapshot
from policy.store.applying import apply
from policy.store.audit import Audit
from policy.store.changed import Changed, Stamp, changed, stamp_of
from policy.store.database import Database
from policy.store.history import History
from policy.store.lists import ListStore, stored_lists
from policy.store.models import RuleRow, RuleSetRow
from policy.store.shelf import Shelf
from policy.store.tables import RULES

NO_LISTS: Mapping[str, NamedList] = MappingProxyType({})
NO_DOCUMENTS: Mapping[str, Document] = MappingProxyType({})


class RuleSet(NamedTuple):
    """All there is, of one moment. `version` grows by one with each act that changes it."""

    version: int
    rules: list[AnyRule]
    lists: list[NamedList]


class RuleStore(Shelf[AnyRule]):
    """Safe to use from several threads. Every method raises RulesDown."""

    def __init__(self, url: str) -> None:
        super().__init__(Database(url), RULES)
        self.lists = ListStore(self.database)
        self.history = History(self.database)
        self.audit = Audit(self.database)

    def close(self) -> None:
        self.database.close()

    def version(self) -> int:
        """That of the whole set; it grows by one with each act that changes it."""
        with self.database.reading() as session:
            return set_version(session)

    def stamp(self) -> Stamp:
        """Of the set as it is now."""
        with self.database.reading() as session:
            return stamp_of(session)

    def load(self) -> RuleSet:
        """Raises InvalidRule for an unfit row."""
        with self.database.reading() as session:
            version = set_version(session)
            rules = [*map(RULES.read, RULES.rows(session))]
            return RuleSet(version, rules, stored_lists(session, NO_LISTS))

    def changed(
        self, since: Stamp | None, known: Mapping[str, NamedList] = NO_LISTS
    ) -> Changed | None:
        """What is other than at `since`, or everything; None when nothing is. Lists that are still
        as in `known`, those at `since`, are taken from it. Raises InvalidRule for an unfit list."""
        with self.database.reading() as session:
            return changed(session, since, known)

    def load_snapshot(self, previous: Snapshot | None = None) -> Snapshot:
        """Raises InvalidRule."""
        loaded = self.load()
        return compile_snapshot(loaded.rules, loaded.version, previous)

    def page(
        self,
        limit: int,
        after: str = "",
        *,
        kind: str = "",
        mode: Mode | None = None,
        name: str = "",
    ) -> RulesPage:
        """By name, those behind `after`; `name` is to be part of theirs. Raises InvalidRule."""
        asked = []
        if kind:
            asked.append(RuleRow.document["kind"].as_string() == kind)
        if mode is not None:
            asked.append(RuleRow.document["mode"].as_string() == mode.value)
        if name:
            asked.append(RuleRow.name.contains(name, autoescape=True))
        rows = select(RuleRow).where(*asked, RuleRow.name > after).order_by(RuleRow.name)
        count = select(func.count()).select_from(RuleRow).where(*asked)
        with self.database.reading() as session:
            rules = [*map(RULES.read, session.scalars(rows.limit(limit)))]
            return RulesPage(rules, session.scalars(count).one(), set_version(session))

    def apply(
        self,
        rules: Mapping[str, Document],
        lists: Mapping[str, Document] = NO_DOCUMENTS,
        *,
        by: By = NOBODY,
        action: str = "apply",
        only: bool = False,
        expected: int | None = None,
        dry_run: bool = False,
    ) -> Applied:
        """Makes rules and lists as these are, by name, as one version; with `only`, no others stay.

        All or nothing; nothing on a dry run, whose answer is as if it had been. Raises InvalidRule,
        naming one; TooMany; and Conflict when the set is not at the `expected` version.
        """
        with self.database.writing() as session:
            applied = apply(session, rules, lists, by, action, only=only, expected=expected)
            if dry_run:
                session.rollback()
            return applied


def set_version(session: Session) -> int:
    return session.scalars(select(RuleSetRow.version)).one()
