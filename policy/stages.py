"""Compiled rules, by the stage of a check at which they act.

The stages are asked in this order, each by (priority, name): derivations, gates, quotas, headers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from policy.attributes import Value
from policy.documents import Limiting, Mode, Refusing, Rule
from policy.expression import Match, Reference, recorded
from policy.meter import Meter
from policy.results import HeaderOperation

Values = Mapping[str, Value]


@dataclass(frozen=True, slots=True, eq=False)
class Compiled:
    """A rule ready to be asked. `reads`: every attribute that it may read. `rule_id` is
    `name@version`."""

    rule: Rule
    match: Match
    reads: tuple[Reference, ...]
    rule_id: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rule_id", f"{self.rule.name}@{self.rule.version}")

    @property
    def order(self) -> tuple[int, str]:
        return self.rule.priority, self.rule.name

    @property
    def shadow(self) -> bool:
        return self.rule.mode is Mode.SHADOW

    def recorded(self, bag: Mapping[str, Any]) -> dict[str, str]:
        """What the rule read of this bag."""
        return recorded(self.reads, bag)


@dataclass(frozen=True, slots=True, eq=False)
class Derivation(Compiled):
    """Adds attributes. Each value raises one of FAULTS where it has none."""

    attributes: tuple[tuple[str, str | None, Callable[[Values], Value]], ...]  # name, entry, value


@dataclass(frozen=True, slots=True, eq=False)
class Gate(Compiled):
    """Refuses by itself: `refuses` gives the reason, or None to let a matching request pass."""

    rule: Refusing
    refuses: Callable[[Values], str | None]

    @property
    def told(self) -> tuple[HeaderOperation, ...]:
        return refusal_headers(self.rule)


@dataclass(frozen=True, slots=True, eq=False)
class Metered(Compiled):
    """Charges counters."""

    rule: Limiting
    meter: Meter

    @property
    def told(self) -> tuple[HeaderOperation, ...]:
        return refusal_headers(self.rule)


@dataclass(frozen=True, slots=True, eq=False)
class Headers(Compiled):
    """Changes headers of what passes."""

    request: tuple[HeaderOperation, ...]
    response: tuple[HeaderOperation, ...]


def refusal_headers(rule: Refusing) -> tuple[HeaderOperation, ...]:
    return tuple(HeaderOperation("replace", name, value) for name, value in rule.headers.items())
