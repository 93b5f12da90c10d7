"""Rows of a group that a token kept from being written, found by counting and put in their place.

A MergeTree that is not replicated notes the token of an insert before it names the part with its
rows (docs/adr/0002-embedded-clickhouse.md). Killed between the two, it drops the retry: the rows
are lost, though what its views made of them may be there. So a group that was tried before is
counted after its inserts. What is missing goes into a table like the one it belongs to and moves
over as a part: views do not see it, and they have what they need from the retry.

Two workers may be at the same group. Each makes its own table first, named by the number of its
attempt; the later attempt drops the table of the earlier, which then has nothing to move, and the
earlier gives way when it sees a later one. Only then is counted.

Tables on a cluster are replicated, and note token and part as one: nothing is lost there, and what
is not counted is on its way from one replica to the other.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from collector.errors import StoreDown, StoreError
from collector.store.client import Store
from collector.store.shards import is_cluster
from collector.store.tables import BY_TRACE

Columns = Mapping[str, Sequence[Any]]

# A part holds whole partitions' rows, and a partition whole quarters of hours in every time zone.
QUARTER_NS = 900 * 1_000_000_000
COUNT = """
SELECT
    intDiv(toUnixTimestamp64Nano(time), 900000000000) AS quarter,
    {part} AS part,
    count() AS rows
FROM {table}
WHERE _group = %(group)s
    AND time >= fromUnixTimestamp64Nano(%(first_ns)s)
    AND time <= fromUnixTimestamp64Nano(%(last_ns)s)
GROUP BY quarter, part
"""
# What is inserted as one, or not: all rows of a quarter; on a cluster those of one shard.
WHOLE, OF_TRACE = "''", "hex(trace_id)"
ASIDE = """
SELECT name
FROM system.tables
WHERE database = currentDatabase() AND startsWith(name, %(prefix)s)
"""
PARTITIONS = """
SELECT DISTINCT partition_id
FROM system.parts
WHERE database = currentDatabase() AND table = %(table)s AND active
"""


def missing(store: Store, table: str, columns: Columns) -> Columns:
    """Of the rows of one group those that the table does not have; none is an empty mapping.

    Raises StoreDown, and StoreError when part of what was written in one go is there.
    """
    by_trace = table in BY_TRACE and is_cluster(store)
    quarters = [time_ns // QUARTER_NS for time_ns in columns["time"]]
    parts = [id_.hex().upper() for id_ in columns["trace_id"]] if by_trace else [""] * len(quarters)
    keys = list(zip(quarters, parts, strict=True))
    asked = {
        "group": columns["_group"][0],
        "first_ns": min(columns["time"]),
        "last_ns": max(columns["time"]),
    }
    sql = COUNT.format(table=table, part=OF_TRACE if by_trace else WHOLE)
    found = {(quarter, part): rows for quarter, part, rows in store.rows(sql, asked)}
    for key, rows in Counter(keys).items():
        if found.get(key, 0) not in (0, rows):
            raise StoreError(
                f"{found[key]} of {rows} rows of a group are in {table}: it is not its own"
            )
    lost = [index for index, key in enumerate(keys) if key not in found]
    if not lost:
        return {}
    return {name: [values[index] for index in lost] for name, values in columns.items()}


def restore(store: Store, table: str, columns: Columns, attempt: int) -> int:
    """Puts into the table what it lacks of the group: how many rows that was.

    Raises StoreDown, also when a later attempt is at it, and StoreError.
    """
    prefix = f"again_{table}_{columns['_group'][0]:x}_"
    own = f"{prefix}{attempt}"
    store.command(f"CREATE TABLE {own} AS {table}")
    try:
        others = [name for (name,) in store.rows(ASIDE, {"prefix": prefix}) if name != own]
        if any(number(name) > attempt for name in others):
            raise StoreDown("a later attempt is at this group")
        for name in others:
            store.command(f"DROP TABLE IF EXISTS {name} SYNC")
        lost = missing(store, table, columns)
        if not lost:
            return 0
        store.insert(own, lost, token=own)
        for (partition,) in store.rows(PARTITIONS, {"table": own}):
            store.command(f"ALTER TABLE {own} MOVE PARTITION ID '{partition}' TO TABLE {table}")
        return len(lost["time"])
    finally:
        store.command(f"DROP TABLE IF EXISTS {own} SYNC")


def number(name: str) -> int:
    """Of the attempt, by its table's name."""
    found = re.search(r"\d+$", name)
    return int(found[0]) if found else 0
