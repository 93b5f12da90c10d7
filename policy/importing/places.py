"""A place in a document, which knows whether anybody read it.

An importer goes from place to place. What it never read is noted at the end: nothing that
was written is dropped without a word.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from policy.importing.nodes import Node, Scalar, Sequence, Table, children
from policy.importing.notes import Note, Severity

Key = tuple[str, int, str]  # file, document, path

FLAGS = {
    text: value
    for value, texts in (
        (True, "y yes true on"),
        (False, "n no false off"),
    )
    for word in texts.split()
    for text in (word, word.capitalize(), word.upper())
}
NULLS = ("", "~", "null", "Null", "NULL")


class Refused(Exception):  # named for what is wrong
    """What stands at a place cannot be imported."""

    def __init__(self, place: "Place", reason: str) -> None:
        self.place = place
        self.reason = reason
        super().__init__(reason)


@dataclass(slots=True)
class Ledger:
    """What was read of the documents of one import, and what is to be said of them."""

    notes: list[Note] = field(default_factory=list)
    read: set[Key] = field(default_factory=set)
    told: set[Key] = field(default_factory=set)  # all of it, with what is inside

    def finish(self, roots: "list[Place]", severity: Severity, reason: str) -> list[Note]:
        """All notes in order of place, one for each part that nobody read among them."""
        for root in roots:
            for place in unread(root):
                place.note(severity, reason)
        order = {(root.file, root.document): index for index, root in enumerate(roots)}
        return sorted(
            dict.fromkeys(self.notes),
            key=lambda note: (order.get((note.file, note.document), -1), note.line, note.column),
        )


@dataclass(frozen=True, slots=True)
class Place:
    """The accessors read as Go's YAML does, since the foreign formats are Go programs': a text may
    be written without quotes, and null is what is not there. They raise Refused."""

    ledger: Ledger
    file: str
    document: int
    path: str
    node: Node

    @property
    def key(self) -> Key:
        return self.file, self.document, self.path

    @property
    def told(self) -> bool:
        """Whether a note says that all of it is not used."""
        return self.key in self.ledger.told

    def note(self, severity: Severity, reason: str) -> None:
        """Of a note that says it is not used, all inside is told."""
        if severity is not Severity.CHANGED:
            self.ledger.told.add(self.key)
        self.ledger.read.add(self.key)
        at = self.node
        self.ledger.notes.append(
            Note(self.file, self.document, self.path, at.line, at.column, severity, reason)
        )

    def refuse(self, reason: str) -> None:
        self.note(Severity.REFUSED, reason)

    def changed(self, reason: str, *, whole: bool = False) -> None:
        """`whole`: it says all there is to say of what is inside."""
        self.note(Severity.CHANGED, reason)
        if whole:
            self.ledger.told.add(self.key)

    def ignore(self, reason: str) -> None:
        self.note(Severity.IGNORED, reason)

    def inside(self, key: str, node: Node) -> "Place":
        escaped = key.replace("~", "~0").replace("/", "~1")
        return Place(self.ledger, self.file, self.document, f"{self.path}/{escaped}", node)

    def down(self, pointer: str) -> "Place":
        """The innermost place that a JSON pointer leads to."""
        found = self
        for part in pointer.split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            inside = dict(children(found.node))
            if key not in inside:
                break
            found = found.inside(key, inside[key])
        return found

    def entries(self) -> "dict[str, Place]":
        """Of a map."""
        self.ledger.read.add(self.key)
        if not isinstance(self.node, Table):
            raise Refused(self, f"expected a map, found {described(self.node)}")
        return {key: self.inside(key, node) for key, node in self.node.entries.items()}

    def items(self) -> "list[Place]":
        """Of a list."""
        self.ledger.read.add(self.key)
        if not isinstance(self.node, Sequence):
            raise Refused(self, f"expected a list, found {described(self.node)}")
        return [self.inside(str(index), node) for index, node in enumerate(self.node.items)]

    def get(self, *keys: str) -> "Place | None":
        """The first of these keys that is there and not null."""
        found: Place | None = None
        entries = self.entries()
        for key in keys:
            place = entries.get(key)
            if place is None:
                continue
            if absent(place.node):
                self.ledger.read.add(place.key)
            elif found is None:
                found = place
        return found

    def need(self, *keys: str) -> "Place":
        found = self.get(*keys)
        if found is None:
            raise Refused(self, f"{keys[0]} is required")
        return found

    def refuse_others(self, known: "frozenset[str] | set[str]") -> None:
        """Keys that are none of these."""
        for key, place in self.entries().items():
            if key not in known:
                place.refuse(f"there is no key {key} here")

    def text(self) -> str:
        self.ledger.read.add(self.key)
        if not isinstance(self.node, Scalar):
            raise Refused(self, f"expected a text, found {described(self.node)}")
        return self.node.text

    def flag(self) -> bool:
        text = self.text()
        if text not in FLAGS or (isinstance(self.node, Scalar) and self.node.quoted):
            raise Refused(self, f"expected true or false, found {text!r}")
        return FLAGS[text]

    def whole(self, lowest: int, highest: int) -> int:
        """Also as Go writes it: 0x10, 0b1, 1_000 and, with a leading 0, octal."""
        text = self.text()
        number = whole_number(text)
        if number is None:
            raise Refused(self, f"expected a whole number, found {text!r}")
        if not lowest <= number <= highest:
            raise Refused(self, f"{number}, expected {lowest} to {highest}")
        return number


def whole_number(text: str) -> int | None:
    """Source: https://pkg.go.dev/strconv#ParseInt with base 0, as gopkg.in/yaml.v2 calls it."""
    plain = text.replace("_", "")
    sign = plain[:1] if plain[:1] in ("+", "-") else ""
    digits = plain[len(sign) :]
    if not digits.isascii() or not digits[:1].isdigit() or len(digits) > 64:
        return None
    octal = digits[0] == "0" and digits[1:].isdigit()
    try:
        number = int(digits, 8) if octal else int(digits, 0)
    except ValueError:
        return None
    return -number if sign == "-" else number


def absent(node: Node) -> bool:
    return isinstance(node, Scalar) and not node.quoted and node.text in NULLS


def described(node: Node) -> str:
    if isinstance(node, Scalar):
        return "nothing" if absent(node) else repr(node.text)
    return "a map" if isinstance(node, Table) else "a list"


def unread(place: Place) -> Iterator[Place]:
    """The outermost parts that were never read nor told of."""
    if place.key in place.ledger.told:
        return
    if place.key not in place.ledger.read:
        yield place
        return
    for key, node in children(place.node):
        yield from unread(place.inside(key, node))
