"""CPU of a span's whole way, by process: to the acknowledgement, and from there into ClickHouse.

    python -m benchmarks.spans [--spans 50000] [--sizes 512 5] [--ways "OTLP, HTTP" ...]

Runs the embedded set without beat and dashboard. While the worker is stopped, so many spans of 12
attributes (for access logs: entries) are sent each way, 512 a request and 5 a request: the
collector's CPU up to the last acknowledgement is the way to the ack, and its inverse is what one
core acknowledges a second. Then the worker goes on until all is stored. User and system time of
each whole process, over the spans; compare figures of one run.
"""

import argparse
import asyncio
import os
import random
import signal
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import httpx
import psutil

from benchmarks.ingest import ATTRIBUTES, SPANS
from benchmarks.ways import AT_ONCE, WAYS
from collector.settings import Settings
from collector.store.client import Store
from launch.embedded import free_ports, process, server_specs
from launch.supervisor import Supervisor
from migrations.clickhouse import migrate_clickhouse
from migrations.rules import migrate_rules
from tests.waiting import eventually

NAMES = ("collector", "worker", "store")


class Set:
    """The processes measured, and their CPU seconds so far."""

    def __init__(self, directory: Path) -> None:
        self.settings = free_ports(replace(Settings(), data_dir=directory), directory)
        environ = {**os.environ, **self.settings.to_environ()}
        self.supervisor = Supervisor(environ, directory / "logs", lambda _: None)
        self.supervisor.add(server_specs(self.settings, {}))
        migrate_rules(self.settings.rules_url)
        migrate_clickhouse(self.settings.clickhouse_url)
        addresses = {"collector": self.settings.http, "worker": self.settings.worker_http}
        self.supervisor.add([process(name, address) for name, address in addresses.items()])
        self.processes = {
            name: psutil.Process(self.supervisor.children[name].process.pid) for name in NAMES
        }

    def cpu_s(self) -> dict[str, float]:
        times = {name: process.cpu_times() for name, process in self.processes.items()}
        return {name: spent.user + spent.system for name, spent in times.items()}

    def pending(self) -> float:
        text = httpx.get(f"{self.settings.collector_url}/metrics").text
        (line,) = [
            line
            for line in text.splitlines()
            if line.startswith("meshmeter_outbox_pending_requests ")
        ]
        return float(line.split()[1])


def measure(measured: Set, name: str, size: int, spans: int) -> int:
    """Prints a line; how many were sent."""
    way, dice = WAYS[name], random.Random(f"{name} {size}")
    bodies = [way.write(dice, size) for _ in range(max(AT_ONCE, spans // size))]
    count = len(bodies) * size
    worker = measured.processes["worker"]
    worker.send_signal(signal.SIGSTOP)
    begun = measured.cpu_s()
    asyncio.run(way.send(bodies, measured.settings))
    acked = measured.cpu_s()
    worker.send_signal(signal.SIGCONT)
    eventually(lambda: measured.pending() == 0, timeout_s=300, every_s=0.5)
    stored = measured.cpu_s()
    to_ack = (acked["collector"] - begun["collector"]) / count * 1e6
    after = "".join(f"{(stored[name] - acked[name]) / count * 1e6:11.1f}" for name in NAMES)
    print(f"{name:18}{size:5}{to_ack:12.1f}{1e6 / to_ack:16,.0f}{after}", flush=True)
    return count


def check(url: str, sent: Counter[str]) -> None:
    """Exits when what is stored is not what was acknowledged."""
    with Store(url) as store:
        found = {
            "spans": store.rows("SELECT count(), uniqExact(trace_id, span_id) FROM spans")[0],
            "requests": store.rows("SELECT count(), count() FROM requests")[0],
        }
    for table, count in sent.items():
        if found[table] != (count, count):
            sys.exit(f"{table}: rows and distinct ones {found[table]}, of {count} acknowledged")
        print(f"{count} of {table} acknowledged and stored, none twice")


def main() -> None:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--spans", type=int, default=50_000, help="each way; a tenth in small ones")
    parser.add_argument("--sizes", type=int, nargs="+", default=[SPANS, 5], help="spans a request")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    given = parser.parse_args()
    print(f"CPU-µs per span of {ATTRIBUTES} attributes, or per entry of an access log")
    print(f"{'':18}{'each':>5}{'to the ack':>12}{'acked/s a core':>16}", end="")
    print("".join(f"{title:>11}" for title in ("collector", "worker", "store")))
    with tempfile.TemporaryDirectory() as directory:
        measured = Set(Path(directory))
        try:
            sent: Counter[str] = Counter()
            for size in given.sizes:
                spans = given.spans if size >= SPANS else given.spans // 10
                for name in given.ways:
                    sent[WAYS[name].table] += measure(measured, name, size, spans)
            check(measured.settings.clickhouse_url, sent)
        finally:
            measured.supervisor.stop()


if __name__ == "__main__":
    main()
