"""One server's migration files as a cluster is given them."""

from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner

from cli.main import app
from collector.errors import InvalidSetting, StoreError
from collector.settings import Settings
from collector.store.client import Store
from migrations.clickhouse import migrate_clickhouse, print_clickhouse, statements
from migrations.cluster import Cluster, Statement, rendered
from migrations.retention import change

URL = "clickhouse://ch.example/mesh"
CLUSTER = Cluster("two", "mesh")

PLAIN = """
CREATE TABLE IF NOT EXISTS spans
(
    time DateTime64(9) COMMENT 'a start, of (one) span',
    trace_id FixedString(16)
)
ENGINE = MergeTree
ORDER BY time
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1;

CREATE TABLE IF NOT EXISTS newest AS spans
ENGINE = ReplacingMergeTree(time)
ORDER BY time
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS newest_from_spans TO newest AS
SELECT s.time AS time, trace_id
FROM spans AS s;

ALTER TABLE spans
    ADD COLUMN IF NOT EXISTS kind Int8 COMMENT 'one, or two' AFTER time,
    ADD INDEX IF NOT EXISTS kinds kind TYPE minmax GRANULARITY 1;

ALTER TABLE spans MATERIALIZE INDEX kinds;

INSERT INTO newest
SELECT time, trace_id
FROM spans;

DROP TABLE IF EXISTS newest;
"""

# By shard: `spans` by its trace, as the worker inserts them; `newest` is a view's.
ON_A_CLUSTER = """
CREATE TABLE IF NOT EXISTS mesh_local.spans ON CLUSTER 'two'
(
    time DateTime64(9) COMMENT 'a start, of (one) span',
    trace_id FixedString(16)
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/mesh_local/spans', '{replica}')
ORDER BY time
SETTINGS replicated_deduplication_window = 10000, \
replicated_deduplication_window_seconds = 604800, fsync_after_insert = 1;

CREATE TABLE IF NOT EXISTS mesh.spans ON CLUSTER 'two' AS mesh_local.spans
ENGINE = Distributed('two', 'mesh_local', 'spans', cityHash64(trace_id));

CREATE TABLE IF NOT EXISTS mesh_local.newest ON CLUSTER 'two' AS mesh_local.spans
ENGINE = ReplicatedReplacingMergeTree\
('/clickhouse/tables/{shard}/mesh_local/newest', '{replica}', time)
ORDER BY time
SETTINGS replicated_deduplication_window = 10000, \
replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS mesh.newest ON CLUSTER 'two' AS mesh_local.newest
ENGINE = Distributed('two', 'mesh_local', 'newest');

CREATE MATERIALIZED VIEW IF NOT EXISTS mesh_local.newest_from_spans ON CLUSTER 'two' \
TO mesh_local.newest AS
SELECT s.time AS time, trace_id
FROM mesh_local.spans AS s;

ALTER TABLE mesh_local.spans ON CLUSTER 'two'
    ADD COLUMN IF NOT EXISTS kind Int8 COMMENT 'one, or two' AFTER time,
    ADD INDEX IF NOT EXISTS kinds kind TYPE minmax GRANULARITY 1;

CREATE OR REPLACE TABLE mesh.spans ON CLUSTER 'two' AS mesh_local.spans
ENGINE = Distributed('two', 'mesh_local', 'spans', cityHash64(trace_id));

ALTER TABLE mesh_local.spans ON CLUSTER 'two'
    MATERIALIZE INDEX kinds;

INSERT INTO newest
SELECT time, trace_id
FROM spans;

DROP TABLE IF EXISTS mesh.newest ON CLUSTER 'two' SYNC;

DROP TABLE IF EXISTS mesh_local.newest ON CLUSTER 'two' SYNC;
"""


def test_each_statement_is_rendered_for_the_shards_and_for_all():
    made = rendered(statements(PLAIN), CLUSTER, {"spans", "newest"})
    assert [each.sql for each in made] == statements(ON_A_CLUSTER)
    assert [each.sql[:6] for each in made if each.each_shard] == ["INSERT"]


