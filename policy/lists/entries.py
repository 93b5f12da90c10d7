"""A list of entries, checked and compiled: is this value on it, and by which entry?

Texts are compared in Unicode's normal form C, entries and values alike, so that a text written in
two ways is one text. Nothing else is made equal: letters that only look alike are noted.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum

from policy.errors import InvalidRule
from policy.lists.addresses import find_address
from policy.lists.notes import lookalike
from policy.lists.patterns import find_pattern
from policy.lists.texts import exactly, find_literal, find_prefix, folded

MAX_ENTRIES = 100_000
MAX_CHARACTERS = 1024  # of one entry
MAX_BYTES = 8 * 1024 * 1024  # of all of them, in UTF-8
MAX_NOTES = 20

Find = Callable[[str | bytes], int]  # the index of the entry that has the value, else -1


class EntryType(StrEnum):
    LITERAL = "literal"  # the value is the entry
    PREFIX = "prefix"  # the value begins with the entry
    REGEX = "regex"  # RE2 finds the entry anywhere in the value
    CIDR = "cidr"  # the value is an address within the entry, a network or an address


class EntryList:
    """Immutable. A value is text, or the 4 or 16 bytes of an address."""

    __slots__ = ("_find", "case_insensitive", "entries", "entry_type", "notes")

    def __init__(
        self,
        entry_type: EntryType,
        case_insensitive: bool,
        entries: tuple[str, ...],
        find: Find,
        notes: tuple[str, ...],
    ) -> None:
        self.entry_type = entry_type
        self.case_insensitive = case_insensitive
        self.entries = entries
        self.notes = notes  # what a reader of the list should know: repeated and deceptive entries
        self._find = find

    def matches(self, value: str | bytes) -> bool:
        return self._find(value) >= 0

    def entry(self, value: str | bytes) -> str | None:
        """An entry that the value is on the list by; of several the widest or the first."""
        index = self._find(value)
        return None if index < 0 else self.entries[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EntryList) and self._given == other._given

    def __hash__(self) -> int:
        return hash(self._given)

    @property
    def _given(self) -> tuple[EntryType, bool, tuple[str, ...]]:
        return self.entry_type, self.case_insensitive, self.entries

    def __len__(self) -> int:
        return len(self.entries)


MAKERS: Mapping[EntryType, Callable[[Sequence[str], bool], Find]] = {
    EntryType.LITERAL: find_literal,
    EntryType.PREFIX: find_prefix,
    EntryType.REGEX: find_pattern,
    EntryType.CIDR: find_address,
}


def compile_entries(
    entries: Sequence[object], entry_type: EntryType, *, case_insensitive: bool = False
) -> EntryList:
    """Raises InvalidRule at /entries, /entries/N or /case_insensitive.

    An empty list is a list: nothing is on it.
    """
    if case_insensitive and entry_type is EntryType.CIDR:
        raise InvalidRule("/case_insensitive", "addresses have no upper and lower case")
    texts = checked(entries)
    found = MAKERS[entry_type](texts, case_insensitive)
    notes = noted(texts, entry_type, case_insensitive)
    return EntryList(entry_type, case_insensitive, texts, found, notes)


def checked(entries: Sequence[object]) -> tuple[str, ...]:
    """Raises InvalidRule."""
    if len(entries) > MAX_ENTRIES:
        raise InvalidRule("/entries", f"{len(entries)} entries, at most {MAX_ENTRIES}")
    size = 0
    texts: list[str] = []
    for index, entry in enumerate(entries):
        if not isinstance(entry, str):
            raise InvalidRule(f"/entries/{index}", "expected a string")
        if fault := fault_of(entry):
            raise InvalidRule(f"/entries/{index}", fault)
        texts.append(entry)
        size += len(entry.encode())
    if size > MAX_BYTES:
        raise InvalidRule("/entries", f"{size} bytes, at most {MAX_BYTES}")
    return tuple(texts)


def fault_of(entry: str) -> str:
    """Why a text can be no entry; "" when it can."""
    if not entry:
        return "is empty"
    if len(entry) > MAX_CHARACTERS:
        return f"longer than {MAX_CHARACTERS} characters"
    if not entry.isprintable():
        hidden = next(character for character in entry if not character.isprintable())
        return f"holds U+{ord(hidden):04X}, which cannot be seen"
    return ""


def noted(texts: Sequence[str], entry_type: EntryType, case_insensitive: bool) -> tuple[str, ...]:
    """The first MAX_NOTES of what is worth saying, each with its place."""
    same = folded if case_insensitive else exactly
    first: dict[str, int] = {}
    notes: list[str] = []
    for index, text in enumerate(texts):
        if len(notes) == MAX_NOTES:
            break
        before = first.setdefault(same(text), index)
        if before != index:
            notes.append(f"/entries/{index} repeats /entries/{before}")
        elif entry_type is not EntryType.CIDR and (why := lookalike(text)):
            notes.append(f"/entries/{index} {why}")
    return tuple(notes)
