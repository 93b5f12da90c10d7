"""What asking for the graph, and for one edge, takes as spans grow in number.

    python -m benchmarks.graph [--spans 200000 2000000]

So many spans of 200 services lie in one hour each time. Milliseconds are the median of nine, CPU is
the store's for each question, and for settling a span. The ratio is the last number's over the
first's.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from benchmarks.mesh_spans import make_spans
from collector.store.client import Store
from collector.store.queries.latency import latency
from collector.store.queries.service_graph import service_graph
from collector.store.settle import settle
from migrations.clickhouse import migrate_clickhouse
from tests.embedded.daemon import running_store

SECOND_NS = 1_000_000_000
HOUR_NS = 3600 * SECOND_NS
QUESTIONS = 9
EDGE = ("service-0.shop", "service-40.shop")


def asked(question: Callable[[], object], cpu: Callable[[], float]) -> tuple[float, float]:
    """The median's milliseconds, and the CPU's of each."""
    question()
    spent, took = cpu(), []
    for _ in range(QUESTIONS):
        begun = time.perf_counter()
        question()
        took.append((time.perf_counter() - begun) * 1e3)
    return statistics.median(took), (cpu() - spent) / QUESTIONS * 1e3


def measured(store: Store, spans: int, cpu: Callable[[], float]) -> dict[str, float]:
    end_ns = time.time_ns() // HOUR_NS * HOUR_NS
    make_spans(store, "spans", spans, end_ns - HOUR_NS, HOUR_NS - SECOND_NS)
    found: dict[str, float] = {}
    window = end_ns - HOUR_NS, end_ns
    begun = cpu()
    while settle(store, time.time_ns()).left:
        pass
    found["settle, CPU-us a span"] = (cpu() - begun) / spans * 1e6
    edges = service_graph(store, *window, 5000)
    found["edges"] = len(edges)
    questions = {
        "graph of the hour": lambda: service_graph(store, *window, 5000),
        "percentiles of an edge": lambda: latency(store, *window, *EDGE),
    }
    for name, question in questions.items():
        found[f"{name}, ms"], found[f"{name}, CPU-ms"] = asked(question, cpu)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--spans", type=int, nargs="+", default=[200_000, 2_000_000])
    sizes = parser.parse_args().spans
    columns = []
    with (
        tempfile.TemporaryDirectory() as directory,
        running_store(Path(directory) / "store") as process,
    ):
        daemon = psutil.Process(process.process.pid)

        def cpu() -> float:
            times = daemon.cpu_times()
            return float(times.user + times.system)

        for number, spans in enumerate(sizes):
            url = f"{process.url.rpartition('/')[0]}/graph{number}"
            migrate_clickhouse(url)
            with Store(url) as store:
                columns.append(measured(store, spans, cpu))
    print(f"{'':30}" + "".join(f"{spans:>14,}" for spans in sizes) + f"{'ratio':>10}")
    for name in columns[0]:
        figures = [column[name] for column in columns]
        ratio = figures[-1] / figures[0] if figures[0] else float("nan")
        print(f"{name:30}" + "".join(f"{figure:14.1f}" for figure in figures) + f"{ratio:10.2f}")


if __name__ == "__main__":
    main()
