"""One server's tables on a cluster: each statement of the migration files, rendered for many.

Every shard has in a database of its own, `meshmeter_local`, what one server has in `meshmeter`: the
same tables, replicated, and the same views between them. In `meshmeter`, on every server, tables of
the same names are Distributed over these; collectors, workers and questions know no others.
A statement that is none of those known here is refused. See docs/adr/0007-cluster.md.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from collector.errors import InvalidSetting, StoreError
from collector.store.tables import BY_TRACE, TABLES

CLUSTER_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
TABLE = re.compile(
    r"CREATE TABLE IF NOT EXISTS (?P<name>\w+)(?: AS (?P<like>\w+))?(?P<columns>\s+\(.*?\n\))?"
    r"\s+ENGINE = (?P<engine>\w+)(?:\((?P<arguments>[^()]*)\))?(?P<rest>(?:\s.*)?)",
    re.DOTALL,
)
VIEW = re.compile(
    r"CREATE MATERIALIZED VIEW IF NOT EXISTS (?P<name>\w+) TO (?P<target>\w+) AS\s(?P<select>.+)",
    re.DOTALL,
)
ALTER = re.compile(r"ALTER TABLE (?P<name>\w+)\s+(?P<changes>.+)", re.DOTALL)
DROP = re.compile(r"DROP (?P<kind>TABLE|VIEW) IF EXISTS (?P<name>\w+)(?: SYNC)?")
INSERT = re.compile(r"INSERT INTO \w+\s.*\bSELECT\b.+", re.DOTALL)
CHANGE = re.compile(
    r"(?:ADD|DROP|MODIFY|COMMENT|CLEAR|MATERIALIZE) (?:COLUMN|INDEX|PROJECTION)\b"
    r"|MODIFY (?:TTL|SETTING|ORDER BY)\b|RESET SETTING\b"
)
QUERY = re.compile(r"MODIFY QUERY\s(?P<select>.+)", re.DOTALL)
SOURCE = re.compile(r"\b(?P<word>FROM|JOIN)\s+(?P<name>\w+)\b(?!\s*[.(])")
PIECE = re.compile(r"'(?:[^'\\]|\\.)*'|.", re.DOTALL)
WINDOW = re.compile(r"\bnon_replicated_deduplication_window = (?P<inserts>\d+)")

# Keeper forgets a token after an hour unless it is told to wait: as long as spans are kept.
REPLICATED_WINDOW = (
    r"replicated_deduplication_window = \g<inserts>, "
    "replicated_deduplication_window_seconds = 604800"
)
KEPT_AS_PARTS = frozenset({"MergeTree", "AggregatingMergeTree", "ReplacingMergeTree"})

# By what a row that workers insert is given to a shard: the same when a group is inserted again.
# Other tables are written on their own shard alone.
TRACE, GROUP = "cityHash64(trace_id)", "cityHash64(_group)"


class Statement(NamedTuple):
    """`each_shard`: for one server of every shard, in its database; else for any server, once."""

    sql: str
    each_shard: bool = False


class Cluster(NamedTuple):
    """A cluster of `remote_servers`, and the database that everybody uses."""

    name: str
    database: str

    @property
    def local(self) -> str:
        """The database of a shard's own tables."""
        return f"{self.database}_local"

    @property
    def databases(self) -> list[str]:
        return [
            f"CREATE DATABASE IF NOT EXISTS {database} ON CLUSTER '{self.name}'"
            for database in (self.database, self.local)
        ]


def checked(name: str) -> str:
    """Raises InvalidSetting."""
    if not CLUSTER_NAME.fullmatch(name):
        raise InvalidSetting(
            f"clickhouse_cluster is {name!r}; it is letters, digits, _ and -, as in remote_servers"
        )
    return name


def made_tables(statements: Iterable[str]) -> set[str]:
    """The names of the tables that statements make."""
    return {made["name"] for each in statements if (made := TABLE.fullmatch(each))}


def rendered(statements: Iterable[str], cluster: Cluster, tables: set[str]) -> list[Statement]:
    """Statements in their order; views read of `tables`. Raises StoreError for an unknown one."""
    return [every for each in statements for every in render(each, cluster, tables)]


