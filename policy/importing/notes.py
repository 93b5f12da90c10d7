"""What is said of an import: what could not be taken over, and what differs."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple


class Severity(StrEnum):
    REFUSED = "refused"  # could not be imported
    CHANGED = "changed"  # imported with a difference in meaning
    IGNORED = "ignored"  # left out: it has no part in what is decided


class Source(NamedTuple):
    """One YAML text, and what it is called."""

    name: str
    text: str


class Note(NamedTuple):
    """`document` counts from 1 within the file, 0: the file as a whole. `path` is a JSON pointer
    into the document. Lines and columns count from 1, 0: not known."""

    file: str
    document: int
    path: str
    line: int
    column: int
    severity: Severity
    reason: str

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part)
        return f"{place}: {self.severity}: {self.path or '/'}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Imported:
    """Documents as the rules API takes them, by name, and everything that must be said of them."""

    rules: list[dict[str, Any]] = field(default_factory=list)
    lists: list[dict[str, Any]] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)

    @property
    def refused(self) -> int:
        return sum(note.severity is Severity.REFUSED for note in self.notes)
