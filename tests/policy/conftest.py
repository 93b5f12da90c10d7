"""Rule databases and counter stores of both kinds, each test's own."""

import asyncio
import os
import pwd
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from migrations.rules import migrate_rules
from policy.quota.counters import MemoryCounters, RedisCounters
from policy.quota.leased import LeasedCounters
from policy.store import RuleStore
from tests.conftest import free_port
from tests.policy.counted import Clock, Counted
from tests.waiting import eventually


def postgres_programs() -> Path:
    """Debian keeps them off the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    path = str(found[-1]) if found else shutil.which("initdb")
    assert path, "PostgreSQL is missing: apt-get install postgresql"
    return Path(path).parent


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL shared by the session; it refuses to run as root."""
    programs, port = postgres_programs(), free_port()
    data = Path("/tmp") / f"meshmeter-pg-{uuid.uuid4().hex}"  # postgres may not enter pytest's
    data.mkdir()
    user: dict[str, Any] = {}
    if os.getuid() == 0:
        account = pwd.getpwnam("postgres")
        os.chown(data, account.pw_uid, account.pw_gid)
        user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    subprocess.run(
        [programs / "initdb", "-D", data, "-A", "trust", "-U", "test", "--no-sync"],
        check=True, capture_output=True, cwd=data, **user,
    )  # fmt: skip
    server = subprocess.Popen(
        [
            programs / "postgres", "-D", data, "-p", str(port), "-k", "", "-h", "127.0.0.1",
            "-c", "fsync=off",
        ],
        stderr=subprocess.DEVNULL, cwd=data, **user,
    )  # fmt: skip
    url = f"postgresql://test@127.0.0.1:{port}/postgres"
    try:
        eventually(lambda: answers(url))
        yield url
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(data)


def answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=1).close()
    except psycopg.OperationalError:
        return False
    return True


@pytest.fixture
def postgres_url(postgres_server: str) -> str:
    name = f"t{uuid.uuid4().hex}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return postgres_server.replace("/postgres", f"/{name}")


@pytest.fixture(params=["sqlite", "postgresql"])
def rules_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite:///{tmp_path / 'rules.sqlite'}"


@pytest.fixture
def store(rules_url: str) -> Iterator[RuleStore]:
    migrate_rules(rules_url)
    store = RuleStore(rules_url)
    yield store
    store.close()


@pytest.fixture(params=["memory", "redis", "leased"])
def counters(request: pytest.FixtureRequest) -> Iterator[Counted]:
    clock = Clock()
    with asyncio.Runner() as runner:
        if request.param == "memory":
            yield Counted(clock, MemoryCounters(clock), runner)
            return
        shared = RedisCounters(request.getfixturevalue("redis_url"), clock_us=clock)
        yield Counted(
            clock, LeasedCounters(shared) if request.param == "leased" else shared, runner
        )
        runner.run(shared.close())
