"""Inserts through Distributed tables into the servers of two shards, each a process of its own.

Tables are as on a cluster but for what one engine has not: they are not replicated.
"""

import re
import time
import uuid
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from collector.errors import StoreDown
from collector.ingest import row_group, store_group
from collector.model import Report, Signal, Taken
from collector.store.client import Store
from collector.store.settle import settle
from collector.store.shards import is_cluster, on_each_shard, shards
from migrations.clickhouse import FILES, migrate_clickhouse, migration_texts, planned
from migrations.cluster import WINDOW
from tests.collector import messages
from tests.collector.stored_rows import SECOND, request
from tests.collector.test_span_edges import traces
from tests.embedded.clustered import CLUSTER, clustered_store
from tests.embedded.daemon import StoreProcess, running_store

DATABASE = "mesh"
TRACES = 20
REPLICATED = re.compile(r"Replicated(\w*MergeTree)\('[^']+', '\{replica\}'(?:, )?(\w*)\)")
ONE_SERVERS = r"non_replicated_deduplication_window = 10000"


class Mesh(NamedTuple):
    """`store` is of the server that everybody asks; the shards' are processes."""

    store: Store
    shards: list[StoreProcess]

    def counted(self, sql: str) -> list[int]:
        """The number each shard answers."""
        answers = []
        for shard in self.shards:
            with Store(f"clickhouse://127.0.0.1:{shard.port}/{DATABASE}_local") as own:
                answers.append(int(own.rows(sql)[0][0]))
        return answers


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    directory = tmp_path_factory.mktemp("cluster")
    with (
        running_store(directory / "shard-1") as first,
        running_store(directory / "shard-2") as second,
        clustered_store(directory / "asked", [first.port, second.port]) as asked,
        Store(f"{asked.url.rpartition('/')[0]}/{DATABASE}") as store,
    ):
        for shard in (first, second):
            migrate_clickhouse(f"clickhouse://127.0.0.1:{shard.port}/{DATABASE}_local")
        make_tables(asked.url, store.url)
        yield Mesh(store, [first, second])


def make_tables(server: str, url: str) -> None:
    """What a migration makes on a cluster's server: here by the statements, one after the other."""
    with Store(server) as store:
        for database in (DATABASE, f"{DATABASE}_local"):
            store.command(f"CREATE DATABASE {database}")
        for plan in planned(migration_texts(FILES), url, CLUSTER).values():
            for statement in plan:
                if not statement.each_shard:
                    store.command(on_one_engine(statement.sql))


def on_one_engine(sql: str) -> str:
    sql = sql.replace(f" ON CLUSTER '{CLUSTER}'", "")
    sql = REPLICATED.sub(r"\1(\2)", sql)
    sql = re.sub(r", replicated_deduplication_window_seconds = \d+", "", sql)
    return re.sub(rf"(?<!non_){WINDOW.pattern[6:]}", ONE_SERVERS, sql)


def inserted(mesh: Mesh, table: str, rows: list[dict[str, object]], token: str) -> None:
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    mesh.store.insert(table, columns, token=token)


def spans(group: int) -> list[dict[str, object]]:
    """Of traces that no other group has."""
    end_ns = (time.time_ns() // (60 * SECOND) - 2) * 60 * SECOND
    return [
        row | {"trace_id": group.to_bytes(8, "big") + row["trace_id"][8:], "_group": group}
        for row in traces(TRACES, end_ns)
    ]


@pytest.fixture
def group() -> int:
    return uuid.uuid4().int >> 66


def of(group: int) -> str:
    return f"WHERE _group = {group}"


def test_the_tables_tell_that_there_is_a_cluster_and_where_its_shards_are(mesh):
    assert is_cluster(mesh.store)
    assert shards(mesh.store) == [
        [f"clickhouse://127.0.0.1:{shard.port}/{DATABASE}_local"] for shard in mesh.shards
    ]


def test_a_traces_spans_are_on_one_shard_and_come_once_however_often_inserted(mesh, group):
    rows = spans(group)
    before = sum(mesh.counted("SELECT sum(spans) FROM span_minutes"))
    for _ in range(3):
        inserted(mesh, "spans", rows, str(group))
    counts = mesh.counted(f"SELECT count() FROM spans {of(group)}")
    assert min(counts) > 0
    assert sum(counts) == len(rows)
    traces_of = mesh.counted(f"SELECT uniqExact(trace_id) FROM spans {of(group)}")
    assert sum(traces_of) == TRACES
    assert sum(mesh.counted("SELECT sum(spans) FROM span_minutes")) == before + len(rows)


def test_a_worker_stores_a_group_once_however_often_it_tries(mesh, group):
    then_ns = time.time_ns() - 120 * SECOND  # in a minute that is over
    sent = [
        messages.span(start_time_unix_nano=then_ns + n, end_time_unix_nano=then_ns + n)
        for n in range(30)
    ]
    body = messages.traces(*sent)
    report = Report(Signal.OTLP_TRACES, body, then_ns, "a-1.default", len(sent))
    for attempt in (1, 2):
        store_group(mesh.store, "cluster", group, Taken([report], attempt))
    rows = f"SELECT count() FROM spans {of(row_group('cluster', group))}"
    assert sum(mesh.counted(rows)) == len(sent)


def test_all_other_rows_of_a_group_are_on_one_shard(mesh, group):
    rows = [request(time.time_ns(), "a", "b") | {"_group": group} for _ in range(10)]
    for _ in range(2):
        inserted(mesh, "requests", rows, str(group))
    assert sorted(mesh.counted(f"SELECT count() FROM requests {of(group)}")) == [0, 10]


def test_an_insert_waits_for_a_shard_that_is_away_and_is_then_whole_and_once(mesh, group):
    rows = spans(group)
    mesh.shards[1].kill()
    try:
        with pytest.raises(StoreDown):
            inserted(mesh, "spans", rows, str(group))
    finally:
        mesh.shards[1].start()
    for _ in range(2):
        inserted(mesh, "spans", rows, str(group))
    assert sum(mesh.counted(f"SELECT count() FROM spans {of(group)}")) == len(rows)


def test_shards_settle_by_themselves_and_one_that_is_away_holds_up_no_other(mesh, group):
    inserted(mesh, "spans", spans(group), str(group))
    mesh.shards[0].kill()
    try:
        with pytest.raises(StoreDown, match="shard 1"):
            on_each_shard(mesh.store, lambda own: settle(own, time.time_ns()))
    finally:
        mesh.shards[0].start()
    settled = mesh.counted("SELECT count() FROM edge_settlements")
    assert settled[0] == 0
    assert settled[1] > 0
    done = on_each_shard(mesh.store, lambda own: settle(own, time.time_ns()))
    assert done[0].minutes > 0
    assert done[1].minutes == 0
    # What a shard's settlements are made of is what it has.
    in_force = "SELECT sum(b) FROM (SELECT argMax(basis, version) AS b FROM edge_settlements"
    basis = mesh.counted(f"{in_force} WHERE grain = '1m' GROUP BY time)")
    assert basis == mesh.counted("SELECT sum(spans) FROM span_minutes")
