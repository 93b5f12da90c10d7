"""The pipeline's processes, for tests that kill and pause them."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
from fastapi import FastAPI

from collector.dispatcher import Dispatcher, dispatcher
from collector.internal import router
from collector.model import Report
from collector.outbox import Outbox
from collector.settings import Settings
from collector.store.client import Store
from collector.transport.asgi import Door
from collector.transport.server import Addresses, serve
from tests import plain_http
from tests.conftest import free_port
from tests.pipeline.reports import append
from tests.waiting import eventually

MIB = 1024 * 1024


# As the commands do it, without the time it takes to import all other commands.
RUN = """
import sys
from collector import beat, worker
from collector.settings import Settings
from observe import configure_logging
configure_logging(sys.argv[1])
run = {"worker": worker.run_worker, "beat": beat.run_beat}[sys.argv[1]]
sys.exit(run(Settings.from_environ()))
"""


class LiveCollector:
    """Outbox, internal paths on a real server, and dispatcher: a collector without front-ends."""

    def __init__(self, settings: Settings, host: str = "127.0.0.1") -> None:
        self._host = host
        self.outbox = Outbox(settings.data_dir / "outbox", 512 * MIB, ballast_bytes=MIB)
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._listening = threading.Event()
        api = FastAPI()
        api.include_router(router(self.outbox, settings))
        self._door = Door({}, {}, {}, api)
        self._thread = threading.Thread(target=self._serve, name="collector")
        self._thread.start()
        assert self._listening.wait(20)
        self.settings = replace(settings, collector_url=f"http://{host}:{self.port}")
        self.store = Store(settings.clickhouse_url)
        self.dispatcher: Dispatcher = dispatcher(self.settings, self.outbox, lambda: self.store)

    def _serve(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(serve(self._door, [f"{self._host}:0"], self._stop, started=self._started))

    def _started(self, addresses: Addresses) -> None:
        self.port = addresses[0][1]
        self._listening.set()

    def append(self, *reports: Report) -> int:
        return append(self.outbox, *reports)

    def drained(self) -> bool:
        return self.outbox.stats().pending_requests == 0

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self.outbox.close()
        self.store.close()


@contextmanager
def live_collector(
    settings: Settings, *, dispatching: bool = True, host: str = "127.0.0.1"
) -> Iterator[LiveCollector]:
    collector = LiveCollector(settings, host)
    try:
        if dispatching:
            collector.dispatcher.start()
        yield collector
        if dispatching:
            collector.dispatcher.stop()
    finally:
        collector.close()


class MeshmeterProcess:
    """`meshmeter worker` or `beat`, its health on a port of its own.

    `before`: words that start it elsewhere, where it has `host` as its address.
    """

    def __init__(
        self,
        name: str,
        settings: Settings,
        log_dir: Path,
        *,
        before: Sequence[str] = (),
        host: str = "127.0.0.1",
    ) -> None:
        self.name = name
        self.health = f"{host}:{free_port()}"
        self._before = before
        self._settings = replace(settings, **{f"{name}_http": self.health})
        self._log_path = log_dir / f"{name}-{self.health.rpartition(':')[2]}.log"
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        environ = {**os.environ, **self._settings.to_environ()}
        with self._log_path.open("ab") as log:
            return subprocess.Popen(
                [*self._before, sys.executable, "-c", RUN, self.name],
                env=environ,
                stdout=log,
                stderr=log,
            )

    def start_again(self, code: int) -> None:
        """If it has ended so."""
        if self.process.poll() == code:
            self.process = self.start()

    def log(self) -> str:
        return self._log_path.read_text()

    def readiness(self) -> str:
        """ "" when it is ready."""
        try:
            answer = plain_http.get(f"http://{self.health}/readyz", timeout=5)
        except httpx.HTTPError as error:
            assert self.process.poll() is None, self.log()
            return str(error)
        return "" if answer.is_success else answer.text

    def metric(self, line_start: str) -> float:
        text = plain_http.get(f"http://{self.health}/metrics", timeout=5).text
        found = [line for line in text.splitlines() if line.startswith(line_start)]
        return float(found[0].rpartition(" ")[2]) if found else 0.0

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def running(
    name: str,
    settings: Settings,
    log_dir: Path,
    *,
    ready: bool = True,
    before: Sequence[str] = (),
    host: str = "127.0.0.1",
) -> Iterator[MeshmeterProcess]:
    process = MeshmeterProcess(name, settings, log_dir, before=before, host=host)
    try:
        if ready:
            eventually(lambda: process.readiness() == "", timeout_s=30)
        yield process
    finally:
        process.send(signal.SIGCONT)
        process.kill()


def stored_ids(store: Store) -> Sequence[str]:
    """The ids of all stored decisions, those stored twice twice."""
    return [row[0] for row in store.rows("SELECT id FROM decisions ORDER BY id")]
