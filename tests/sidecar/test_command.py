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
        "--metrics", "--collector-grpc", "collector.mesh:4317", "--concurrency", "1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    path = tmp_path / "envoy.yaml"
    path.write_text(done.stdout)
    assert validated(path) == ""
    config = yaml.safe_load(done.stdout)
    assert [sink["name"] for sink in config["stats_sinks"]] == ["envoy.stat_sinks.open_telemetry"]
    listeners = config["static_resources"]["listeners"]
    assert [listener["name"] for listener in listeners] == [
        "inbound",
        "outbound_payment.shop",
        "outbound_cart.basket",
    ]


def test_a_sidecar_that_counts_by_itself_is_one_word(tmp_path: Path) -> None:
    done = sidecar("--service", "cart.shop", "--check", "rlqs", "--rls-descriptor", "user=x-user")
    assert done.returncode == 0, done.stderr
    path = tmp_path / "envoy.yaml"
    path.write_text(done.stdout)
    assert validated(path) == ""


def test_more_headers_than_a_bucket_can_have_are_refused_in_words() -> None:
    entries = [word for n in range(5) for word in ("--rls-descriptor", f"k{n}=x-{n}")]
    done = sidecar("--service", "cart.shop", "--check", "rlqs", *entries)
    assert done.returncode == 2
    assert "at most 4 descriptors" in done.stderr


def test_an_unreadable_outbound_service_is_refused_in_words() -> None:
    done = sidecar("--service", "checkout", "--outbound", "payment")
    assert done.returncode == 2
    assert "'payment' is not SERVICE=HOST:PORT" in done.stderr
