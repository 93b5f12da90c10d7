"""A server that comes to a cluster later is given the tables of the others."""

import uuid

import pytest

from collector.errors import InvalidSetting
from collector.store.client import Store
from migrations.clickhouse import migrate_clickhouse
from migrations.cluster import Cluster
from migrations.newcomers import Counted, copies, lacking
from tests.embedded.clustered import CLUSTER, LISTENING, clustered_store

MADE = """
SELECT name, engine, replaceAll(create_table_query, database, '') AS made
FROM system.tables
WHERE database = %(database)s
ORDER BY name
"""


def test_what_there_is_is_copied_as_it_is_now(store_server):
    """One engine is both servers: the newcomer's tables are those of another database."""
    old, new = (f"t{uuid.uuid4().hex}" for _ in range(2))
    migrate_clickhouse(f"{store_server}/{old}_local")
    with Store(f"{store_server}/default") as store:
        store.command(f"CREATE DATABASE {new}_local")
        given = list(copies(store, Cluster("two", old)))
        for _ in range(2):
            for sql in given:
                assert " ON CLUSTER 'two'" in sql.partition("(")[0]
                store.command(sql.replace(" ON CLUSTER 'two'", "").replace(old, new))
        tables = store.rows(MADE, {"database": f"{old}_local"})
        assert len(tables) > 30
        assert store.rows(MADE, {"database": f"{new}_local"}) == tables
        for database in (old, new):
            store.command(f"DROP DATABASE {database}_local")


@pytest.mark.parametrize(("servers", "are_lacking"), [(1, False), (2, True)])
def test_servers_are_asked_how_many_tables_they_have(tmp_path, servers, are_lacking):
    """The second is the first once more, which ClickHouse asks once."""
    cluster = Cluster(CLUSTER, "mesh")
    with (
        clustered_store(tmp_path / "asked", [LISTENING] * servers) as server,
        Store(server.url) as store,
    ):
        assert not lacking(store, cluster)
        store.command("CREATE DATABASE mesh_local")
        store.command("CREATE TABLE mesh_local.spans (a UInt8) ENGINE = Memory")
        assert lacking(store, cluster) == are_lacking


def test_the_newcomer_itself_is_not_to_be_asked():
    counted = Counted(servers=2, here=0, everywhere=40)
    with pytest.raises(InvalidSetting, match="ch-2:9000 has no tables yet"):
        counted.lacking("ch-2:9000")
    assert not Counted(servers=2, here=0, everywhere=0).lacking("ch-2:9000")
