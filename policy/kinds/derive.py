"""Makes attributes of others, before any other rule is asked."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from policy.attributes import VOCABULARY, ValueType
from policy.documents import Rule, checked_by, pointer
from policy.errors import InvalidRule
from policy.expression import Match, compile_expression
from policy.lists import HeldLists
from policy.stages import Derivation

MAX_ATTRIBUTES = 32
ENTRY = re.compile(r"derived\[([A-Za-z0-9_.-]{1,63})\]", re.ASCII)
DERIVED = "derived"


def target(name: str) -> tuple[str, str | None, ValueType]:
    """Attribute, entry of `derived`, and the type it needs. Raises InvalidRule."""
    entry = ENTRY.fullmatch(name)
    if entry:
        return DERIVED, entry.group(1), ValueType.STRING
    kind = VOCABULARY.get(name)
    if kind is None or name == DERIVED:
        raise InvalidRule("", "expected an attribute of the vocabulary, or derived[NAME]")
    return name, None, kind


def derivable(attributes: Mapping[str, str]) -> None:
    if not 0 < len(attributes) <= MAX_ATTRIBUTES:
        raise InvalidRule("", f"expected 1 to {MAX_ATTRIBUTES} attributes")
    for name, text in attributes.items():
        try:
            _, _, kind = target(name)
            found = compile_expression(text)
        except InvalidRule as error:
            raise error.within(pointer([name])) from error
        if found.type is not kind:
            raise InvalidRule(pointer([name]), f"the expression is {found.type}, expected {kind}")


class DeriveRule(Rule):
    """Adds attributes to what it matches; one that is there already stays as it is."""

    kind: Literal["derive"] = "derive"
    attributes: Annotated[
        dict[str, str],
        checked_by(derivable),
        Field(
            description="by name, an expression each; derived[NAME] is a text of your own",
            examples=[{"derived[tenant]": 'request.headers["x-tenant"] | "none"'}],
        ),
    ]

    def compile(self, match: Match, _lists: HeldLists) -> Derivation:
        setters, reads = [], list(match.reads)
        for name, text in self.attributes.items():
            attribute, entry, _ = target(name)
            expression = compile_expression(text)
            reads += expression.reads
            setters.append((attribute, entry, expression.value))
        return Derivation(self, match, tuple(dict.fromkeys(reads)), tuple(setters))
