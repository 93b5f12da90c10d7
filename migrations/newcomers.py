"""Servers that came to a cluster after its tables were made: they are given what the others have.

A table is made as it is now, not as its migrations made it step by step: a replica whose columns
are not those that its table has in Keeper would be refused.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from collector.errors import InvalidSetting
from collector.store.client import Store
from migrations.cluster import Cluster

# How many tables and views there are. The one left out is made on all servers at every migration.
COUNTED = """
SELECT
    (SELECT count() FROM system.clusters WHERE cluster = %(cluster)s) AS servers,
    (
        SELECT count()
        FROM system.tables
        WHERE database IN (%(local)s, %(database)s) AND name != 'schema_migrations'
    ) AS here,
    (
        SELECT count()
        FROM clusterAllReplicas(%(cluster)s, system.tables)
        WHERE database IN (%(local)s, %(database)s) AND name != 'schema_migrations'
    ) AS everywhere
"""

# Views last: what they read and fill must be there. Distributed tables need the shards' own.
TABLES = """
SELECT create_table_query
FROM system.tables
WHERE database IN (%(local)s, %(database)s)
ORDER BY engine = 'MaterializedView', database = %(database)s, name
"""
HEAD = re.compile(r"CREATE (?P<kind>TABLE|MATERIALIZED VIEW) (?P<name>\S+)")


class Counted(NamedTuple):
    """Of the cluster's servers, of the one that is asked, and of all together."""

    servers: int
    here: int
    everywhere: int

    def lacking(self, address: str) -> bool:
        """Raises InvalidSetting when it is the asked one, at `address`, that has no tables."""
        if self.everywhere and not self.here:
            raise InvalidSetting(
                f"{address} has no tables yet and other servers of the cluster have: "
                "let clickhouse_url name one of those"
            )
        return self.everywhere < self.here * self.servers


def lacking(store: Store, cluster: Cluster) -> bool:
    """Whether a server has fewer tables than the one that is asked.

    Raises InvalidSetting when that one is the newcomer, StoreDown, StoreError.
    """
    asked = {"cluster": cluster.name, "local": cluster.local, "database": cluster.database}
    (found,) = store.rows(COUNTED, asked)
    return Counted(*found).lacking(store.address)


def copies(store: Store, cluster: Cluster) -> Iterator[str]:
    """Statements that give all servers what the asked one has. Raises StoreDown, StoreError."""
    asked = {"local": cluster.local, "database": cluster.database}
    for (sql,) in store.rows(TABLES, asked):
        made = HEAD.match(sql)
        if made:
            head = f"CREATE {made['kind']} IF NOT EXISTS {made['name']} ON CLUSTER '{cluster.name}'"
            yield head + sql[made.end() :]
