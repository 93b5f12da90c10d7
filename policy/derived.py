"""The attributes of a request and those that rules derive from them."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from policy.attributes import Value
from policy.expression.generate import FAULTS
from policy.stages import Derivation


class DerivedValues(dict[str, Value]):
    """What was derived; all else is asked of the request itself, which may read it lazily."""

    def __init__(self, base: Mapping[str, Value]) -> None:
        self._base = base

    def __missing__(self, name: str) -> Value:
        return self._base[name]

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name) if super().__contains__(name) else self._base.get(name, default)

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or name in self._base

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*self._base, *super().keys())))

    def __len__(self) -> int:
        return len(list(iter(self)))


def uncounted(_rule_id: str) -> None:
    """For those who do not ask how often rules match."""


def derive(
    derivations: Iterable[Derivation],
    values: Mapping[str, Value],
    matched: Callable[[str], None] = uncounted,
) -> Mapping[str, Value]:
    """With what the matching derivations add, in order: a later one sees what an earlier one made.

    Nothing that is there is replaced; a value that cannot be had is left out. `matched` is told of
    each by its `rule_id`.
    """
    derived: DerivedValues | None = None
    for derivation in derivations:
        if not derivation.match.test(derived if derived is not None else values):
            continue
        matched(derivation.rule_id)
        if derived is None:
            derived = DerivedValues(values)
        for name, entry, value in derivation.attributes:
            try:
                found = value(derived)
            except FAULTS:
                continue
            if entry is not None:
                entries = derived.get(name)
                held = dict(entries) if isinstance(entries, Mapping) else {}
                derived[name] = {entry: str(found), **held}
            elif name not in derived:
                derived[name] = found
    return values if derived is None else derived
