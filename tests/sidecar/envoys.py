"""Running a real Envoy on a generated configuration."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import yaml

from collector.sidecar.envoy import envoy_config
from collector.sidecar.envoy_types import Config
from collector.sidecar.sidecar import Sidecar
from demo.envoy_binary import envoy_binary
from tests import plain_http
from tests.waiting import eventually


def validated(path: Path) -> str:
    """What Envoy objects to; empty when nothing."""
    command = [str(envoy_binary()), "--mode", "validate", "--log-level", "error"]
    done = subprocess.run(
        [*command, "--config-path", str(path)], capture_output=True, text=True, check=False
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


@contextmanager
def running(sidecar: Sidecar, directory: Path) -> Iterator[None]:
    with running_config(envoy_config(sidecar), sidecar, directory):
        yield


@contextmanager
def running_config(config: Config, sidecar: Sidecar, directory: Path) -> Iterator[None]:
    """The same with a configuration that was changed."""
    path = directory / f"{sidecar.node}.yaml"
    path.write_text(yaml.safe_dump(config))
    options = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]
    process = subprocess.Popen([str(envoy_binary()), "--config-path", str(path), *options])
    try:
        eventually(lambda: live(f"http://{sidecar.admin}/ready"))
        yield
    finally:
        process.terminate()
        process.wait(10)


def live(url: str) -> bool:
    try:
        return plain_http.get(url).is_success
    except httpx.TransportError:
        return False
