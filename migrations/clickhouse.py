"""Brings a ClickHouse database to this version's tables: the files of `clickhouse/`, in order.

A file is recorded, with its sha256, when its last statement has run. One that was cut short runs
again from its start, so every statement says IF NOT EXISTS or is harmless twice.
"""

import hashlib
import re
from pathlib import Path
from urllib.parse import urlsplit

from collector.errors import StoreError
from collector.store.client import Store

FILES = Path(__file__).with_name("clickhouse")
COMMENT = re.compile(r"^\s*--.*$", re.MULTILINE)
END = re.compile(r";\s*$", re.MULTILINE)
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
STATEMENT_TIMEOUT_S = 3600.0  # one may read all there is

APPLIED_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations
(
    name String,
    sha256 FixedString(64),
    applied DateTime64(3) DEFAULT now64(3)
)
ENGINE = MergeTree
ORDER BY name
SETTINGS non_replicated_deduplication_window = 10000,
    fsync_after_insert = 1, fsync_part_directory = 1
"""

APPLIED = """
SELECT name, sha256
FROM schema_migrations
ORDER BY name
"""


class MigrationChanged(StoreError):
    """A file is not what it was when it was applied."""


def migrate_clickhouse(url: str, files: Path = FILES) -> list[str]:
    """Apply what is new and return its names; creates the database when there is none.

    Raises MigrationChanged before anything is applied, StoreDown, StoreError, InvalidSetting.
    """
    create_database(url)
    with Store(url) as store:
        store.command(APPLIED_TABLE)
        applied = dict(store.rows(APPLIED))
        texts = {path.name: path.read_text() for path in sorted(files.glob("*.sql"))}
        digests = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}
        for name, digest in applied.items():
            if digests.get(name, digest) != digest:
                raise MigrationChanged(
                    f"migration {name} was changed after it had been applied to this database; "
                    "restore the file, and put the change into a new one"
                )
        new = [name for name in texts if name not in applied]
        for name in new:
            for statement in statements(texts[name]):
                store.command(statement, timeout_s=STATEMENT_TIMEOUT_S)
            record = {"name": [name], "sha256": [digests[name]]}
            store.insert("schema_migrations", record, token=f"{name}:{digests[name]}")
        return new


def create_database(url: str) -> None:
    """Over the database `default`, since a connection to one that is missing is refused."""
    parts = urlsplit(url)
    database = parts.path.removeprefix("/")
    if not NAME.fullmatch(database):
        raise StoreError(f"{database!r} is no name for a database: letters, digits and _ only")
    with Store(parts._replace(path="/default").geturl()) as store:
        store.command(f"CREATE DATABASE IF NOT EXISTS {database}")


def statements(text: str) -> list[str]:
    """The statements of a file, each ended by a semicolon at the end of a line."""
    parts = END.split(COMMENT.sub("", text))
    return [statement for part in parts if (statement := part.strip())]
