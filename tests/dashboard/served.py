"""The dashboard as a process, for a browser to look at."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.waiting import eventually

READY = "the dashboard is ready"


def command() -> list[str]:
    return [sys.executable, "-m", "cli", "dashboard"]


def environ(store_url: str, address: str = "127.0.0.1:0") -> dict[str, str]:
    settings = {"MESHMETER_CLICKHOUSE_URL": store_url, "MESHMETER_DASHBOARD": address}
    return os.environ | settings | {"MESHMETER_GRPC": "mesh.example:14317"}


@contextmanager
def dashboard(store_url: str, log_path: Path) -> Iterator[str]:
    """The URL of a dashboard on a free port; it must end well when told to."""

    def listening() -> str:
        for line in log_path.read_text().splitlines():
            if line.startswith("{") and json.loads(line).get("event") == READY:
                return str(json.loads(line)["listen"])
        assert process.poll() is None, log_path.read_text()
        return ""

    with log_path.open("wb") as log:
        process = subprocess.Popen(command(), env=environ(store_url), stdout=log, stderr=log)
    try:
        yield f"http://{eventually(listening, timeout_s=60)}"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
        assert "Traceback" not in log_path.read_text()
    finally:
        process.kill()
        process.wait()
