"""Rules and lists in and out of their tables, within a transaction."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, Self, TypeVar

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session

from policy.acts import Document, Edit, Resource
from policy.documents import NAME
from policy.errors import Conflict, InvalidRule, PolicyError, TooMany, UnknownList, UnknownRule
from policy.lists import NamedList, list_from_json, list_to_json
from policy.rules import AnyRule, rule_from_json, rule_to_json
from policy.store.models import ChangeRow, DocumentRow, ListRow, RuleRow
from policy.store.references import check_rule, check_unused
from policy.store.states import last

CHUNK = 500  # names in one statement


class Numbered(Protocol):
    """A document that exists in versions."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> int: ...
    def model_copy(self, *, update: Mapping[str, Any] | None = None) -> Self: ...


Thing = TypeVar("Thing", bound=Numbered)


@dataclass(frozen=True)
class Table(Generic[Thing]):
    """Where things of one kind are, and how they are read and written."""

    resource: Resource
    row: type[DocumentRow]
    from_json: Callable[[Document], Thing]
    to_json: Callable[[Thing], dict[str, Any]]
    unknown: Callable[[str], PolicyError]
    check: Callable[[Session, Thing], None]  # raises for one that needs what is not there
    release: Callable[[Session, str], None]  # raises for one that others need
    most: int

    def read(self, row: DocumentRow) -> Thing:
        """Raises InvalidRule, naming it."""
        return self.named(row.name, {**row.document, "version": row.version})

    def named(self, name: str, document: Document) -> Thing:
        """Raises InvalidRule, naming it."""
        try:
            thing = self.from_json(document)
            if thing.name != name:
                raise InvalidRule("/name", f"expected {name!r}")
        except InvalidRule as error:
            raise error.within(f"/{name}") from error
        return thing

    def find(self, session: Session, name: str, expected: int | None = None) -> DocumentRow:
        """Raises UnknownRule or UnknownList, and Conflict."""
        # What can be no name is not asked for: PostgreSQL refuses some texts.
        row = session.get(self.row, name) if NAME.fullmatch(name) else None
        if row is None:
            raise self.unknown(name)
        if expected is not None and row.version != expected:
            raise Conflict(f"{self.resource} {name!r}", expected, row.version)
        return row

    def rows(self, session: Session, names: Sequence[str] | None = None) -> Iterator[DocumentRow]:
        """Of these names, or all; by name."""
        by_name = select(self.row).order_by(self.row.name)
        if names is None:
            yield from session.scalars(by_name)
            return
        for chunk in chunks(names):
            yield from session.scalars(by_name.where(self.row.name.in_(chunk)))

    def last_versions(self, session: Session, names: Sequence[str]) -> dict[str, int]:
        """Of those that are no more. None is used twice: decisions are told apart by
        name@version."""
        return {
            name: before["version"]
            for chunk in chunks(names)
            for name, before in last(session, ChangeRow.before, self.resource, chunk).items()
        }

    def write(self, session: Session, edits: Sequence[Edit]) -> None:
        """Raises TooMany."""
        new: list[dict[str, Any]] = []
        changed: list[dict[str, Any]] = []
        for _, name, before, after in edits:
            if after is not None:
                row = {"name": name, "version": after["version"], "document": after}
                (new if before is None else changed).append(row)
        for names in chunks([edit.name for edit in edits if edit.after is None]):
            session.execute(delete(self.row).where(self.row.name.in_(names)))
        if changed:
            session.execute(update(self.row), changed)
        if new:
            session.execute(insert(self.row), new)
            if session.scalars(select(func.count()).select_from(self.row)).one() > self.most:
                raise TooMany(self.most, self.resource)

    def edits_to(
        self, session: Session, wanted: Mapping[str, Document], *, only: bool
    ) -> list[Edit]:
        """What makes these as they are wanted; with `only`, and removes all others.

        Raises InvalidRule for one that is wanted, is not there yet, and cannot be read.
        """
        rows = self.rows(session, None if only else sorted(wanted))
        present = {row.name: row.document for row in rows}
        new: dict[str, Document] = {}
        for name in sorted(wanted):
            before = present.get(name)
            if before is not None and same(before, wanted[name]):
                continue
            document = self.to_json(self.named(name, wanted[name]))
            if before is None or not same(before, document):
                new[name] = document
        used = self.last_versions(session, [name for name in new if name not in present])
        used |= {name: document["version"] for name, document in present.items()}
        edits = [
            Edit(
                self.resource,
                name,
                present.get(name),
                {**document, "version": used.get(name, 0) + 1},
            )
            for name, document in new.items()
        ]
        gone = [name for name in present if name not in wanted]
        return edits + [Edit(self.resource, name, present[name], None) for name in gone]


def nobody_needs_rules(_session: Session, _name: str) -> None:
    pass


def lists_need_nothing(_session: Session, _named: NamedList) -> None:
    pass


RULES = Table[AnyRule](
    Resource.RULE, RuleRow, rule_from_json, rule_to_json, UnknownRule,
    check_rule, nobody_needs_rules, 100_000,
)  # fmt: skip
LISTS = Table[NamedList](
    Resource.LIST, ListRow, list_from_json, list_to_json, UnknownList,
    lists_need_nothing, check_unused, 1000,
)  # fmt: skip


def same(one: Document, other: Document) -> bool:
    """But for the version."""
    return {**one, "version": 0} == {**other, "version": 0}


def chunks(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for at in range(0, len(names), CHUNK):
        yield names[at : at + CHUNK]
