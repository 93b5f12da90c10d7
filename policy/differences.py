"""What differs between two documents, field by field."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from policy.documents import pointer

IGNORED = "version"  # of a rule: it differs whenever anything does


class Difference(NamedTuple):
    """`place` is a JSON pointer, but that it tells entries which have names by these. None: there
    is no such field, or it is null."""

    place: str
    before: Any
    after: Any


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """By place."""
    return sorted(
        Difference(pointer(path), old, new)
        for path, old, new in changed((), before, after)
        if path != (IGNORED,)
    )


Path = tuple[str, ...]


def changed(path: Path, before: Any, after: Any) -> Iterator[tuple[Path, Any, Any]]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in before.keys() | after.keys():
            yield from changed((*path, key), before.get(key), after.get(key))
    elif (old := by_name(before)) is not None and (new := by_name(after)) is not None:
        yield from changed(path, old, new)
    elif before != after:
        yield path, before, after


def by_name(entries: Any) -> Mapping[str, Any] | None:
    """Entries that all have names, each another; None where they are anything else."""
    if not isinstance(entries, Sequence) or isinstance(entries, str):
        return None
    named = {
        entry["name"]: entry
        for entry in entries
        if isinstance(entry, Mapping) and isinstance(entry.get("name"), str)
    }
    return named if len(named) == len(entries) else None
