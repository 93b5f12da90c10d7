"""Brings a ClickHouse database to this version's tables: the files of `clickhouse/`, in order.

A file is recorded, with its sha256, when its last statement has run. One that was cut short runs
again from its start, so every statement says IF NOT EXISTS or is harmless twice. On a cluster it is
what `migrations.cluster` makes of them.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from collector.errors import InvalidSetting, StoreError
from collector.store.client import Store
from collector.store.shards import on_each_shard
from migrations.cluster import Cluster, Statement, checked, made_tables, printed, rendered
from migrations.newcomers import copies, lacking

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

# On a cluster the record is the same on all servers, whatever their shard.
APPLIED_TABLE_ON_CLUSTER = """
CREATE TABLE IF NOT EXISTS {database}.schema_migrations ON CLUSTER '{cluster}'
(
    name String,
    sha256 FixedString(64),
    applied DateTime64(3) DEFAULT now64(3)
)
ENGINE = ReplicatedMergeTree(
    '/clickhouse/tables/{database}/schema_migrations', '{{shard}}-{{replica}}'
)
ORDER BY name
"""

MADE_FOR = """
SELECT startsWith(engine, 'Replicated')
FROM system.tables
WHERE database = %(database)s AND name = 'schema_migrations'
"""

APPLIED = """
SELECT name, sha256
FROM schema_migrations
ORDER BY name
"""


class MigrationChanged(StoreError):
    """A file is not what it was when it was applied."""


def migrate_clickhouse(url: str, files: Path = FILES, *, cluster: str = "") -> list[str]:
    """Apply what is new and return its names; creates the database when there is none.

    Raises MigrationChanged before anything is applied, StoreDown, StoreError, InvalidSetting.
    """
    texts = migration_texts(files)
    plan = planned(texts, url, cluster)
    digests = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}
    create_database(url, cluster)
    with Store(url) as store:
        if cluster:
            give_newcomers(store, named(url, cluster))
        store.command(applied_table(url, cluster), timeout_s=STATEMENT_TIMEOUT_S)
        applied = dict(store.rows(APPLIED))
        for name, digest in applied.items():
            if digests.get(name, digest) != digest:
                raise MigrationChanged(
                    f"migration {name} was changed after it had been applied to this database; "
                    "restore the file, and put the change into a new one"
                )
        new = [name for name in texts if name not in applied]
        for name in new:
            for statement in plan[name]:
                run(store, statement)
            record = {"name": [name], "sha256": [digests[name]]}
            store.insert("schema_migrations", record, token=f"{name}:{digests[name]}")
        return new


def print_clickhouse(url: str, files: Path = FILES, *, cluster: str = "") -> Iterator[str]:
    """What `migrate_clickhouse` has a new database run, to be read. Raises as it does."""
    target = named(url, cluster)
    yield from (f"{sql};\n" for sql in databases(target))
    yield f"{applied_table(url, cluster).strip()};\n"
    for name, plan in planned(migration_texts(files), url, cluster).items():
        yield f"-- {name}\n"
        yield from printed(plan, target)


def migration_texts(files: Path) -> dict[str, str]:
    """By name, in order."""
    return {path.name: path.read_text() for path in sorted(files.glob("*.sql"))}


def planned(texts: Mapping[str, str], url: str, cluster: str) -> dict[str, list[Statement]]:
    """What each file has a database run. Raises StoreError, InvalidSetting."""
    plain = {name: statements(text) for name, text in texts.items()}
    if not cluster:
        return {name: [Statement(sql) for sql in found] for name, found in plain.items()}
    target = named(url, cluster)
    tables = made_tables(sql for found in plain.values() for sql in found)
    return {name: rendered(found, target, tables) for name, found in plain.items()}


def run(store: Store, statement: Statement) -> None:
    """Raises StoreDown, StoreError."""
    if statement.each_shard:
        on_each_shard(store, lambda own: own.command(statement.sql, timeout_s=STATEMENT_TIMEOUT_S))
    else:
        store.command(statement.sql, timeout_s=STATEMENT_TIMEOUT_S)


def give_newcomers(store: Store, cluster: Cluster) -> None:
    """Raises StoreDown, StoreError."""
    if lacking(store, cluster):
        for sql in copies(store, cluster):
            store.command(sql, timeout_s=STATEMENT_TIMEOUT_S)


def refuse_other_kind(store: Store, target: Cluster) -> None:
    """Tables of one server do not become those of a cluster, nor the other way round."""
    found = store.rows(MADE_FOR, {"database": target.database})
    if found and bool(found[0][0]) != bool(target.name):
        kind = "a cluster" if found[0][0] else "one server"
        raise InvalidSetting(
            f"the database {target.database} was made for {kind}, and clickhouse_cluster is "
            f"{target.name!r}: set it as it was, or use another database"
        )


def applied_table(url: str, cluster: str) -> str:
    if not cluster:
        return APPLIED_TABLE
    return APPLIED_TABLE_ON_CLUSTER.format(database=named(url, cluster).database, cluster=cluster)


def create_database(url: str, cluster: str = "") -> None:
    """Over the database `default`, since a connection to one that is missing is refused.

    Raises StoreDown, StoreError, InvalidSetting for a database of the other kind.
    """
    target = named(url, cluster)
    with Store(urlsplit(url)._replace(path="/default").geturl()) as store:
        refuse_other_kind(store, target)
        for sql in databases(target):
            store.command(sql, timeout_s=STATEMENT_TIMEOUT_S)


def databases(target: Cluster) -> list[str]:
    if target.name:
        return target.databases
    return [f"CREATE DATABASE IF NOT EXISTS {target.database}"]


def named(url: str, cluster: str) -> Cluster:
    """A URL's database, and the cluster's name. Raises StoreError, InvalidSetting."""
    database = urlsplit(url).path.removeprefix("/")
    if not NAME.fullmatch(database):
        raise StoreError(f"{database!r} is no name for a database: letters, digits and _ only")
    return Cluster(checked(cluster) if cluster else "", database)


def statements(text: str) -> list[str]:
    """The statements of a file, each ended by a semicolon at the end of a line."""
    parts = END.split(COMMENT.sub("", text))
    return [statement for part in parts if (statement := part.strip())]
