"""Starting, refusing to start, showing itself, and stopping."""

import json
import socket
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest
from clickhouse_driver.errors import ServerException

from tests.embedded.conftest import Connect
from tests.embedded.daemon import StoreProcess, running_store
from tests.waiting import eventually


def refused(*options: str) -> str:
    """Why a store did not start."""
    ended = subprocess.run(
        [sys.executable, "-m", "embedded.store", *options],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    (line,) = ended.stderr.splitlines()
    return str(json.loads(line)["reason"])


def health(store: StoreProcess, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{store.health_port}{path}") as answer:
        return str(answer.read().decode())


def test_a_taken_port_is_told_on_one_line(store: StoreProcess, tmp_path: Path) -> None:
    taken = f"127.0.0.1:{store.port}"
    reason = refused("--data-dir", str(tmp_path / "data"), "--listen", taken)
    assert reason == f"cannot listen at {taken} (Address already in use)"
    reason = refused("--data-dir", str(tmp_path), "--listen", "127.0.0.1:0", "--health", taken)
    assert reason == f"cannot listen at {taken} (Address already in use)"


def test_a_second_store_on_a_directory_is_told_who_has_it(store: StoreProcess) -> None:
    reason = refused("--data-dir", str(store.data_dir), "--listen", "127.0.0.1:0")
    assert reason == (
        f"the data directory {store.data_dir} is in use by process {store.process.pid}"
    )


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    reason = refused("--data-dir", str(tmp_path / "file" / "data"), "--listen", "127.0.0.1:0")
    assert reason == f"the data directory {tmp_path}/file/data is not writable (Not a directory)"


def test_a_directory_on_a_read_only_file_system_is_told() -> None:
    reason = refused("--data-dir", "/proc/meshmeter", "--listen", "127.0.0.1:0")
    assert reason.startswith("the data directory /proc/meshmeter is not writable")


@pytest.mark.parametrize("address", ["0.0.0.0:0", "10.1.2.3:9000", "[::]:0", "example.com:9000"])
def test_an_address_others_could_reach_is_refused(tmp_path: Path, address: str) -> None:
    reason = refused("--data-dir", str(tmp_path), "--listen", address)
    assert "is not a loopback address" in reason


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.1:http", "127.0.0.1:70000"])
def test_an_address_without_a_port_is_refused(tmp_path: Path, address: str) -> None:
    reason = refused("--data-dir", str(tmp_path), "--listen", address)
    assert reason == f"'{address}' is not host:port"


def test_too_little_memory_is_refused(tmp_path: Path) -> None:
    options = ("--data-dir", str(tmp_path), "--listen", "127.0.0.1:0", "--memory-bytes", "1000")
    assert "at least" in refused(*options)


def test_help_explains_every_option() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "embedded.store", "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    for option in ("--data-dir", "--listen", "--health", "--memory-bytes", "--log-level"):
        assert option in shown.stdout


def test_the_memory_cap_is_the_engines(tmp_path: Path, connect: Connect) -> None:
    with running_store(tmp_path / "data", "--memory-bytes", str(300 << 20)) as store:
        client = connect(store)
        with pytest.raises(ServerException, match=r"maximum: 300\.00 MiB") as caught:
            client.execute("SELECT length(groupArray(number)) FROM numbers(100000000)")
        assert caught.value.code == 241


def test_health_and_metrics_are_served(store: StoreProcess, connect: Connect) -> None:
    client = connect(store)
    client.execute("CREATE TEMPORARY TABLE t (a UInt8)")
    client.execute("INSERT INTO t VALUES", [(1,), (2,)])
    assert json.loads(health(store, "/healthz")) == {"status": "ok"}
    assert json.loads(health(store, "/readyz")) == {"status": "ready", "failing": {}}
    metrics = health(store, "/metrics")
    for name in (
        "connections",
        "queries_total",
        "inserts_total",
        "rows_inserted_total",
        "exceptions_total",
    ):
        assert f"\nmeshmeter_store_{name} " in metrics


def test_a_stop_lets_a_running_statement_end(tmp_path: Path, connect: Connect) -> None:
    with running_store(tmp_path / "data") as store:
        idle, busy, watcher = connect(store), connect(store), connect(store)
        idle.execute("SELECT 1")
        slow = "SELECT sum(sleepEachRow(0.1)) FROM numbers(10)"
        answers: list[object] = []
        asking = threading.Thread(target=lambda: answers.append(busy.execute(slow)))
        asking.start()
        running = "SELECT count() FROM system.processes WHERE query LIKE '%sleepEachRow(0.1)%'"
        eventually(lambda: watcher.execute(running)[0][0] > 1)
        assert store.stop() == 0
        asking.join()
        assert answers == [[(0,)]]
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", store.port), timeout=5)


def test_a_stop_ends_a_statement_that_goes_on(tmp_path: Path, connect: Connect) -> None:
    with running_store(tmp_path / "data") as store:
        busy, watcher = connect(store, send_receive_timeout=60), connect(store)
        slow = "SELECT sum(sleepEachRow(0.1)) FROM numbers(10000)"
        faults: list[Exception] = []

        def ask() -> None:
            try:
                busy.execute(slow + " SETTINGS max_block_size = 1")
            except (ServerException, EOFError, OSError) as fault:
                faults.append(fault)

        asking = threading.Thread(target=ask)
        asking.start()
        running = "SELECT count() FROM system.processes WHERE query LIKE '%sleepEachRow(0.1)%'"
        eventually(lambda: watcher.execute(running)[0][0] > 1)
        assert store.stop() == 0
        asking.join()
        assert len(faults) == 1


def test_tables_are_there_after_a_stop(tmp_path: Path, connect: Connect) -> None:
    with running_store(tmp_path / "data") as store:
        connect(store).execute("CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a")
        connect(store).execute("INSERT INTO t VALUES", [(1,)])
        assert store.stop() == 0
        store.start()
        assert connect(store).execute("SELECT a FROM t") == [(1,)]