def test_every_statement_of_ours_is_one_that_clickhouse_reads(store_url):
    printed = "".join(print_clickhouse(URL, cluster="two"))
    parsed = "SELECT length(formatQuery(%(sql)s)) > 0"
    found = statements(printed)
    assert len(found) > 60
    with Store(store_url) as store:
        for sql in found:
            assert store.rows(parsed, {"sql": sql}) == [(1,)]


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE IF NOT EXISTS t (a UInt8\n) ENGINE = Log",
        "CREATE TABLE IF NOT EXISTS t (a UInt8\n) ENGINE = MergeTree ORDER BY a",  # forgets inserts
        "CREATE TABLE t (a UInt8\n) ENGINE = Null",
        "CREATE MATERIALIZED VIEW IF NOT EXISTS v TO t AS SELECT a FROM elsewhere",
        "ALTER TABLE spans MOVE PARTITION ID '1' TO TABLE t",
        "ALTER TABLE spans ADD COLUMN a UInt8, DELETE WHERE a",
        "RENAME TABLE spans TO others",
        "TRUNCATE TABLE spans",
    ],
)
def test_what_is_not_known_is_refused(sql):
    with pytest.raises(StoreError, match="not known what this would be on a cluster"):
        rendered([sql], CLUSTER, {"spans", "t"})


def test_a_views_query_may_change_and_have_names_of_its_own():
    sql = "ALTER TABLE v MODIFY QUERY WITH w AS (SELECT a FROM spans) SELECT a, b FROM w JOIN spans"
    (made,) = rendered([sql], CLUSTER, {"spans"})
    assert made == Statement(
        "ALTER TABLE mesh_local.v ON CLUSTER 'two' MODIFY QUERY\n"
        "WITH w AS (SELECT a FROM mesh_local.spans) SELECT a, b FROM w JOIN mesh_local.spans"
    )


def test_how_long_rows_are_kept_is_changed_on_the_shards_alone():
    (sql,) = change("logs", 3, CLUSTER)
    assert " ".join(sql.split()) == (
        "ALTER TABLE mesh_local.logs ON CLUSTER 'two' MODIFY TTL toDateTime(time) + INTERVAL 3 DAY"
    )


@pytest.mark.parametrize("name", ["it's", "two words", "{cluster}"])
def test_a_cluster_has_a_plain_name(name):
    with pytest.raises(InvalidSetting, match="clickhouse_cluster is"):
        migrate_clickhouse(URL, cluster=name)


def test_tables_of_one_server_do_not_become_a_clusters(store_url):
    with Store(store_url) as store:
        before = store.rows("SHOW TABLES")
        with pytest.raises(InvalidSetting, match="was made for one server"):
            migrate_clickhouse(store_url, cluster="two")
        assert store.rows("SHOW TABLES") == before


@pytest.mark.parametrize("cluster", ["", "two"])
def test_the_command_prints_what_it_would_run_and_asks_no_server(monkeypatch, cluster):
    monkeypatch.setenv("MESHMETER_CLICKHOUSE_URL", "clickhouse://127.0.0.1:1/mesh")
    monkeypatch.setenv("MESHMETER_CLICKHOUSE_CLUSTER", cluster)
    done = CliRunner().invoke(app, ["migrate", "--print"])
    assert done.exit_code == 0
    assert ("ON CLUSTER 'two'" in done.stdout) == bool(cluster)
    assert len(statements(done.stdout)) > 40


def test_a_printed_migration_is_the_one_that_runs(store_server, store_url):
    """On one server; what a cluster is given has the same source."""
    database = "printed"
    url = f"{store_server}/{database}"
    with Store(f"{store_server}/default") as store:
        store.command(f"CREATE DATABASE {database}")
        with Store(url) as own:
            for sql in statements("".join(print_clickhouse(url))):
                own.command(sql)
        tables = "SELECT name FROM system.tables WHERE database = %(name)s ORDER BY name"
        migrated = urlsplit(store_url).path[1:]
        assert store.rows(tables, {"name": database}) == store.rows(tables, {"name": migrated})
        store.command(f"DROP DATABASE {database}")


def test_the_setting_is_off_by_default():
    assert Settings().clickhouse_cluster == ""
