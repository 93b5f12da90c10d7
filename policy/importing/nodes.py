"""What a YAML text holds, with the place of each part; not yet anybody's configuration."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """Lines and columns count from 1. `size` is how many nodes it is, those inside it counted."""

    line: int
    column: int
    size: int


@dataclass(frozen=True, slots=True, eq=False)
class Scalar(Node):
    text: str  # as written
    quoted: bool  # a text whatever it looks like


@dataclass(frozen=True, slots=True, eq=False)
class Sequence(Node):
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Table(Node):
    entries: Mapping[str, Node]


def children(node: Node) -> Iterator[tuple[str, Node]]:
    """By key or by number."""
    if isinstance(node, Table):
        yield from node.entries.items()
    elif isinstance(node, Sequence):
        yield from ((str(index), item) for index, item in enumerate(node.items))
