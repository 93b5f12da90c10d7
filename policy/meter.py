"""A quota rule made ready to charge: whose counters, which limits, how much.

The most specific override whose terms the request meets takes the place of the default limits.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from policy.attributes import Value
from policy.expression import Dimension
from policy.expression.generate import FAULTS
from policy.quota import Quota, Take
from policy.quota.keys import quota_key, shown_key

DRAFT = "draft-"  # an override's ids have a dot
MAX_AMOUNT = 2**52  # exact in the counters; no limit is that large


class Limits(NamedTuple):
    """What counts for some requests: the default, or an override, whose name it has then.

    Charged together. Empty: unlimited.
    """

    quotas: tuple[Quota, ...]
    override: str = ""


@dataclass(frozen=True, slots=True)
class Term:
    """What an override demands of one dimension: a text, or how it begins."""

    dimension: int  # its place among the rule's
    text: str
    prefix: bool = False


@dataclass(frozen=True, slots=True)
class Override:
    limits: Limits
    terms: tuple[Term, ...]

    @property
    def exact(self) -> tuple[Term, ...]:
        return tuple(term for term in self.terms if not term.prefix)

    @property
    def prefixed(self) -> tuple[Term, ...]:
        return tuple(term for term in self.terms if term.prefix)

    @property
    def order(self) -> tuple[int, int, str]:
        """The most specific first: more texts, then longer beginnings, then by name."""
        beginnings = sum(len(term.text) for term in self.prefixed)
        return -len(self.exact), -beginnings, self.limits.override


Shape = tuple[int, ...]  # the dimensions that exact terms are about


class Overrides:
    """Finds the most specific one: by hash for texts, one by one only for beginnings."""

    def __init__(self, overrides: Sequence[Override]) -> None:
        self._exact: dict[Shape, dict[tuple[str, ...], Override]] = {}
        self._prefixed = sorted(
            (override for override in overrides if override.prefixed),
            key=lambda override: override.order,
        )
        for override in sorted(overrides, key=lambda override: override.order):
            if override.prefixed:
                continue
            terms = sorted(override.exact, key=lambda term: term.dimension)
            found = self._exact.setdefault(tuple(term.dimension for term in terms), {})
            found.setdefault(tuple(term.text for term in terms), override)

    def find(self, values: Sequence[str]) -> Limits | None:
        best: Override | None = None
        for shape, by_values in self._exact.items():
            found = by_values.get(tuple([values[index] for index in shape]))
            if found and (best is None or found.order < best.order):
                best = found
        for override in self._prefixed:
            if best is not None and best.order < override.order:
                break
            if all(meets(term, values[term.dimension]) for term in override.terms):
                best = override
                break
        return best.limits if best else None


def meets(term: Term, value: str) -> bool:
    return value.startswith(term.text) if term.prefix else value == term.text


@dataclass(frozen=True, slots=True)
class Meter:
    name: str  # the rule's
    limits: Limits
    dimensions: tuple[Dimension, ...]
    cost: Callable[[Mapping[str, Value]], Value] | None = None  # one when there is none
    overrides: Overrides | None = None
    draft: tuple[Quota, ...] = ()
    leased: bool = False  # parts may be taken in advance
    holds: bool = False  # some limit of it is held until the request is over

    def charge(self, values: Mapping[str, Value], hits: int) -> "Charge":
        counted_by = [dimension.read(values) for dimension in self.dimensions]
        amount = min(hits * self._cost(values), MAX_AMOUNT) if self.cost else hits
        return self.charge_by(counted_by, amount)

    def charge_by(self, counted_by: Sequence[str], amount: int) -> "Charge":
        """Of the counters of these values of the dimensions."""
        limits = self.limits
        if self.overrides:
            limits = self.overrides.find(counted_by) or limits
        prefix = override_prefix(limits.override)
        return Charge(
            shown_key(counted_by),
            limits,
            amount,
            self._takes(prefix, limits.quotas, counted_by, amount),
            self._takes(DRAFT, self.draft, counted_by, amount) if self.draft else (),
        )

    def _takes(
        self, prefix: str, quotas: Sequence[Quota], counted_by: Sequence[str], amount: int
    ) -> tuple[Take, ...]:
        found = []
        for index, quota in enumerate(quotas):
            key = quota_key(self.name, f"{prefix}{index}", quota.algorithm, counted_by)
            found.append(Take(key, quota, amount, self.leased))
        return tuple(found)

    def _cost(self, values: Mapping[str, Value]) -> int:
        """1 where the expression has no value, or a negative one."""
        if self.cost is None:
            return 1
        try:
            cost = self.cost(values)
        except FAULTS:
            return 1
        return cost if isinstance(cost, int) and cost >= 0 else 1


class Charge(NamedTuple):
    """What one matching quota takes for one request."""

    shown: str  # the values of its dimensions
    limits: Limits
    amount: int
    takes: tuple[Take, ...]
    draft: tuple[Take, ...]


def override_prefix(override: str) -> str:
    """Of the ids of its limits in counters' names; "" are the rule's own."""
    return f"{override}." if override else ""


def limit_ids(prefix: str, quotas: Sequence[Quota]) -> dict[str, Quota]:
    """Quotas by what tells them apart in the names of one rule's counters."""
    return {f"{prefix}{index}": quota for index, quota in enumerate(quotas)}
