"""Tables are made once, in order, and every one of them forgets no insert."""

import shutil
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from collector.errors import StoreDown, StoreError
from collector.model import TraceSearch
from collector.settings import Settings
from collector.store.client import Store
from collector.store.queries.traces import traces
from migrations.__main__ import run
from migrations.clickhouse import FILES, MigrationChanged, migrate_clickhouse, statements
from tests.collector.stored_rows import insert, span
from tests.waiting import eventually

OWN_TABLES = """
SELECT name, create_table_query
FROM system.tables
WHERE database = currentDatabase() AND engine NOT IN ('MaterializedView', 'Null')
ORDER BY name
"""

VIEW_TARGETS = """
SELECT extract(create_table_query, ' TO (?:[^ .]+\\.)?([^ ]+)') AS target
FROM system.tables
WHERE database = currentDatabase() AND engine = 'MaterializedView'
"""

NEEDED = (
    "non_replicated_deduplication_window = 10000",
    "fsync_after_insert = 1",
    "fsync_part_directory = 1",
)


@pytest.fixture
def empty_url(store_server: str) -> str:
    """A database that does not exist yet."""
    return f"{store_server}/t{uuid.uuid4().hex}"


def rows(url: str, sql: str) -> list[tuple[Any, ...]]:
    with Store(url) as store:
        return store.rows(sql)


def write(directory: Path, name: str, columns: str) -> None:
    text = f"""
        -- a comment; with a semicolon
        CREATE TABLE IF NOT EXISTS {name} ({columns} COMMENT 'one; two')
        ENGINE = MergeTree ORDER BY tuple();
    """
    directory.mkdir(exist_ok=True)
    (directory / f"{name}.sql").write_text(text)


def test_every_table_keeps_a_deduplication_window_and_syncs_to_disk(store_url):
    tables = dict(rows(store_url, OWN_TABLES))
    assert {"spans", "requests", "decisions", "dead_letters", "edges_1s"} <= set(tables)
    lacking = [
        (name, setting)
        for name, definition in tables.items()
        for setting in NEEDED
        if setting not in definition
    ]
    assert lacking == []


def test_every_view_fills_one_of_these_tables(store_url):
    targets = {target for (target,) in rows(store_url, VIEW_TARGETS)}
    kept = {f"{of}_{grain}" for of in ("edges", "operations") for grain in ("1s", "1m", "1h")}
    kept |= {"half_edges", "span_minutes", "span_edges_1s", "span_edges_1m"}
    assert targets == kept | {"metric_exports", "wanted_spans", "unpaired_spans"}
    assert targets <= {name for name, _ in rows(store_url, OWN_TABLES)}


def test_a_second_migration_has_nothing_to_do(empty_url):
    assert migrate_clickhouse(empty_url) == [path.name for path in sorted(FILES.glob("*.sql"))]
    assert migrate_clickhouse(empty_url) == []


def test_only_new_files_are_applied_in_the_order_of_their_names(empty_url, tmp_path):
    write(tmp_path, "m0002", "b UInt8")
    write(tmp_path, "m0001", "a UInt8")
    assert migrate_clickhouse(empty_url, tmp_path) == ["m0001.sql", "m0002.sql"]
    write(tmp_path, "m0003", "c UInt8")
    assert migrate_clickhouse(empty_url, tmp_path) == ["m0003.sql"]


def test_a_changed_file_is_refused_by_name_before_anything_is_applied(empty_url, tmp_path):
    write(tmp_path, "m0001", "a UInt8")
    migrate_clickhouse(empty_url, tmp_path)
    write(tmp_path, "m0001", "a UInt16")
    write(tmp_path, "m0002", "b UInt8")
    with pytest.raises(MigrationChanged, match=r"m0001\.sql was changed"):
        migrate_clickhouse(empty_url, tmp_path)
    assert rows(empty_url, "EXISTS TABLE m0002") == [(0,)]


def test_a_file_cut_short_is_run_again_whole(empty_url, tmp_path):
    write(tmp_path, "m0001", "a UInt8")
    with (tmp_path / "m0001.sql").open("a") as text:
        text.write("CREATE TABLE IF NOT EXISTS other (a UInt8) ENGINE = Nonsense;\n")
    with pytest.raises(StoreError):
        migrate_clickhouse(empty_url, tmp_path)
    assert rows(empty_url, "EXISTS TABLE m0001") == [(1,)]
    text = (tmp_path / "m0001.sql").read_text()
    (tmp_path / "m0001.sql").write_text(text.replace("Nonsense", "Memory"))
    assert migrate_clickhouse(empty_url, tmp_path) == ["m0001.sql"]


def test_spans_that_were_there_are_found_by_the_index_of_attributes_added_later(
    empty_url, tmp_path
):
    for path in FILES.glob("*.sql"):
        if path.name < "0011":
            shutil.copy(path, tmp_path)
    migrate_clickhouse(empty_url, tmp_path)
    with Store(empty_url) as store:
        insert(store, "spans", [span(time.time_ns(), "a.shop", 1, 0, attributes={"user": "u1"})])
        assert "0011_smaller_spans.sql" in migrate_clickhouse(empty_url)
        granules = """
            SELECT explain
            FROM (EXPLAIN indexes = 1 SELECT count() FROM spans
                WHERE has(arrayConcat(mapValues(attributes), mapValues(resource)), 'none'))
            WHERE explain LIKE '%Granules: 0/1%'
        """
        eventually(lambda: len(store.rows(granules)) == 1)
        wanted = TraceSearch(attributes=(("user", "u1"),))
        assert traces(store, 0, time.time_ns(), wanted).total == 1


def test_every_statement_of_ours_may_run_twice(store_url):
    with Store(store_url) as store:
        for path in sorted(FILES.glob("*.sql")):
            for statement in statements(path.read_text()):
                store.command(statement)


def test_a_database_needs_a_plain_name(store_server):
    with pytest.raises(StoreError, match="no name for a database"):
        migrate_clickhouse(f"{store_server}/a;b")


def test_the_command_migrates_both_and_says_so(empty_url, tmp_path, capsys):
    settings = Settings.from_environ(
        {"MESHMETER_CLICKHOUSE_URL": empty_url, "MESHMETER_DATA_DIR": str(tmp_path / "new")}
    )
    assert run(settings) == 0
    assert "0001_tables.sql" in capsys.readouterr().out
    assert run(settings) == 0
    assert "nothing new" in capsys.readouterr().out


def test_a_store_that_is_down_is_told_with_exit_code_1(tmp_path, capsys):
    url = "clickhouse://127.0.0.1:1/meshmeter"
    with pytest.raises(StoreDown):
        migrate_clickhouse(url)
    settings = Settings.from_environ(
        {"MESHMETER_CLICKHOUSE_URL": url, "MESHMETER_DATA_DIR": str(tmp_path)}
    )
    assert run(settings) == 1
    assert "127.0.0.1:1" in capsys.readouterr().err
