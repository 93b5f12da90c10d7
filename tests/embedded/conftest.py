"""One embedded store for the tests that do not kill it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from clickhouse_driver import Client
from clickhouse_driver.protocol import ServerPacketTypes

from tests.embedded.daemon import StoreProcess, running_store

Connect = Callable[..., Client]


def outcome(client: Client, sql: str) -> int:
    """The code of a statement's exception, 0 for none. `execute` would reconnect behind it."""
    client.connection.send_query(sql)
    client.connection.send_external_tables([])
    while True:
        packet = client.connection.receive_packet()
        if packet.type == ServerPacketTypes.EXCEPTION:
            return int(packet.exception.code)
        if packet.type == ServerPacketTypes.END_OF_STREAM:
            return 0


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreProcess]:
    with running_store(tmp_path_factory.mktemp("embedded") / "data") as running:
        yield running


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Clients of a store, closed at the end of the test."""
    clients = []

    def client(store: StoreProcess, **options: Any) -> Client:
        chosen = {"compression": "lz4", "send_receive_timeout": 30, **options}
        clients.append(Client("127.0.0.1", port=store.port, **chosen))
        return clients[-1]

    yield client
    for each in clients:
        each.disconnect()


@pytest.fixture
def client(store: StoreProcess, connect: Connect, request: pytest.FixtureRequest) -> Client:
    """A client in a database of the test's own."""
    name = request.node.name.split("[")[0]
    admin = connect(store)
    admin.execute(f"DROP DATABASE IF EXISTS {name}")
    admin.execute(f"CREATE DATABASE {name}")
    return connect(store, database=name)
