"""The whole demo, as a user would run it without a browser."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.waiting import eventually


def demo(*words: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "cli", "demo", "--any-ports", *words]
    environ = {
        name: value
        for name, value in os.environ.items()
        if name == "MESHMETER_ENVOY" or not name.startswith("MESHMETER_")
    }
    return subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=environ, start_new_session=True
    )


@pytest.mark.timeout(240)
def test_sidecars_collector_and_store_tell_the_same_story(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    words = ["--seconds", "12", "--report", str(path), "--data-dir", str(tmp_path / "data")]
    process = demo(*words)
    _, said = process.communicate(timeout=220)
    assert process.returncode == 0, said
    found = json.loads(path.read_text())

    unanswered = found["envoy_unanswered"]
    assert found["envoy_requests"] == found["requests_stored"] > 0
    assert 0 < found["envoy_denied"] <= found["denied"] <= found["envoy_denied"] + unanswered
    assert found["spans_sent"] == found["spans_stored"] > found["envoy_requests"]
    assert found["envoy_requests"] - unanswered <= found["checks"] <= found["envoy_requests"]
    assert found["duplicates"] == found["dead_letters"] == 0
    assert found["seconds_to_first_edge"] > 0

    edges = {(edge["source"], edge["destination"]): edge for edge in found["edges"]}
    assert set(edges) == {
        ("web.shop", "frontend.shop"),
        ("mobile.shop", "frontend.shop"),
        ("frontend.shop", "catalog.shop"),
        ("frontend.shop", "cart.shop"),
        ("frontend.shop", "recommendations.shop"),
        ("frontend.shop", "checkout.shop"),
        ("checkout.shop", "cart.shop"),
        ("checkout.shop", "payment.shop"),
        ("cart.shop", "pricing.shop"),
        ("cart.shop", "inventory.shop"),
    }
    assert sum(edge["requests"] for edge in edges.values()) == found["envoy_requests"]
    denied = edges["mobile.shop", "frontend.shop"]["denied"]
    assert found["envoy_denied"] <= denied <= found["envoy_denied"] + unanswered
    assert edges["frontend.shop", "recommendations.shop"]["p95_ms"] > 150


@pytest.mark.timeout(120)
def test_an_interrupted_demo_leaves_no_process_behind(tmp_path: Path) -> None:
    process = demo("--data-dir", str(tmp_path / "data"))
    started: list[psutil.Process] = []

    def several() -> bool:
        started[:] = psutil.Process(process.pid).children(recursive=True)
        return len(started) >= 3

    eventually(several, timeout_s=60)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert not [child for child in started if child.is_running()]


def test_a_report_without_a_time_is_refused(tmp_path: Path) -> None:
    process = demo("--report", str(tmp_path / "report.json"))
    _, said = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "--report needs --seconds" in said
