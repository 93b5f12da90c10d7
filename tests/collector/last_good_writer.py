"""A process that writes last good rules without end, to be killed while it does."""

from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from collector.last_good import LastGood
from policy.lists import list_from_json
from policy.store import Changed, Stamp

NAMES = [f"rule-{number}" for number in range(300)]


def stamp(version: int) -> Stamp:
    return Stamp(version, datetime.fromtimestamp(version, UTC))


def of_version(version: int, since: int | None) -> Changed:
    """In which everything says the version, and every second rule comes and goes."""
    there, gone = (NAMES[::2], NAMES[1::2]) if version % 2 else (NAMES, [])
    entries = {"name": "l", "entry_type": "literal", "entries": [f"{version}"], "version": version}
    return Changed(
        stamp(version),
        None if since is None else stamp(since),
        [{"name": name, "limit": version} for name in there],
        gone,
        [list_from_json(entries)],
    )


def whole(found: Changed) -> bool:
    """All of it is of one version."""
    version = found.stamp.version
    expected = of_version(version, None)
    documents = sorted(expected.documents, key=lambda document: str(document["name"]))
    return [*found.documents] == documents and [*found.lists] == [*expected.lists]


def write(file: Path) -> None:
    disk = LastGood(file)
    saved = disk.read()
    first = saved.stamp.version if saved else 0
    for version in count(first + 1):
        assert disk.keep(of_version(version, None if version % 10 == 1 else version - 1))
