"""Bytes, insert CPU and questions of three ClickHouse schemas of spans, over the same spans.

    python -m benchmarks.schema [--spans 1000000]

Ours, and those of other_schemas.py, in the embedded engine. The spans (see mesh_spans.py) are made
once, and inserted into each by INSERT SELECT in blocks of 50,000; the CPU of reading them, measured
by an insert into nothing, is taken off. Insert CPU includes materialized views and merges to rest;
ours also makes the rollups of operations and settles edges. Bytes are compressed, indexes with
them: of the spans and of what finds them by id, then of all that is kept beside. A question is the
median of seven, or of one when it takes more than ten seconds; its CPU is the store's. Every schema
answers the same questions.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks.mesh_spans import make_spans
from benchmarks.other_schemas import (
    JAEGER,
    JAEGER_INSERT,
    JAEGER_QUESTIONS,
    OTEL,
    OTEL_INSERT,
    OTEL_QUESTIONS,
)
from collector.model import TraceSearch
from collector.store.client import Store
from collector.store.queries.latency import latency
from collector.store.queries.service_graph import service_graph
from collector.store.queries.trace import trace
from collector.store.queries.traces import traces
from collector.store.settle import settle
from migrations.clickhouse import create_database, migrate_clickhouse
from tests.embedded.daemon import running_store
from tests.waiting import eventually

SECOND_NS = 1_000_000_000
HOUR_NS = 3600 * SECOND_NS
QUESTIONS = 7
LONG_QUESTION_S = 10.0
LONG_S = 3600.0

COLUMNS = (
    "time, trace_id, span_id, parent_id, service, name, kind, status, error, http_status, "
    "duration_ns, attributes, resource"
)
SOURCE = """
CREATE TABLE spans
(
    time DateTime64(9),
    trace_id FixedString(16),
    span_id UInt64,
    parent_id UInt64,
    service LowCardinality(String),
    name LowCardinality(String),
    kind Int8,
    status Int8,
    error UInt8,
    http_status UInt16,
    duration_ns UInt64,
    attributes Map(String, String),
    resource Map(String, String)
)
ENGINE = MergeTree
ORDER BY time
"""
NOTHING = "CREATE TABLE nothing AS spans ENGINE = Null"
BLOCKS = """
SETTINGS max_block_size = 50000, min_insert_block_size_rows = 50000,
    min_insert_block_size_bytes = 0, max_insert_threads = 1, max_threads = 1
"""

SIZE = """
SELECT
    sumIf(bytes, table IN %(found)s) AS found,
    sum(bytes) AS kept
FROM
(
    SELECT table, data_compressed_bytes + secondary_indices_compressed_bytes AS bytes
    FROM system.parts
    WHERE database = currentDatabase() AND active
)
"""
MERGES = "SELECT count() FROM system.merges WHERE database = currentDatabase()"
A_TRACE = """
SELECT lower(hex(trace_id))
FROM spans
WHERE time > (SELECT avg(toUnixTimestamp64Nano(time)) FROM spans) / 1e9
ORDER BY time
LIMIT 1
"""

Figures = dict[str, float]


class Bench:
    """The store's process and where its databases are."""

    def __init__(self, server: str, process: psutil.Process, spans: int) -> None:
        self.server = server
        self.process = process
        self.spans = spans

    def cpu_us(self) -> float:
        times = self.process.cpu_times()
        return float(times.user + times.system) * 1e6

    @contextmanager
    def database(self, name: str) -> Iterator[Store]:
        create_database(f"{self.server}/{name}")
        with Store(f"{self.server}/{name}") as store:
            yield store

    def inserted(self, store: Store, insert: str, reading_us: float = 0) -> Figures:
        """CPU per span, merges to rest included."""
        begun = self.cpu_us()
        store.command(insert + BLOCKS, timeout_s=LONG_S)
        eventually(lambda: store.rows(MERGES)[0][0] == 0, timeout_s=LONG_S)
        return {"insert, CPU-us a span": (self.cpu_us() - begun) / self.spans - reading_us}

    def sizes(self, store: Store, found: tuple[str, ...]) -> Figures:
        ((spans, kept),) = store.rows(SIZE, {"found": found})
        return {
            "bytes a span": spans / self.spans,
            "bytes a span, all that is kept": kept / self.spans,
        }

    def asked(self, questions: Mapping[str, Callable[[], object]]) -> Figures:
        figures: Figures = {}
        for name, question in questions.items():
            start = time.perf_counter()
            question()
            times = QUESTIONS if time.perf_counter() - start < LONG_QUESTION_S else 1
            begun, took = self.cpu_us(), []
            for _ in range(times):
                start = time.perf_counter()
                question()
                took.append((time.perf_counter() - start) * 1e3)
            figures[f"{name}, ms"] = statistics.median(took)
            figures[f"{name}, CPU-ms"] = (self.cpu_us() - begun) / times / 1e3
        return figures


