"""On the list, or not.

Source: Istio Mixer's listchecker, whose blacklist is `deny` here.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from policy.attributes import ValueType
from policy.documents import Listed, Name, Refusing, checked_by, fault
from policy.errors import InvalidRule
from policy.expression import Match, compile_expression
from policy.expression.generate import FAULTS
from policy.lists import EntryList, EntryType, HeldLists, compile_entries
from policy.stages import Gate, Values

KEPT = 256  # rules are read anew with each change of any of them
TEXTS = (ValueType.STRING, ValueType.DNS_NAME, ValueType.EMAIL_ADDRESS, ValueType.URI)


@lru_cache(maxsize=KEPT)
def compiled(entries: tuple[str, ...], entry_type: EntryType, case_insensitive: bool) -> EntryList:
    """Raises InvalidRule."""
    return compile_entries(entries, entry_type, case_insensitive=case_insensitive)


def comparable(text: str) -> None:
    kind = compile_expression(text).type
    if kind not in (*TEXTS, ValueType.IP_ADDRESS):
        raise InvalidRule("", f"the expression is {kind}, expected a text or an IP_ADDRESS")


class ListRule(Refusing):
    """Lets pass only what is on its list (`allow`), or refuses what is (`deny`)."""

    kind: Literal["list"] = "list"
    type: Annotated[
        Literal["allow", "deny"],
        Field(description="allow: only what is on it passes; deny: what is on it is refused"),
    ]
    value: Annotated[
        str,
        checked_by(comparable),
        Field(description="what is looked for, an expression", examples=["source.ip"]),
    ]
    entries: Annotated[
        tuple[str, ...] | None, Listed, Field(description="the list itself; or name one in `list`")
    ] = None
    entry_type: Annotated[
        EntryType,
        Listed,
        Field(description="of entries: literal, prefix, regex (RE2, found anywhere), cidr"),
    ] = EntryType.LITERAL
    case_insensitive: Annotated[bool, Field(description="of entries; not for cidr")] = False
    list: Annotated[Name | None, Field(description="name of a list kept apart")] = None
    on_unavailable: Annotated[
        Literal["refuse", "pass"] | None,
        Field(
            description="while the list named was never fetched; null: an allow list refuses, a"
            " deny list lets pass"
        ),
    ] = None

    @model_validator(mode="after")
    def _one_list(self) -> Self:
        if (self.entries is None) is (self.list is None):
            raise fault(InvalidRule("/entries", "expected either entries or list"))
        if self.entries is not None:
            try:
                compiled(self.entries, self.entry_type, self.case_insensitive)
            except InvalidRule as error:
                raise fault(error) from error
        elif self.case_insensitive or self.entry_type is not EntryType.LITERAL:
            raise fault(InvalidRule("/list", "says itself how its entries are compared"))
        return self

    def compile(self, match: Match, lists: HeldLists) -> Gate:
        expression = compile_expression(self.value)
        allow = self.type == "allow"
        unavailable = allow if self.on_unavailable is None else self.on_unavailable == "refuse"
        matches: Callable[[str | bytes], bool | None] = lists.of(self.list or "").matches
        if self.entries is not None:
            matches = compiled(self.entries, self.entry_type, self.case_insensitive).matches
        named = self.list or self.name
        listed = self.message or f"on list {named}"
        unlisted = self.message or f"not on list {named}"
        never = f"list {named} was never fetched"

        def refuses(values: Values) -> str | None:
            try:
                value = expression.value(values)
            except FAULTS:  # an absent value is on no list
                return unlisted if allow else None
            if not isinstance(value, str | bytes):
                return unlisted if allow else None
            on_it = matches(value)
            if on_it is None:
                return never if unavailable else None
            if allow:
                return None if on_it else unlisted
            return listed if on_it else None

        reads = tuple(dict.fromkeys((*match.reads, *expression.reads)))
        return Gate(self, match, reads, refuses)
