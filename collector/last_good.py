"""The last good rules on disk, for a start while the rule database is down.

One SQLite file, changed as the rules are: what is written does not grow with the whole set. A
collector that is killed while it writes finds the rules of before.
"""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path

from policy.errors import InvalidRule
from policy.lists import NamedList, list_from_json, list_to_json
from policy.store import Changed, Stamp

TABLES = (
    "stamp (id INTEGER PRIMARY KEY, version INTEGER NOT NULL, time TEXT)",
    "rules (name TEXT PRIMARY KEY, document TEXT NOT NULL)",
    "lists (name TEXT PRIMARY KEY, version INTEGER NOT NULL, document TEXT NOT NULL)",
)


class Unusable(Exception):
    """The file, or its disk, does not do as it should."""


class LastGood:
    """Used from threads, one at a time. Everything raises Unusable."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def keep(self, changed: Changed) -> bool:
        """False, and nothing is kept, when the file is not at what changed: then all is needed."""
        try:
            with self._opened() as connection:
                return kept(connection, changed)
        except sqlite3.OperationalError as error:  # such as a disk that is full
            raise Unusable(str(error)) from error
        except sqlite3.DatabaseError:  # spoilt; what is in it is of no use
            return self._begin_anew(changed)

    def read(self) -> Changed | None:
        """None when nothing was ever kept."""
        if not self._file.exists():
            return None
        try:
            with self._opened() as connection:
                return found(connection)
        except (sqlite3.Error, ValueError, KeyError, TypeError, InvalidRule) as error:
            raise Unusable(str(error)) from error

    def _begin_anew(self, changed: Changed) -> bool:
        try:
            for end in ("", "-journal"):
                Path(f"{self._file}{end}").unlink(missing_ok=True)
            with self._opened() as connection:
                return kept(connection, changed)
        except (OSError, sqlite3.Error) as error:
            raise Unusable(str(error)) from error

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        """In one transaction, kept unless the body raises."""
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Unusable(str(error)) from error
        with closing(sqlite3.connect(self._file, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("BEGIN IMMEDIATE")
            for table in TABLES:
                connection.execute(f"CREATE TABLE IF NOT EXISTS {table}")
            yield connection
            connection.execute("COMMIT")


def kept(connection: sqlite3.Connection, changed: Changed) -> bool:
    if changed.since is None:
        connection.execute("DELETE FROM rules")
        connection.execute("DELETE FROM lists")
    elif stamp(connection) != changed.since:
        return False
    connection.executemany("DELETE FROM rules WHERE name = ?", ((name,) for name in changed.gone))
    rules = ((document["name"], json.dumps(document)) for document in changed.documents)
    connection.executemany("REPLACE INTO rules VALUES (?, ?)", rules)
    keep_lists(connection, changed.lists)
    version, time = changed.stamp
    row = version, time.isoformat() if time else None
    connection.execute("REPLACE INTO stamp VALUES (1, ?, ?)", row)
    return True


def stamp(connection: sqlite3.Connection) -> Stamp | None:
    """None when nothing was kept."""
    found = connection.execute("SELECT version, time FROM stamp").fetchone()
    if found is None:
        return None
    version, time = found
    return Stamp(version, datetime.fromisoformat(time) if time else None)


def keep_lists(connection: sqlite3.Connection, lists: Sequence[NamedList]) -> None:
    present = dict(connection.execute("SELECT name, version FROM lists").fetchall())
    gone = present.keys() - {named.name for named in lists}
    connection.executemany("DELETE FROM lists WHERE name = ?", ((name,) for name in gone))
    changed = (
        (named.name, named.version, json.dumps(list_to_json(named)))
        for named in lists
        if present.get(named.name) != named.version
    )
    connection.executemany("REPLACE INTO lists VALUES (?, ?, ?)", changed)


def found(connection: sqlite3.Connection) -> Changed | None:
    made = stamp(connection)
    if made is None:
        return None
    rules = connection.execute("SELECT document FROM rules ORDER BY name")
    lists = connection.execute("SELECT document FROM lists ORDER BY name")
    return Changed(
        made,
        None,
        [json.loads(text) for (text,) in rules],
        (),
        [list_from_json(json.loads(text)) for (text,) in lists],
    )
