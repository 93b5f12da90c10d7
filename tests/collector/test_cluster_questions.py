"""Every question answers on two shards what it answers on one server that has all rows.

The shards are databases of one engine, which asks itself as it would ask two servers: each table of
a shard's name is one that reads of the database with the number of the shard that is asked.
"""

import pkgutil
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from collector.decisions.decided import Sought
from collector.errors import StoreDown
from collector.model import LogSearch, TraceSearch
from collector.store import queries
from collector.store.client import Store
from collector.store.lost import missing
from collector.store.open_minutes import open_minutes
from collector.store.queries.agreement import agreement
from collector.store.queries.beginnings import first_call_s
from collector.store.queries.dead_letters import dead_letters
from collector.store.queries.decision import decision_by_id
from collector.store.queries.decisions import decisions, total
from collector.store.queries.denials_by_rule import denials_by_rule
from collector.store.queries.freshness import newest_ns
from collector.store.queries.latency import latency
from collector.store.queries.logs import logs
from collector.store.queries.metric_rates import metric_rates
from collector.store.queries.operations import operations
from collector.store.queries.service_graph import service_graph
from collector.store.queries.services import services
from collector.store.queries.trace import trace
from collector.store.queries.traces import traces
from collector.store.queries.unpaired import unpaired
from collector.store.settle import settle
from migrations.clickhouse import FILES, migrate_clickhouse, migration_texts, statements
from migrations.cluster import Cluster, distributed, made_tables
from tests.collector import test_span_edges as mesh
from tests.collector.stored_rows import SECOND, decision, insert, request
from tests.collector.test_queries_metric_rates import METRIC, run
from tests.conftest import free_port
from tests.embedded.clustered import CLUSTER, LISTENING, clustered_store

MINUTE, HOUR = 60 * SECOND, 3600 * SECOND
TRACES = 20
WHOLE, SHARDS, SHARED, ASKED = "whole", ("shard_1", "shard_2"), "all_local", "all"
TABLES = sorted(
    made_tables(sql for text in migration_texts(FILES).values() for sql in statements(text))
)
OF_ITS_SHARD = ", ".join(
    f"'{SHARED}.{table}': '_database = concat(\\'shard_\\', toString(shardNum()))'"
    for table in TABLES
)


