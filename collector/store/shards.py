"""A cluster's shards, each to be talked to by itself.

On a cluster the tables of the database that everybody uses are Distributed over those of the
shards (docs/adr/0007-cluster.md). What is done with what a shard has of its own, as settling is, is
done on one of its servers, in its own database: there it finds what one server has.
"""

import re
from collections.abc import Callable
from itertools import groupby
from typing import TypeVar
from urllib.parse import urlsplit

from collector.errors import StoreDown, StoreError
from collector.store.client import Store

Done = TypeVar("Done")

# Every database has had `spans` from its first migration on.
DISTRIBUTED = """
SELECT engine_full
FROM system.tables
WHERE database = currentDatabase() AND name = 'spans' AND engine = 'Distributed'
"""
OVER = re.compile(r"Distributed\('(?P<cluster>[^']+)', '(?P<database>\w+)'")

SERVERS = """
SELECT shard_num, host_name, port
FROM system.clusters
WHERE cluster = %(cluster)s
ORDER BY shard_num, replica_num
"""


def is_cluster(store: Store) -> bool:
    """Whether the tables are Distributed. Raises StoreDown."""
    return bool(store.rows(DISTRIBUTED))


def shards(store: Store) -> list[list[str]]:
    """The URLs of every shard's servers, in their order there; empty when there is no cluster.

    User, password and options are those of `store`. Raises StoreDown, StoreError.
    """
    found = [OVER.match(engine) for (engine,) in store.rows(DISTRIBUTED)]
    if not found:
        return []
    if not found[0]:
        raise StoreError("the engine of `spans` is not understood")
    servers = store.rows(SERVERS, {"cluster": found[0]["cluster"]})
    parts = urlsplit(store.url)
    user = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
    path = f"/{found[0]['database']}"
    return [
        [
            parts._replace(netloc=f"{user}{bracketed(host)}:{port}", path=path).geturl()
            for _shard, host, port in replicas
        ]
        for _number, replicas in groupby(servers, lambda server: server[0])
    ]


def bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def on_each_shard(store: Store, work: Callable[[Store], Done]) -> list[Done]:
    """What `work` answers for each shard, done on the first of its servers that answers; without a
    cluster, for `store` alone.

    Raises StoreDown when a shard has no such server, or loses it, after all others were worked on,
    and StoreError.
    """
    found = shards(store)
    if not found:
        return [work(store)]
    done, down = [], []
    for number, replicas in enumerate(found, 1):
        try:
            with answering(replicas) as own:
                done.append(work(own))
        except StoreDown as error:
            down.append(f"shard {number}: {error}")
    if down:
        raise StoreDown("; ".join(down))
    return done


def answering(replicas: list[str]) -> Store:
    """The first that does. Raises StoreDown."""
    for url in replicas:
        store = Store(url)
        try:
            store.ping()
        except StoreDown as error:
            store.close()
            last = error
        else:
            return store
    raise last
