"""CPU of a span's whole way, by process: to the acknowledgement, and from there into ClickHouse.

    python -m benchmarks.spans [--requests 300] [--at-once 4]

Runs the embedded set without beat and dashboard. While the worker is stopped, requests of 512
spans with 12 attributes are sent over OTLP/HTTP and OTLP/gRPC: the collector's CPU up to the last
acknowledgement is the way to the ack. Then the worker goes on until all is stored. User and
system time of each whole process, over the spans; compare figures of one run.
"""

import argparse
import asyncio
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import grpc
import httpx
import psutil

from benchmarks.ingest import ATTRIBUTES, SPANS, request
from collector.frontends.otlp import PATH, URL_PATH
from collector.settings import Settings
from collector.store.client import Store
from launch.embedded import free_ports, process, server_specs
from launch.supervisor import Supervisor
from migrations.clickhouse import migrate_clickhouse
from migrations.rules import migrate_rules
from tests.waiting import eventually

NAMES = ("collector", "worker", "store")
Send = Callable[[bytes], Awaitable[object]]


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


async def send_all(bodies: list[bytes], at_once: int, send: Send) -> None:
    waiting = iter(bodies)

    async def sender() -> None:
        for body in waiting:
            await send(body)

    await asyncio.gather(*(sender() for _ in range(at_once)))


async def over_http(bodies: list[bytes], at_once: int, settings: Settings) -> None:
    async with httpx.AsyncClient(timeout=60) as client:

        async def send(body: bytes) -> None:
            headers = {"content-type": "application/x-protobuf"}
            answer = await client.post(
                settings.collector_url + URL_PATH, content=body, headers=headers
            )
            answer.raise_for_status()

        await send_all(bodies, at_once, send)


async def over_grpc(bodies: list[bytes], at_once: int, settings: Settings) -> None:
    async with grpc.aio.insecure_channel(settings.grpc) as channel:
        await send_all(bodies, at_once, channel.unary_unary(PATH))


def measure(measured: Set, requests: int, at_once: int) -> None:
    spans = requests * SPANS
    print(
        f"{'over':8}{'to the ack':>12}{'into ClickHouse: collector':>30}{'worker':>10}{'store':>10}"
    )
    for name, send in (("HTTP", over_http), ("gRPC", over_grpc)):
        now_ns = time.time_ns()
        dice = random.Random(name)
        bodies = [request(dice, now_ns) for _ in range(requests)]
        worker = measured.processes["worker"]
        worker.send_signal(signal.SIGSTOP)
        begun = measured.cpu_s()
        asyncio.run(send(bodies, at_once, measured.settings))
        acked = measured.cpu_s()
        worker.send_signal(signal.SIGCONT)
        eventually(lambda: measured.pending() == 0, timeout_s=300, every_s=0.5)
        stored = measured.cpu_s()
        to_ack = (acked["collector"] - begun["collector"]) / spans * 1e6
        after = [(stored[name] - acked[name]) / spans * 1e6 for name in NAMES]
        print(f"{name:8}{to_ack:12.1f}{after[0]:30.1f}{after[1]:10.1f}{after[2]:10.1f}", flush=True)
    store = Store(measured.settings.clickhouse_url)
    ((rows, distinct),) = store.rows("SELECT count(), uniqExact(trace_id, span_id) FROM spans")
    store.close()
    if not rows == distinct == 2 * spans:
        sys.exit(f"stored {rows} rows, {distinct} distinct, of {2 * spans} acknowledged")
    print(f"{rows} spans of {ATTRIBUTES} attributes acknowledged and stored, none twice")


def main() -> None:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--requests", type=int, default=300, help="of 512 spans, for each transport"
    )
    parser.add_argument("--at-once", type=int, default=4, help="requests in flight")
    given = parser.parse_args()
    print("CPU-µs per span, 512 spans a request")
    with tempfile.TemporaryDirectory() as directory:
        measured = Set(Path(directory))
        try:
            measure(measured, given.requests, given.at_once)
        finally:
            measured.supervisor.stop()


if __name__ == "__main__":
    main()
