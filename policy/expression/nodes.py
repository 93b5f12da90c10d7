"""What an expression is made of, before its types are known. `at`: the offset into the text."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Literal:
    value: object  # str, int, float, bool or timedelta
    at: int


@dataclass(frozen=True, slots=True)
class Listing:
    """`[a, b]`, right of `in` only."""

    items: tuple["Node", ...]
    at: int


@dataclass(frozen=True, slots=True)
class Name:
    name: str
    at: int


@dataclass(frozen=True, slots=True)
class Index:
    target: "Node"
    key: "Node"
    at: int


@dataclass(frozen=True, slots=True)
class Call:
    function: str
    receiver: "Node | None"
    arguments: tuple["Node", ...]
    at: int


@dataclass(frozen=True, slots=True)
class Operation:
    operator: str
    operands: tuple["Node", ...]
    at: int


Node = Literal | Listing | Name | Index | Call | Operation