def ours(bench: Bench, start_ns: int, asked: Mapping[str, str | int], reading_us: float) -> Figures:
    url = f"{bench.server}/ours"
    migrate_clickhouse(url)
    with Store(url) as store:
        insert = f"INSERT INTO spans ({COLUMNS}) SELECT {COLUMNS} FROM source.spans"
        figures = bench.inserted(store, insert, reading_us)
        figures |= bench.sizes(store, ("spans",))
        begun = bench.cpu_us()
        while settle(store, time.time_ns()).left:
            pass
        figures["settle, CPU-us a span"] = (bench.cpu_us() - begun) / bench.spans
        window = start_ns, start_ns + HOUR_NS
        attribute = ((str(asked["key"]), str(asked["value"])),)
        slow = TraceSearch(
            service=str(asked["service"]),
            min_duration_ns=int(asked["min_ns"]),
            attributes=attribute,
        )
        edge = str(asked["source"]), str(asked["destination"])
        questions: dict[str, Callable[[], object]] = {
            "graph of the hour": lambda: service_graph(store, *window, 5000),
            "percentiles of an edge": lambda: latency(store, *window, *edge),
            "trace by id": lambda: trace(store, str(asked["trace_id"])),
            "service, duration, attribute": lambda: traces(store, *window, slow),
            "attribute alone": lambda: traces(store, *window, TraceSearch(attributes=attribute)),
        }
        return figures | bench.asked(questions)


def theirs(
    bench: Bench,
    name: str,
    tables: tuple[str, ...],
    insert: str,
    questions: Mapping[str, str],
    asked: Mapping[str, str | int],
    reading_us: float,
) -> Figures:
    def question(store: Store, sql: str) -> Callable[[], object]:
        return lambda: store.rows(sql, asked, timeout_s=LONG_S)

    with bench.database(name) as store:
        for table in tables:
            store.command(table)
        found = ("otel_traces", "otel_traces_trace_id_ts", "spans", "trace_id_timestamps")
        figures = bench.inserted(store, insert, reading_us) | bench.sizes(store, found)
        return figures | bench.asked({key: question(store, sql) for key, sql in questions.items()})


def compared(bench: Bench) -> dict[str, Figures]:
    start_ns = (time.time_ns() // HOUR_NS - 1) * HOUR_NS
    with bench.database("source") as store:
        store.command(SOURCE)
        store.command(NOTHING)
        make_spans(store, "spans", bench.spans, start_ns, HOUR_NS - SECOND_NS)
        reading = bench.inserted(store, "INSERT INTO nothing SELECT * FROM spans")
        ((trace_id,),) = store.rows(A_TRACE)
    reading_us = reading["insert, CPU-us a span"]
    asked: dict[str, str | int] = {
        "source": "service-0.shop", "destination": "service-40.shop", "trace_id": trace_id,
        "service": "service-45.shop", "min_ns": 20_000_000, "key": "user.id", "value": "u4242",
    }  # fmt: skip
    return {
        "meshmeter": ours(bench, start_ns, asked, reading_us),
        "OTel exporter": theirs(
            bench, "otel", OTEL, OTEL_INSERT, OTEL_QUESTIONS, asked, reading_us
        ),
        "Jaeger": theirs(
            bench, "jaeger", JAEGER, JAEGER_INSERT, JAEGER_QUESTIONS, asked, reading_us
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--spans", type=int, default=1_000_000)
    spans = parser.parse_args().spans
    room = ("--memory-bytes", str(6 * 1024**3))
    with (
        tempfile.TemporaryDirectory() as directory,
        running_store(Path(directory) / "store", *room) as process,
    ):
        server = process.url.rpartition("/")[0]
        found = compared(Bench(server, psutil.Process(process.process.pid), spans))
    print(f"{spans:,} spans of one hour")
    print(f"{'':34}" + "".join(f"{name:>16}" for name in found))
    for row in found["meshmeter"]:
        figures = [schema.get(row) for schema in found.values()]
        told = "".join(f"{'-' if figure is None else f'{figure:.1f}':>16}" for figure in figures)
        print(f"{row:34}{told}")


if __name__ == "__main__":
    main()