def render(sql: str, cluster: Cluster, tables: set[str]) -> list[Statement]:
    """One statement. Raises StoreError."""
    if made := TABLE.fullmatch(sql):
        create = f"CREATE TABLE IF NOT EXISTS {placed(made['name'], cluster)}"
        like = f" AS {cluster.local}.{made['like']}" if made["like"] else ""
        engine = replicated(made, cluster)
        own = f"{create}{like}{made['columns'] or ''}\nENGINE = {engine}"
        return [Statement(own), distributed(made["name"], cluster, "IF NOT EXISTS")]
    if made := VIEW.fullmatch(sql):
        create = f"CREATE MATERIALIZED VIEW IF NOT EXISTS {placed(made['name'], cluster)}"
        select = of_shard(made["select"], cluster, tables)
        return [Statement(f"{create} TO {cluster.local}.{made['target']} AS\n{select}")]
    if made := ALTER.fullmatch(sql):
        return altered(made["name"], made["changes"], cluster, tables)
    if made := DROP.fullmatch(sql):
        drop = f"DROP {made['kind']} IF EXISTS"
        dropped = Statement(f"{drop} {placed(made['name'], cluster)} SYNC")
        over = f"{drop} {cluster.database}.{made['name']} ON CLUSTER '{cluster.name}' SYNC"
        return [dropped] if made["kind"] == "VIEW" else [Statement(over), dropped]
    if INSERT.fullmatch(sql):
        return [Statement(sql, each_shard=True)]
    raise unknown(sql)


def placed(name: str, cluster: Cluster) -> str:
    return f"{cluster.local}.{name} ON CLUSTER '{cluster.name}'"


def replicated(made: re.Match[str], cluster: Cluster) -> str:
    """The engine and all that follows it."""
    engine, rest = made["engine"], made["rest"]
    if engine == "Null":
        return engine + rest
    if engine not in KEPT_AS_PARTS or not WINDOW.search(rest):
        raise unknown(made[0])
    place = f"'/clickhouse/tables/{{shard}}/{cluster.local}/{made['name']}', '{{replica}}'"
    arguments = f", {made['arguments']}" if made["arguments"] else ""
    return f"Replicated{engine}({place}{arguments}){WINDOW.sub(REPLICATED_WINDOW, rest)}"


def distributed(name: str, cluster: Cluster, unless: str = "") -> Statement:
    """The table that everybody uses, made anew from what the shards' is now."""
    create = f"CREATE TABLE {unless}" if unless else "CREATE OR REPLACE TABLE"
    key = ""
    if name in TABLES.values():
        key = f", {TRACE if name in BY_TRACE else GROUP}"
    return Statement(
        f"{create} {cluster.database}.{name} ON CLUSTER '{cluster.name}'"
        f" AS {cluster.local}.{name}\n"
        f"ENGINE = Distributed('{cluster.name}', '{cluster.local}', '{name}'{key})"
    )


def altered(name: str, changes: str, cluster: Cluster, tables: set[str]) -> list[Statement]:
    alter = f"ALTER TABLE {placed(name, cluster)}"
    if query := QUERY.fullmatch(changes):
        return [Statement(f"{alter} MODIFY QUERY\n{of_shard(query['select'], cluster, tables)}")]
    parts = list(by_comma(changes))
    if not all(CHANGE.match(each) for each in parts):
        raise unknown(f"ALTER TABLE {name} {changes}")
    own = Statement(f"{alter}\n    {WINDOW.sub(REPLICATED_WINDOW, changes)}")
    columns = any(re.match(r"\w+ COLUMN\b", each) for each in parts)
    return [own, distributed(name, cluster)] if columns else [own]


def by_comma(changes: str) -> Iterator[str]:
    """The parts between the commas that stand in no bracket and no text."""
    depth, part = 0, ""
    for piece in PIECE.findall(changes):
        if piece == "," and not depth:
            yield part.strip()
            part = ""
            continue
        depth += (piece in ("(", "[")) - (piece in (")", "]"))
        part += piece
    yield part.strip()


def of_shard(select: str, cluster: Cluster, tables: set[str]) -> str:
    """A view's SELECT with the names of the shard's own tables."""

    def named(source: re.Match[str]) -> str:
        name = source["name"]
        if name in tables:
            return f"{source['word']} {cluster.local}.{name}"
        if re.search(rf"\b{name} AS\s*\(", select):
            return source[0]
        raise unknown(select)

    return SOURCE.sub(named, select)


def unknown(sql: str) -> StoreError:
    start = " ".join(sql.split())[:100]
    return StoreError(f"it is not known what this would be on a cluster: {start}")


def printed(statements: Sequence[Statement], cluster: Cluster) -> Iterator[str]:
    """Each as it may be given to clickhouse-client."""
    where = f"-- On one server of every shard, in the database {cluster.local}:\n"
    for statement in statements:
        yield f"{where if statement.each_shard else ''}{statement.sql};\n"
