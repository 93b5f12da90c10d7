"""The tree of one decision: every rule that could have acted, in order, and what came of it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from policy.expression.why import Failure
from policy.results import Decision, HeaderOperation


class Said(StrEnum):
    """What came of a rule."""

    NOT_MATCHED = "not matched"
    NOT_ASKED = "not asked"  # it matches, but an earlier refusal had decided
    DERIVES = "derives"
    PASSES = "passes"
    REFUSES = "refuses"
    CHANGES = "changes"  # headers
    NO_ANSWER = "no answer"  # its counters do not answer


@dataclass(frozen=True)
class Step:
    """A rule. `read` is what it read of the request, with what others had derived."""

    rule: str
    version: int
    kind: str
    mode: str
    priority: int
    said: Said
    reason: str = ""  # of a refusal
    why_not: Failure | None = None  # of one that does not match
    read: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DeriveStep(Step):
    """`added` by name, as text. `kept`: what was there already. `failed`: why there is no value."""

    added: Mapping[str, str] = field(default_factory=dict)
    kept: tuple[str, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Counter:
    """One limit and its counter. -1 where the counter did not answer; times in microseconds.

    `granted`: this limit would let it pass by itself. `after` is what is left when all is decided:
    the same as `before` when another limit, charged together with this one, refuses.
    """

    limit: int
    window_us: int
    algorithm: str
    burst: int
    amount: int
    before: int
    after: int
    granted: bool | None
    reset_us: int  # from now until it is whole again
    retry_after_us: int  # from now until it could pass; 0: now; -1: never, or not known


@dataclass(frozen=True)
class QuotaStep(Step):
    """`key`: the values of its dimensions. Without limits it is unlimited for this key."""

    key: str = ""
    override: str = ""  # empty: the rule's own limits
    limits: tuple[Counter, ...] = ()
    draft: tuple[Counter, ...] = ()


@dataclass(frozen=True)
class HeaderChange:
    operation: str
    name: str
    value: str

    @classmethod
    def of(cls, operations: Iterable[HeaderOperation]) -> tuple["HeaderChange", ...]:
        return tuple(cls(*operation) for operation in operations)


@dataclass(frozen=True)
class HeadersStep(Step):
    request: tuple[HeaderChange, ...] = ()
    response: tuple[HeaderChange, ...] = ()


@dataclass(frozen=True)
class Elsewhere:
    """Rules not looked at, for they demand another destination. `rules`: it, by name, if listed."""

    count: int
    rules: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Explanation:
    """`decision` is what a check would answer, without an id or a lease.

    `left_out`: rules that do not match and are not listed, for there are so many.
    """

    decision: Decision
    snapshot_version: int
    attributes: Mapping[str, str]  # with what was derived, as text
    derivations: tuple[DeriveStep, ...]
    gates: tuple[Step, ...]
    quotas: tuple[QuotaStep, ...]
    headers: tuple[HeadersStep, ...]
    shadow: tuple[Step | QuotaStep, ...]
    elsewhere: Elsewhere
    left_out: int
