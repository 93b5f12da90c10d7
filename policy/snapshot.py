"""All rules in force at one moment: compiled, immutable, indexed by destination."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from policy.errors import InvalidRule
from policy.expression import compile_match
from policy.index import Index, Lookup, lookups_of
from policy.kinds import AnyRule, Mode
from policy.lists import HeldLists
from policy.stages import Compiled, Derivation, Gate, Headers, Metered


class Candidates(NamedTuple):
    """Rules that may match requests to one destination, stage by stage, in the order of asking.

    `destination` is "" of all those that no rule names.
    """

    destination: str
    derivations: tuple[Derivation, ...]
    gates: tuple[Gate, ...]
    metered: tuple[Metered, ...]
    headers: tuple[Headers, ...]
    shadow_gates: tuple[Gate, ...]
    shadow_metered: tuple[Metered, ...]
    by_values: "Index[Candidates] | None" = None  # these again, when there are many


Service = str | None  # the destination that a rule demands; None: it may match any
ByService = dict[Service, tuple[Compiled, ...]]
Merged = dict[object, Candidates]  # by destination; None: of rules that may match any


class Snapshot:
    """Enabled and shadow rules. `version` is that of the whole set in the rule database."""

    __slots__ = ("_by_service", "_merged", "rules", "version")

    def __init__(
        self,
        version: int,
        rules: Mapping[str, Compiled],
        by_service: ByService | None = None,
        merged: Merged | None = None,
    ) -> None:
        """The index of the rules, as far as it is known."""
        self.version = version
        self.rules = rules
        self._by_service = grouped(rules.values()) if by_service is None else by_service
        # Filled as destinations are met, never beyond those that rules name.
        self._merged: Merged = merged or {None: indexed("", self._by_service.get(None, ()))}

    def changed(self, version: int, rules: Mapping[str, Compiled | None]) -> "Snapshot":
        """The same but for these rules: None where there is none any more."""
        all_rules, by_service = dict(self.rules), dict(self._by_service)
        touched: set[Service] = set()
        for name, compiled in rules.items():
            if old := all_rules.pop(name, None):
                touched.add(old.match.service)
            if compiled:
                all_rules[name] = compiled
        new = grouped(compiled for compiled in rules.values() if compiled)
        touched |= new.keys()
        for service in touched:
            others = (
                other for other in by_service.pop(service, ()) if other.rule.name not in rules
            )
            if found := in_order([*others, *new.get(service, ())]):
                by_service[service] = found
        if None in touched:
            return Snapshot(version, all_rules, by_service)
        merged = dict(self._merged)
        for service in touched:
            merged.pop(service, None)
        return Snapshot(version, all_rules, by_service, merged)

    def candidates(self, destination: object) -> Candidates:
        """`destination` is what the bag holds, of whatever type."""
        try:
            found = self._merged.get(destination)
        except TypeError:
            return self._merged[None]
        return found or self._merge(destination)

    @property
    def destinations(self) -> Iterable[str]:
        """Those that rules name."""
        return [service for service in self._by_service if service is not None]

    def _merge(self, destination: object) -> Candidates:
        named = self._by_service.get(destination) if isinstance(destination, str) else None
        if named is None:
            return self._merged[None]
        general, shared = self._by_service.get(None, ()), self._merged[None].by_values
        lookups, always = lookups_of(named)
        lookups = [*(shared.lookups if shared else ()), *lookups]
        always = [*(shared.always if shared else general), *always]
        merged = candidates(str(destination), in_order([*general, *named]))
        self._merged[destination] = merged = with_index(merged, lookups, always)
        return merged


def indexed(destination: str, rules: Sequence[Compiled]) -> Candidates:
    """What is common to all destinations is indexed once, and not on a check's way."""
    return with_index(candidates(destination, rules), *lookups_of(rules))


def with_index(
    found: Candidates, lookups: Sequence[Lookup], always: Sequence[Compiled]
) -> Candidates:
    if not lookups:
        return found
    return found._replace(by_values=Index(lookups, always, partial(indexed, found.destination)))


def candidates(destination: str, rules: Iterable[Compiled]) -> Candidates:
    rules = list(rules)
    live = [compiled for compiled in rules if not compiled.shadow]
    shadow = [compiled for compiled in rules if compiled.shadow]
    return Candidates(
        destination,
        tuple(compiled for compiled in live if isinstance(compiled, Derivation)),
        tuple(compiled for compiled in live if isinstance(compiled, Gate)),
        tuple(compiled for compiled in live if isinstance(compiled, Metered)),
        tuple(compiled for compiled in live if isinstance(compiled, Headers)),
        tuple(compiled for compiled in shadow if isinstance(compiled, Gate)),
        tuple(compiled for compiled in shadow if isinstance(compiled, Metered)),
    )


def compile_rule(rule: AnyRule, lists: HeldLists) -> Compiled:
    """Raises InvalidRule."""
    return rule.compile(compile_match(rule.match), lists)


def compile_snapshot(
    rules: Iterable[AnyRule],
    version: int,
    previous: Snapshot | None = None,
    lists: HeldLists | None = None,
) -> Snapshot:
    """As `compile_rules`, of all rules. Raises InvalidRule, naming one."""
    compiled = compile_rules(rules, lists or HeldLists(), previous)
    return Snapshot(version, {name: found for name, found in compiled.items() if found})


def compile_rules(
    rules: Iterable[AnyRule], lists: HeldLists, previous: Snapshot | None = None
) -> dict[str, Compiled | None]:
    """By name; None for one that is disabled. Those that are in `previous` unchanged are taken from
    it; `lists` are those that rules name. Raises InvalidRule, naming one."""
    known = previous.rules if previous else {}
    compiled: dict[str, Compiled | None] = {}
    for rule in rules:
        if rule.mode is Mode.DISABLED:
            compiled[rule.name] = None
            continue
        old = known.get(rule.name)
        try:
            compiled[rule.name] = old if old and old.rule == rule else compile_rule(rule, lists)
        except InvalidRule as error:
            raise error.within(f"/{rule.name}") from error
    return compiled


def grouped(rules: Iterable[Compiled]) -> ByService:
    """Sorted bit by bit: all at once would hold up all other threads."""
    found: dict[Service, list[Compiled]] = {}
    for compiled in rules:
        found.setdefault(compiled.match.service, []).append(compiled)
    return {service: in_order(group) for service, group in found.items()}


def in_order(rules: Iterable[Compiled]) -> tuple[Compiled, ...]:
    return tuple(sorted(rules, key=lambda compiled: compiled.order))
