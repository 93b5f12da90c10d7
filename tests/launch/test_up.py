"""Everything `meshmeter up` promises, from the outside."""

import os
import re
import secrets
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.settings import PREFIX
from collector.store.client import Store
from tests import plain_http
from tests.launch.running import Up, free_settings, running_up
from tests.waiting import eventually

PROCESSES = ("valkey", "store", "collector", "worker", "beat", "dashboard")


def send_span(up: Up, name: str) -> None:
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add()
    service = spans.resource.attributes.add(key="service.name")
    service.value.string_value = "cart.shop"
    now_ns = time.time_ns()
    spans.scope_spans.add().spans.add(
        trace_id=secrets.token_bytes(16),
        span_id=secrets.token_bytes(8),
        name=name,
        start_time_unix_nano=now_ns - 1_000_000,
        end_time_unix_nano=now_ns,
    )
    answer = plain_http.post(
        f"http://{up.settings.http}/v1/traces",
        content=request.SerializeToString(),
        headers={"content-type": "application/x-protobuf"},
    )
    assert answer.status_code == 200, answer.text


def stored(up: Up, name: str) -> int:
    store = Store(up.settings.clickhouse_url)
    try:
        (row,) = store.rows("SELECT count() FROM spans WHERE name = %(name)s", {"name": name})
        return int(row[0])
    finally:
        store.close()


def children_of(up: Up) -> dict[str, psutil.Process]:
    found = {}
    for child in psutil.Process(up.process.pid).children():
        words = child.cmdline()
        found["valkey" if "cli" not in words else words[-1]] = child
    return found


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory):
    directory = tmp_path_factory.mktemp("up")
    with running_up(free_settings(directory / "data"), directory / "log") as started:
        yield started


@pytest.mark.timeout(240)
def test_a_second_start_keeps_the_data(tmp_path):
    settings = free_settings(tmp_path / "data")
    rule = {"name": "kept", "kind": "deny", "match": 'source.service == "nobody"'}
    with running_up(settings, tmp_path / "first.log") as first:
        send_span(first, "before")
        eventually(lambda: stored(first, "before") == 1)
        made = plain_http.post(f"http://{settings.http}/api/v1/rules", json=rule)
        assert made.status_code == 201, made.text
        assert first.stop() == 0
        assert "stopped; the data is kept in" in first.said
    with running_up(settings, tmp_path / "second.log") as second:
        assert stored(second, "before") == 1
        assert second.get("/api/v1/rules/kept").json()["name"] == "kept"
        send_span(second, "after")
        eventually(lambda: stored(second, "after") == 1)


def test_it_prints_where_everything_is(up):
    for address in (up.settings.dashboard, up.settings.http, up.settings.grpc, up.settings.store):
        assert address in up.said
    assert str(up.settings.data_dir) in up.said


def test_every_process_shows_itself(up):
    for name in ("http", "dashboard", "worker_http", "beat_http", "store_http"):
        base = f"http://{getattr(up.settings, name)}"
        assert plain_http.get(f"{base}/healthz").status_code == 200
        assert plain_http.get(f"{base}/readyz").json()["failing"] == {}
        metrics = plain_http.get(f"{base}/metrics")
        assert metrics.headers["content-type"].startswith("application/openmetrics-text")
        assert metrics.text.endswith("# EOF\n")


def test_logs_are_structured(up):
    lines = (up.settings.data_dir / "logs/collector.log").read_text().splitlines()
    assert lines
    for line in lines:
        assert re.match(r"^\{.*\}$", line), line


@pytest.mark.parametrize("name", PROCESSES)
def test_a_crashed_process_is_restarted_and_nothing_is_lost(up, name):
    before = children_of(up)
    assert set(before) == set(PROCESSES)
    span = f"around the crash of {name}"
    send_span(up, span)
    before[name].kill()
    eventually(lambda: f"{name} is back" in up.said, timeout_s=60)
    assert children_of(up)[name].pid != before[name].pid
    send_span(up, span)
    eventually(lambda: stored(up, span) == 2, timeout_s=90)


def run(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli", *words],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_port_in_use_is_said_before_anything_starts(tmp_path):
    settings = free_settings(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        answer = run(
            "up",
            "--data-dir",
            str(tmp_path),
            **{**settings_environ(settings), f"{PREFIX}GRPC": taken},
        )
    assert answer.returncode == 2
    assert f"cannot listen at {taken} (Address already in use); set MESHMETER_GRPC" in answer.stderr
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize("process", ["collector", "worker", "beat", "dashboard", "store"])
def test_a_process_started_alone_says_which_port_is_in_use(up, process, tmp_path):
    environ = up.settings.to_environ()
    if process in ("collector", "store"):
        environ[f"{PREFIX}DATA_DIR"] = str(tmp_path)
    answer = run(process, **environ)
    assert answer.returncode not in (0, 1) or process == "dashboard"
    assert "Traceback" not in answer.stderr
    assert "in use" in answer.stderr


def test_a_data_directory_that_cannot_be_written_is_said(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    answer = run(
        "up", "--data-dir", str(blocked / "data"), **settings_environ(free_settings(tmp_path))
    )
    assert answer.returncode == 2
    assert f"the data directory {blocked / 'data'} is not writable" in answer.stderr
    assert "Traceback" not in answer.stderr


def settings_environ(settings) -> dict[str, str]:
    return {
        name: value
        for name, value in settings.to_environ().items()
        if not name.endswith(("_URL", "DATA_DIR"))
    }


def test_the_help_is_quick_to_reach_and_lists_every_process():
    answer = run("--help")
    assert answer.returncode == 0
    for name in ("up", "demo", "collector", "worker", "beat", "dashboard", "store", "migrate"):
        assert name in answer.stdout


def test_the_data_directory_is_only_written_to_where_told(up):
    assert {path.name for path in Path(up.settings.data_dir).iterdir()} >= {
        "logs",
        "store",
        "valkey",
    }
