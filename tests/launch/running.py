"""`meshmeter up` as a newcomer starts it, on free ports."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx

from collector.settings import PREFIX, Settings
from launch.embedded import EMBEDDED_ADDRESSES, free_ports
from tests import plain_http
from tests.waiting import eventually


class Up:
    """A running `meshmeter up`; what it printed is in `log`."""

    def __init__(self, settings: Settings, log: Path) -> None:
        self.settings, self.log = settings, log
        addresses = {PREFIX + name.upper(): getattr(settings, name) for name in EMBEDDED_ADDRESSES}
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cli", "up", "--data-dir", str(settings.data_dir)],
                env={**os.environ, **addresses},
                stdout=output,
                stderr=output,
            )

    def wait_ready(self) -> None:
        def running() -> bool:
            if self.process.poll() is not None:
                raise AssertionError(f"up ended: {self.said}")
            return "Ctrl-C stops everything" in self.said

        eventually(running, timeout_s=90)

    @property
    def said(self) -> str:
        return self.log.read_text()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(40)

    def get(self, path: str) -> httpx.Response:
        return plain_http.get(f"http://{self.settings.http}{path}", timeout=10)


def free_settings(data_dir: Path) -> Settings:
    return free_ports(replace(Settings(), data_dir=data_dir), data_dir)


@contextmanager
def running_up(settings: Settings, log: Path) -> Iterator[Up]:
    up = Up(settings, log)
    try:
        up.wait_ready()
        yield up
    finally:
        if up.process.poll() is None:
            up.stop()
