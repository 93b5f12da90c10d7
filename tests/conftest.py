"""The real servers that tests share, each started once a session on a free port."""

import contextlib
import itertools
import os
import random
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from collector.store.client import Store
from embedded.valkey import valkey_command
from launch.embedded import valkey_ready
from tests.databases import Databases
from tests.embedded.daemon import StoreProcess, running_store
from tests.waiting import eventually

sys.dont_write_bytecode = True
# No test fails for being slow: the machine may be busy.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


# The tests are run by several processes, of which each takes ports of its own. None is of those
# that the kernel gives away: who asks it could have a port before the server started for it has.
PORTS_EACH = 5_000
FIRST_PORT = 10_000 + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 4 * PORTS_EACH
ports = itertools.count(random.randrange(PORTS_EACH))


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """The same in every process: of a time, and of bytes that may hold one, the argument's name."""
    if isinstance(val, int) and abs(val) >= 10**9:
        return argname
    if isinstance(val, bytes) and not val.decode("latin-1").isprintable():
        return argname
    return None


def free_port() -> int:
    """One that nobody listens at."""
    while True:
        port = FIRST_PORT + next(ports) % PORTS_EACH
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


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
def store_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreProcess]:
    """An embedded ClickHouse shared by the session."""
    room = ("--memory-bytes", str(6 * 1024**3))  # for the databases of many tests
    with running_store(tmp_path_factory.mktemp("store"), *room) as store:
        yield store


@pytest.fixture(scope="session")
def store_server(store_process: StoreProcess) -> str:
    """It as clickhouse://host:port."""
    return store_process.url.rpartition("/")[0]


@pytest.fixture(scope="session")
def databases(store_process: StoreProcess) -> Iterator[Databases]:
    lent = Databases(store_process)
    yield lent
    lent.close()


@pytest.fixture
def store_url(store_server: str, databases: Databases) -> Iterator[str]:
    """The URL of an empty, migrated database on the shared ClickHouse, the test's own."""
    name = databases.lend()
    yield f"{store_server}/{name}"
    databases.take_back(name)


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """A client of that database."""
    store = Store(store_url)
    yield store
    store.close()
