"""All rules in force at one moment: compiled, immutable, indexed by destination."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from policy.errors import InvalidRule
from policy.expression import compile_match
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


class Snapshot:
    """Enabled and shadow rules. `version` is that of the whole set in the rule database."""

    __slots__ = ("_general", "_merged", "_services", "rules", "version")

    def __init__(self, version: int, rules: Mapping[str, Compiled]) -> None:
        self.version = version
        self.rules = rules
        in_order = sorted(rules.values(), key=lambda compiled: compiled.order)
        self._general = [compiled for compiled in in_order if compiled.match.service is None]
        self._services: dict[str, list[Compiled]] = {}
        for compiled in in_order:
            if compiled.match.service is not None:
                self._services.setdefault(compiled.match.service, []).append(compiled)
        # Filled as destinations are met, never beyond those that rules name.
        self._merged: dict[object, Candidates] = {None: candidates("", self._general)}

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
        return self._services.keys()

    def _merge(self, destination: object) -> Candidates:
        named = self._services.get(destination) if isinstance(destination, str) else None
        if named is None:
            return self._merged[None]
        merged = sorted([*self._general, *named], key=lambda compiled: compiled.order)
        self._merged[destination] = candidates(str(destination), merged)
        return self._merged[destination]


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
    """Rules that are in `previous` unchanged are taken from it. Raises InvalidRule, naming one.

    `lists` are those that rules name; without, none was ever fetched.
    """
    lists = lists or HeldLists()
    known = previous.rules if previous else {}
    compiled: dict[str, Compiled] = {}
    for rule in rules:
        if rule.mode is Mode.DISABLED:
            continue
        old = known.get(rule.name)
        try:
            compiled[rule.name] = old if old and old.rule == rule else compile_rule(rule, lists)
        except InvalidRule as error:
            raise error.within(f"/{rule.name}") from error
    return Snapshot(version, compiled)
