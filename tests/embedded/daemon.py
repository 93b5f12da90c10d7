"""The embedded ClickHouse in a process of its own, for tests that kill, stop and restart it."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.waiting import eventually

READY = "the embedded ClickHouse is ready"


class StoreProcess:
    """`python -m embedded.store` on `data_dir`. It keeps its port from one start to the next."""

    program: tuple[str, ...] = ("-m", "embedded.store")
    process: subprocess.Popen[bytes]

    def __init__(self, data_dir: Path, *options: str) -> None:
        self.data_dir = data_dir
        self.options = options
        self.log_path = data_dir.with_name(f"{data_dir.name}.log")
        self.port = 0
        self.health_port = 0

    @property
    def url(self) -> str:
        return f"clickhouse://127.0.0.1:{self.port}/default"

    def start(self) -> str:
        """Returns the URL once clients can connect."""
        command = [sys.executable, *self.program, "--data-dir", str(self.data_dir)]
        command += ["--listen", f"127.0.0.1:{self.port}", "--health", "127.0.0.1:0", *self.options]
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        eventually(self.ready_events, timeout_s=60)
        ready = self.ready_events()[0]
        self.port = int(ready["listen"].rpartition(":")[2])
        self.health_port = int(ready["health"].rpartition(":")[2])
        return self.url

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def events(self) -> list[dict[str, Any]]:
        """What it has logged so far, whole lines only."""
        lines = self.log().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]

    def ready_events(self) -> list[dict[str, Any]]:
        """One, or none yet. Raises AssertionError when the process has ended instead."""
        found = [event for event in self.events() if event.get("event") == READY]
        assert found or self.process.poll() is None, f"the store ended:\n{self.log()}"
        return found

    def kill(self) -> None:
        """At once, by SIGKILL."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """In good order, by SIGTERM. Returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)


@contextmanager
def running_store(data_dir: Path, *options: str) -> Iterator[StoreProcess]:
    """A started store, killed at the end unless the test did."""
    store = StoreProcess(data_dir, *options)
    try:
        store.start()
        yield store
    finally:
        if hasattr(store, "process") and store.process.poll() is None:
            store.kill()
