"""YAML to nodes, whoever wrote it: bounded, and with nothing that is not data.

Read are the events of a text, so that nothing is built before it is counted. A document is
maps, lists and texts: no tags but the core schema's, no key twice, no alias inside what it
names. What is inside an alias counts each time it is used.
Sources: YAML 1.2.2; `<<` as https://yaml.org/type/merge.html
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml

from policy.importing.nodes import Node, Scalar, Sequence, Table

MAX_BYTES = 1 << 20
MAX_NODES = 200_000
MAX_DEPTH = 64
MERGE = "<<"
CORE = "tag:yaml.org,2002:"
TEXT_TAGS = ("!", f"{CORE}str")
TAGS = (*TEXT_TAGS, *(CORE + name for name in ("null", "bool", "int", "float", "map", "seq")))
PARSER: Any = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader


class Unreadable(Exception):  # named for what is wrong
    """Line and column are 0 where the fault is the whole text's."""

    def __init__(self, reason: str, line: int = 0, column: int = 0) -> None:
        self.reason = reason
        self.line = line
        self.column = column
        super().__init__(reason)


class Read(NamedTuple):
    """Documents in order; `fault` is what ended the reading before the text did."""

    documents: list[Node]
    fault: Unreadable | None


def read(text: str) -> Read:
    """Never raises."""
    documents: list[Node] = []
    try:
        for document in Reader().documents(text):
            documents.append(document)  # noqa: PERF402  # those before a fault are kept
    except Unreadable as fault:
        return Read(documents, fault)
    return Read(documents, None)


@dataclass(slots=True)
class Open:
    """A list or a map that is not closed yet. A map's keys and values alternate in `items`."""

    event: Any
    items: list[Node] = field(default_factory=list)


class Reader:
    def __init__(self) -> None:
        self._nodes = 0
        self._open: list[Open] = []
        self._anchors: dict[str, Node | None] = {}  # None: not closed yet

    def documents(self, text: str) -> Iterator[Node]:
        """Raises Unreadable."""
        if len(text.encode(errors="replace")) > MAX_BYTES:
            raise Unreadable(f"longer than {MAX_BYTES} bytes")
        for event in events(text):
            if isinstance(event, yaml.DocumentStartEvent):
                self._anchors = {}
            node = self._node(event)
            if node is None:
                continue
            if self._open:
                self._open[-1].items.append(node)
            elif not empty(node):
                yield node

    def _node(self, event: Any) -> Node | None:
        """The node that the event completes."""
        match event:
            case yaml.ScalarEvent():
                return self._named(event, scalar(event))
            case yaml.AliasEvent():
                return self._alias(event)
            case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                self._begin(event)
            case yaml.SequenceEndEvent():
                started = self._open.pop()
                items = tuple(started.items)
                size = 1 + sum(item.size for item in items)
                return self._named(started.event, Sequence(*place(started.event), size, items))
            case yaml.MappingEndEvent():
                started = self._open.pop()
                return self._named(started.event, table(started))
        return None

    def _begin(self, event: Any) -> None:
        known_tag(event)
        if len(self._open) >= MAX_DEPTH:
            raise Unreadable(f"nested deeper than {MAX_DEPTH}", *place(event))
        if event.anchor:
            self._anchors[event.anchor] = None
        self._open.append(Open(event))

    def _named(self, event: Any, node: Node) -> Node:
        if event.anchor:
            self._anchors[event.anchor] = node
        self._count(1, event)
        return node

    def _alias(self, event: Any) -> Node:
        if event.anchor not in self._anchors:
            raise Unreadable(f"there is no anchor &{event.anchor} before this alias", *place(event))
        node = self._anchors[event.anchor]
        if node is None:
            raise Unreadable(f"*{event.anchor} stands inside what it names", *place(event))
        self._count(node.size, event)
        return node

    def _count(self, nodes: int, event: Any) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise Unreadable(f"more than {MAX_NODES} values, aliases counted", *place(event))


def events(text: str) -> Iterator[Any]:
    """Raises Unreadable."""
    try:
        yield from yaml.parse(text, Loader=PARSER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        raise Unreadable(f"not YAML: {error.problem or error.context}", *where) from error
    except yaml.reader.ReaderError as error:
        raise Unreadable(f"not YAML: {error.reason}", *position(text, error.position)) from error
    except UnicodeEncodeError as error:
        raise Unreadable("not Unicode text", *position(text, error.start)) from error


def position(text: str, at: object) -> tuple[int, int]:
    """Line and column of a character, as far as the parser tells it."""
    if not isinstance(at, int):
        return 0, 0
    before = text[:at]
    return before.count("\n") + 1, at - (before.rfind("\n") + 1) + 1


def place(event: Any) -> tuple[int, int]:
    return event.start_mark.line + 1, event.start_mark.column + 1


def known_tag(event: Any) -> None:
    if event.tag is not None and event.tag not in TAGS:
        tag = event.tag.replace(CORE, "!!")
        raise Unreadable(f"the tag {tag} is not one of data", *place(event))


def scalar(event: Any) -> Scalar:
    known_tag(event)
    quoted = bool(event.style) or event.tag in TEXT_TAGS
    return Scalar(*place(event), 1, event.value, quoted)


def empty(node: Node) -> bool:
    """Nothing between two `---`."""
    return isinstance(node, Scalar) and not node.text and not node.quoted


def table(started: Open) -> Table:
    """Raises Unreadable for a key that is there twice, or is no text."""
    entries: dict[str, Node] = {}
    merged: tuple[Node, ...] = ()
    keys, values = started.items[::2], started.items[1::2]
    for key, value in zip(keys, values, strict=True):
        if not isinstance(key, Scalar):
            raise Unreadable("a key is a text", key.line, key.column)
        if key.text in entries or (key.text == MERGE and merged):
            raise Unreadable(f"the key {key.text} is there twice", key.line, key.column)
        if key.text == MERGE and not key.quoted:
            merged = value.items if isinstance(value, Sequence) else (value,)
        else:
            entries[key.text] = value
    for source in merged:
        if not isinstance(source, Table):
            raise Unreadable("<< takes maps", source.line, source.column)
        entries = {**source.entries, **entries}
    # A map's own keys are nodes too, but those of a merged map were counted where it stands.
    size = 1 + len(keys) + sum(value.size for value in entries.values())
    return Table(*place(started.event), size, entries)