class Stores(NamedTuple):
    """The same rows: all in `whole`, and split over `shards`, which `asked` asks."""

    whole: Store
    shards: list[Store]
    asked: Store
    now_ns: int

    def add(self, table: str, rows: list[dict[str, Any]]) -> None:
        """A table's rows, each on the shard of its group."""
        insert(self.whole, table, rows)
        for number, shard in enumerate(self.shards):
            shard.command(
                f"INSERT INTO {table} SELECT * FROM {WHOLE}.{table} "
                f"WHERE cityHash64(_group) % 2 = {number}"
            )

    def add_spans(self, rows: list[dict[str, Any]], group: int) -> None:
        """A group's spans, each on the shard of its trace."""
        insert(self.whole, "spans", [row | {"_group": group} for row in rows])
        for number, shard in enumerate(self.shards):
            shard.command(
                f"INSERT INTO spans SELECT * FROM {WHOLE}.spans "
                f"WHERE _group = {group} AND cityHash64(trace_id) % 2 = {number}"
            )


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    session = f"additional_table_filters = {{{OF_ITS_SHARD}}}"
    directory = tmp_path_factory.mktemp("cluster") / "asked"
    with clustered_store(directory, [LISTENING, LISTENING], session) as server:
        url = server.url.rpartition("/")[0]
        for database in (WHOLE, *SHARDS):
            migrate_clickhouse(f"{url}/{database}")
        with Store(server.url) as store:
            make_tables(store)
        names = (WHOLE, *SHARDS, ASKED)
        whole, *shards, asked = [Store(f"{url}/{database}") for database in names]
        now_ns = (time.time_ns() // MINUTE - 2) * MINUTE
        found = Stores(whole, shards, asked, now_ns)
        fill(found)
        yield found
        for each in (whole, *shards, asked):
            each.close()


def make_tables(store: Store) -> None:
    asked = Cluster(CLUSTER, ASKED)
    for database in (asked.database, asked.local):
        store.command(f"CREATE DATABASE {database}")
    for table in TABLES:
        store.command(
            f"CREATE TABLE {asked.local}.{table} AS {WHOLE}.{table} "
            f"ENGINE = Merge(REGEXP('^shard_[12]$'), '^{table}$')"
        )
        store.command(distributed(table, asked).sql.replace(f" ON CLUSTER '{CLUSTER}'", ""))


def fill(stores: Stores) -> None:
    at_ns = stores.now_ns - 10 * MINUTE
    stores.add(
        "requests",
        [request(at_ns + n, "a", "b", status=500 * (n % 2), _group=n) for n in range(20)],
    )
    stores.add(
        "logs",
        [
            {"time": at_ns + n // 3, "service": "a", "body": f"line {n}", "_group": n}
            for n in range(20)
        ],
    )
    stores.add(
        "decisions",
        [
            decision(at_ns + n, "a", "b", id=f"d{n}", allowed=n % 2, weight=3.0, _group=n)
            | {"beside_rule": ["new"], "beside_version": [1], "beside_allowed": [n % 3 > 0]}
            | {"beside_live": [-1], "beside_key": [f"k{n % 4}"]}
            for n in range(20)
        ],
    )
    stores.add(
        "dead_letters",
        [
            {"time": at_ns + n, "signal": "otlp", "reason": "unreadable", "item": b"x", "_group": n}
            for n in range(6)
        ],
    )
    points = run(at_ns, at_ns, range(0, 200, 10)) + run(at_ns, at_ns, [5, 9, 2, 4], series=2)
    stores.add("metric_points", [row | {"_group": n} for n, row in enumerate(points)])


def answers(stores: Stores, question: Callable[[Store], object]) -> object:
    """What both answer."""
    whole, asked = question(stores.whole), question(stores.asked)
    assert asked == whole
    return whole


OF_CALLS = {"latency", "operations", "service_graph", "services", "unpaired"}
OF_TRACES = {"trace", "traces"}
QUESTIONS: dict[str, Callable[[Store, int, int], object]] = {
    "agreement": lambda store, start, end: agreement(store, "new", 1, start, end),
    "beginnings": lambda store, _start, _end: first_call_s(store),
    "dead_letters": lambda store, start, end: dead_letters(store, start, end, limit=4),
    "decision": lambda store, _start, _end: decision_by_id(store, "d7"),
    "decisions": lambda store, start, end: decisions(store, Sought(start, end), 7),
    "denials_by_rule": denials_by_rule,
    "freshness": lambda store, _start, end: newest_ns(store, end),
    "service_graph": service_graph,
    "latency": lambda store, start, end: latency(store, start, end, "a", "b").moments,
    "logs": lambda store, start, end: logs(store, start, end, LogSearch(), 7),
    "metric_rates": lambda store, start, end: metric_rates(store, METRIC, start, end),
    "services": services,
    "total": lambda store, start, end: total(store, Sought(start, end, allowed=False)),
}


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
def test_a_question_is_answered_as_by_one_server(stores, question):
    start_ns, end_ns = stores.now_ns - HOUR, stores.now_ns
    assert answers(stores, lambda store: question(store, start_ns, end_ns))


def test_no_question_is_left_out():
    named = {module.name for module in pkgutil.iter_modules(queries.__path__)}
    assert named - {"rollups"} == {*QUESTIONS, *OF_CALLS, *OF_TRACES} - {"total"}


def test_a_page_begins_where_the_one_before_ended(stores):
    start_ns, end_ns = stores.now_ns - HOUR, stores.now_ns
    sought = Sought(start_ns, end_ns)
    first = decisions(stores.asked, sought, 7)
    before = (first[-1].time_ns, first[-1].id)
    rest = answers(stores, lambda store: decisions(store, sought, 20, before))
    assert isinstance(rest, list)
    assert len(first + rest) == 20


def test_edges_are_those_of_one_server_whichever_shards_have_settled(stores):
    start_ns, end_ns = stores.now_ns - 2 * HOUR, stores.now_ns + HOUR
    # Every minute has several traces, and most have some on either shard.
    rows = [
        row | {"trace_id": bytes([copy]) + row["trace_id"][1:]}
        for row in mesh.traces(5, stores.now_ns)
        for copy in range(8)
    ]
    late = [row for row in rows if row["service"] in ("cart", "stock")]
    on_time = [row for row in rows if row not in late]

    def compare() -> None:
        for question in (service_graph, unpaired):
            assert answers(stores, lambda store, ask=question: ask(store, start_ns, end_ns))

    stores.add_spans(on_time, 1)
    for later_ns, shard in enumerate(stores.shards):
        assert settle(shard, stores.now_ns + later_ns).minutes
    compare()
    stores.add_spans(late, 2)
    compare()
    assert settle(stores.shards[1], stores.now_ns + MINUTE).minutes
    compare()
    of_each = [open_minutes(shard, 0, end_ns // SECOND) for shard in stores.shards]
    assert of_each[0]
    assert not of_each[1]
    waiting = open_minutes(stores.asked, 0, end_ns // SECOND)
    assert [each.minute_s for each in waiting] == [each.minute_s for each in of_each[0]]
    assert settle(stores.shards[0], stores.now_ns + 2 * MINUTE).minutes
    assert open_minutes(stores.asked, 0, end_ns // SECOND) == []
    compare()
    for question in (operations, services):
        assert answers(stores, lambda store, ask=question: ask(store, start_ns, end_ns))
    answers(stores, lambda store: latency(store, start_ns, end_ns, "web", "cart").moments)
    found = {
        (edge.source, edge.destination) for edge in service_graph(stores.asked, start_ns, end_ns)
    }
    assert {("web", "cart"), ("cart", "stock"), ("cart", "postgresql:db-1")} <= found


def test_a_trace_is_found_whole_and_in_its_page(stores):
    rows = [
        row | {"trace_id": b"found me" + row["trace_id"][8:], "service": "found"}
        for row in mesh.traces(6, stores.now_ns)
    ]
    stores.add_spans(rows, 3)
    start_ns, end_ns = stores.now_ns - HOUR, stores.now_ns + HOUR
    wanted = TraceSearch(service="found")
    page = answers(stores, lambda store: traces(store, start_ns, end_ns, wanted, limit=4))
    assert page.total == 6  # type: ignore[attr-defined]
    one = rows[0]["trace_id"].hex()
    spans = answers(stores, lambda store: sorted(trace(store, one), key=repr))
    assert len(spans) == 13  # type: ignore[arg-type]


def test_what_one_shard_lacks_of_a_group_is_missing(stores):
    rows = [row | {"_group": 11} for row in mesh.traces(TRACES, stores.now_ns - 5 * HOUR)]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    insert(stores.whole, "spans", rows)
    assert len(missing(stores.asked, "spans", columns)["time"]) == len(rows)
    copied = f"INSERT INTO spans SELECT * FROM {WHOLE}.spans WHERE _group = 11"
    stores.shards[0].command(f"{copied} AND cityHash64(trace_id) % 2 = 0")
    lacking = missing(stores.asked, "spans", columns)["trace_id"]
    assert 0 < len(lacking) < len(rows)
    ((there,),) = stores.asked.rows("SELECT count() FROM spans WHERE _group = 11")
    assert there + len(lacking) == len(rows)
    stores.shards[1].command(f"{copied} AND cityHash64(trace_id) % 2 = 1")
    assert missing(stores.asked, "spans", columns) == {}


def test_no_question_leaves_out_a_shard_that_is_away(tmp_path):
    """The first shard is the server that is asked; at the second's port nobody listens."""
    asked = Cluster(CLUSTER, ASKED)
    with (
        clustered_store(tmp_path / "asked", [LISTENING, free_port()]) as server,
        Store(server.url) as store,
    ):
        for database in (asked.database, asked.local):
            store.command(f"CREATE DATABASE {database}")
        store.command(f"CREATE TABLE {asked.local}.spans (a UInt8) ENGINE = Memory")
        store.command(
            distributed("spans", asked)
            .sql.replace(f" ON CLUSTER '{CLUSTER}'", "")
            .replace(", cityHash64(trace_id)", "")
        )
        with pytest.raises(StoreDown, match="a server of the cluster is away"):
            store.rows(f"SELECT count() FROM {asked.database}.spans")
