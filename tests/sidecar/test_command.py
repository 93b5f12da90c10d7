"""`meshmeter sidecar envoy` as it is typed."""

import subprocess
import sys
from pathlib import Path

import yaml

from tests.sidecar.envoys import validated


def sidecar(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cli", "sidecar", "envoy", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_command_prints_what_envoy_loads(tmp_path: Path) -> None:
    done = sidecar(
        "--service", "checkout", "--namespace", "shop", "--check", "rls",
        "--outbound", "payment=127.0.0.1:9001", "--outbound", "cart.basket=cart.example:80",
        "--rls-descriptor", "user=x-user", "--failure-mode", "open", "--sampling", "10",
        "--collector-grpc", "collector.mesh:4317", "--concurrency", "1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    path = tmp_path / "envoy.yaml"
    path.write_text(done.stdout)
    assert validated(path) == ""
    listeners = yaml.safe_load(done.stdout)["static_resources"]["listeners"]
    assert [listener["name"] for listener in listeners] == [
        "inbound",
        "outbound_payment.shop",
        "outbound_cart.basket",
    ]


def test_an_unreadable_outbound_service_is_refused_in_words() -> None:
    done = sidecar("--service", "checkout", "--outbound", "payment")
    assert done.returncode == 2
    assert "'payment' is not SERVICE=HOST:PORT" in done.stderr
