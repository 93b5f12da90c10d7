"""All rules in force at one moment: compiled, immutable, indexed by destination."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from policy.attributes import Value
from policy.errors import InvalidRule
from policy.expression import Dimension, Reference, compile_dimension, compile_match, recorded
from policy.quota import ALGORITHMS
from policy.rules import AnyRule, DenyRule, QuotaRule

PREFIX = "mm:q:"
MAX_SHOWN = 256  # characters of a quota key in an answer


@dataclass(frozen=True, slots=True)
class CompiledRule:
    rule: AnyRule
    test: Callable[[Mapping[str, Value]], bool]
    service: str | None  # matches only this destination.service
    reads: tuple[Reference, ...]
    dimensions: tuple[Dimension, ...] = ()

    @property
    def order(self) -> tuple[int, str]:
        return self.rule.priority, self.rule.name

    def recorded(self, bag: Mapping[str, Any]) -> dict[str, str]:
        """What the rule read of this bag."""
        return recorded(self.reads, bag)


class Candidates(NamedTuple):
    """Rules that may match requests to one destination, in the order they are asked."""

    denies: tuple[CompiledRule, ...]
    quotas: tuple[CompiledRule, ...]


class Snapshot:
    """Enabled rules only. `version` is that of the whole set in the rule database."""

    __slots__ = ("_general", "_merged", "_services", "rules", "version")

    def __init__(self, version: int, rules: Mapping[str, CompiledRule]) -> None:
        self.version = version
        self.rules = rules
        in_order = sorted(rules.values(), key=lambda compiled: compiled.order)
        self._general = [compiled for compiled in in_order if compiled.service is None]
        self._services: dict[str, list[CompiledRule]] = {}
        for compiled in in_order:
            if compiled.service is not None:
                self._services.setdefault(compiled.service, []).append(compiled)
        # Filled as destinations are met, never beyond those that rules name.
        self._merged: dict[object, Candidates] = {None: candidates(self._general)}

    def candidates(self, destination: object) -> Candidates:
        """`destination` is what the bag holds, of whatever type."""
        try:
            found = self._merged.get(destination)
        except TypeError:
            return self._merged[None]
        return found or self._merge(destination)

    def _merge(self, destination: object) -> Candidates:
        named = self._services.get(destination) if isinstance(destination, str) else None
        if named is None:
            return self._merged[None]
        merged = sorted([*self._general, *named], key=lambda compiled: compiled.order)
        self._merged[destination] = candidates(merged)
        return self._merged[destination]


def candidates(rules: Iterable[CompiledRule]) -> Candidates:
    rules = list(rules)
    return Candidates(
        tuple(compiled for compiled in rules if isinstance(compiled.rule, DenyRule)),
        tuple(compiled for compiled in rules if isinstance(compiled.rule, QuotaRule)),
    )


def compile_rule(rule: AnyRule) -> CompiledRule:
    """Raises InvalidRule."""
    match = compile_match(rule.match)
    texts = rule.dimensions if isinstance(rule, QuotaRule) else ()
    dimensions = tuple(compile_dimension(text) for text in texts)
    reads = [*match.reads, *(read for dimension in dimensions for read in dimension.reads)]
    return CompiledRule(rule, match.test, match.service, tuple(dict.fromkeys(reads)), dimensions)


def compile_snapshot(
    rules: Iterable[AnyRule], version: int, previous: Snapshot | None = None
) -> Snapshot:
    """Rules that are in `previous` unchanged are taken from it. Raises InvalidRule, naming one."""
    known = previous.rules if previous else {}
    compiled: dict[str, CompiledRule] = {}
    for rule in rules:
        if not rule.enabled:
            continue
        old = known.get(rule.name)
        try:
            compiled[rule.name] = old if old and old.rule == rule else compile_rule(rule)
        except InvalidRule as error:
            raise error.within(f"/{rule.name}") from error
    return Snapshot(version, compiled)


def quota_key(rule: QuotaRule, values: list[str]) -> str:
    """The counter of one combination of dimension values, of a bounded length."""
    digest = hashlib.blake2b(digest_size=12)
    for value in values:
        raw = value.encode(errors="surrogatepass")
        digest.update(len(raw).to_bytes(8, "big") + raw)
    letter = ALGORITHMS[rule.algorithm].letter
    return f"{PREFIX}{rule.name}:{letter}:{digest.hexdigest()}"


def shown_key(values: list[str]) -> str:
    text = ", ".join(values)
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"
