"""The real servers that tests share, each started once a session on a free port."""

import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from collector.store.client import Store
from embedded.valkey import valkey_command
from launch.embedded import valkey_ready
from tests.waiting import eventually

sys.dont_write_bytecode = True
# No test fails for being slow: the machine may be busy.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class ValkeyProcess:
    """A real Valkey that a test may kill, pause and start again on the same port."""

    def __init__(self, data_dir: Path) -> None:
        self.port = free_port()
        self.data_dir = data_dir
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        self.process = subprocess.Popen(
            valkey_command(self.data_dir, "127.0.0.1", self.port), stdout=subprocess.DEVNULL
        )
        ready = valkey_ready("127.0.0.1", self.port)
        eventually(lambda: not ready())

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Valkey shared by the session: use keys of your own."""
    server = ValkeyProcess(tmp_path_factory.mktemp("valkey"))
    yield server.url
    server.kill()


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[ValkeyProcess]:
    """A Valkey of the test's own, to be killed or paused."""
    server = ValkeyProcess(tmp_path / "valkey")
    yield server
    server.kill()


@pytest.fixture(scope="session")
def store_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An embedded ClickHouse shared by the session, as clickhouse://host:port."""
    from tests.embedded.daemon import running_store

    room = ("--memory-bytes", str(6 * 1024**3))  # for the databases of many tests
    with running_store(tmp_path_factory.mktemp("store"), *room) as store:
        yield store.url.rpartition("/")[0]


@pytest.fixture
def store_url(store_server: str) -> Iterator[str]:
    """The URL of a new, migrated database on the shared ClickHouse, which is dropped afterwards:
    its tables would take the memory of those to come."""
    from migrations.clickhouse import migrate_clickhouse

    url = f"{store_server}/t{uuid.uuid4().hex}"
    migrate_clickhouse(url)
    yield url
    with Store(f"{store_server}/default") as server:
        server.command(f"DROP DATABASE IF EXISTS {url.rpartition('/')[2]}")


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """A client of that database."""
    store = Store(store_url)
    yield store
    store.close()
