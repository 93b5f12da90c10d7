"""Only who is named may pass.

A pattern is a text, `text*`, `*text`, or `*` for any that is there.
Source: the semantics of Istio's AuthorizationPolicy, action ALLOW.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Literal

from pydantic import Field

from policy.documents import Document, Listed, Refusing, checked_by, short
from policy.errors import InvalidRule
from policy.expression import Match, Reference
from policy.lists import HeldLists
from policy.stages import Gate, Values

MAX_ENTRIES = 1000
MAX_PATTERNS = 1000
SPIFFE_NAMESPACE = "/ns/"
READS: tuple[Reference, ...] = (
    ("source.principal", None),
    ("source.namespace", None),
    ("source.service", None),
    ("request.method", None),
    ("request.url_path", None),
    ("request.path", None),
)


def usable(patterns: Sequence[str] | None) -> None:
    if patterns is None:
        return
    if not patterns:
        raise InvalidRule("", "expected at least one pattern; leave the field out for any")
    if len(patterns) > MAX_PATTERNS:
        raise InvalidRule("", f"more than {MAX_PATTERNS}")
    for index, pattern in enumerate(patterns):
        try:
            short(pattern)
        except InvalidRule as error:
            raise error.within(f"/{index}") from error
        if not pattern:
            raise InvalidRule(f"/{index}", "is empty")
        if "*" in pattern[1:-1] or (len(pattern) > 1 and pattern[0] == pattern[-1] == "*"):
            raise InvalidRule(f"/{index}", "a * stands first or last, once")


Patterns = Annotated[tuple[str, ...] | None, Listed, checked_by(usable)]


class Entry(Document):
    """Lets a request pass when each field that is given has a pattern that fits."""

    principals: Patterns = Field(None, description="source.principal: text, text*, *text or *")
    namespaces: Patterns = Field(
        None, description="source.namespace, else that of a SPIFFE source.principal"
    )
    services: Patterns = Field(None, description="source.service")
    methods: Patterns = Field(None, description="request.method")
    paths: Patterns = Field(
        None, description="request.url_path, else request.path without its query"
    )


class AuthorizationRule(Refusing):
    """Refuses what it matches unless an entry lets it pass. Without entries nothing passes."""

    kind: Literal["authorization"] = "authorization"
    allow: Annotated[
        tuple[Entry, ...],
        Listed,
        Field(
            max_length=MAX_ENTRIES, description="who may pass; each field that is given must fit"
        ),
    ]

    def compile(self, match: Match, _lists: HeldLists) -> Gate:
        reason = self.message or f"rule {self.name} lets nobody else pass"
        entries = [compiled(entry) for entry in self.allow]

        def refuses(values: Values) -> str | None:
            for entry in entries:
                if all(fits(read(values)) for read, fits in entry):
                    return None
            return reason

        return Gate(self, match, tuple(dict.fromkeys((*match.reads, *READS))), refuses)


Read = Callable[[Values], str]
Fits = Callable[[str], bool]


def text(name: str) -> Read:
    def read(values: Values) -> str:
        value = values.get(name)
        return value if isinstance(value, str) else ""

    return read


def namespace(values: Values) -> str:
    named = values.get("source.namespace")
    if isinstance(named, str):
        return named
    principal = values.get("source.principal")
    if not isinstance(principal, str):
        return ""
    return principal.partition(SPIFFE_NAMESPACE)[2].partition("/")[0]


def path(values: Values) -> str:
    value = values.get("request.url_path")
    if isinstance(value, str):
        return value
    value = values.get("request.path")
    return value.partition("?")[0] if isinstance(value, str) else ""


def compiled(entry: Entry) -> list[tuple[Read, Fits]]:
    readers: list[tuple[tuple[str, ...] | None, Read]] = [
        (entry.principals, text("source.principal")),
        (entry.namespaces, namespace),
        (entry.services, text("source.service")),
        (entry.methods, text("request.method")),
        (entry.paths, path),
    ]
    return [(read, fitting(given)) for given, read in readers if given is not None]


def fitting(patterns: Sequence[str]) -> Fits:
    """Whether a text fits one of the patterns. An absent value is "", which fits none."""
    exact = frozenset(pattern for pattern in patterns if "*" not in pattern)
    starts = tuple(pattern[:-1] for pattern in patterns if len(pattern) > 1 and pattern[-1] == "*")
    ends = tuple(pattern[1:] for pattern in patterns if len(pattern) > 1 and pattern[0] == "*")
    anything = "*" in patterns

    def fits(value: str) -> bool:
        return value != "" and (
            anything or value in exact or value.startswith(starts) or value.endswith(ends)
        )

    return fits
