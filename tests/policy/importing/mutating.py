"""Documents with one scalar changed: nothing that was written may be dropped without a word."""

import copy
import random
from collections.abc import Iterator
from typing import Any

import yaml

from policy.importing import Imported, Source, import_sources

Path = tuple[str | int, ...]


def scalars(tree: Any, path: Path = ()) -> Iterator[Path]:
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from scalars(value, (*path, key))
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            yield from scalars(value, (*path, index))
    else:
        yield path


def at(tree: Any, path: Path) -> Any:
    for part in path:
        tree = tree[part]
    return tree


def changed(tree: Any, path: Path, value: Any) -> Any:
    tree = copy.deepcopy(tree)
    at(tree, path[:-1])[path[-1]] = value
    return tree


def other(value: Any) -> Any:
    """Another value that means something else, of the same type."""
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int) else f"{value}x"


def of(documents: list[Any]) -> Imported:
    return import_sources([Source("a.yaml", yaml.safe_dump_all(documents))])


def without_a_word(documents: list[Any], dice: random.Random, tried: int = 12) -> list[Path]:
    """Of some scalars those that could be something else with no rule, list or note changed."""
    before = of(documents)
    told = {(note.document, note.path) for note in before.notes}
    unnoted = [path for path in scalars(documents) if not covered(path, told)]
    return [
        path
        for path in dice.sample(unnoted, min(tried, len(unnoted)))
        if same(before, of(changed(documents, path, other(at(documents, path)))))
    ]


def plain(rule: dict[str, Any]) -> dict[str, Any]:
    return rule | {"name": "", "description": rule["description"].rpartition(" (")[1:]}


def covered(path: Path, told: set[tuple[int, str]]) -> bool:
    """Whether a note is about this place or one around it."""
    number, *inside = path
    assert isinstance(number, int)
    parts = ["", *(str(part).replace("~", "~0").replace("/", "~1") for part in inside)]
    around = ("/".join(parts[:length]) for length in range(1, len(parts) + 1))
    return any((number + 1, place) in told for place in around)


def same(one: Imported, two: Imported) -> bool:
    """But for names that are made of values, and for prose that is made of them."""

    def told(imported: Imported) -> Any:
        rules = [plain(rule) if "ratelimit" in rule["match"] else rule for rule in imported.rules]
        return rules, imported.lists, [(note.path, note.severity) for note in imported.notes]

    return bool(told(one) == told(two))
