"""An unmodified clickhouse-driver finds in the embedded store what it finds in a server.

Each test runs against both, where Debian packages a server. That one is old, so the statements
are such as both know.
"""

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal

import pytest
from clickhouse_driver import Client
from clickhouse_driver.errors import ServerException

from tests.embedded.conftest import outcome
from tests.embedded.daemon import StoreProcess
from tests.embedded.debian import OFFERED, debian_server
from tests.waiting import eventually

SERVERS = ["embedded", "debian"] if OFFERED else ["embedded"]
COMPRESSIONS = [False, "lz4"]


@pytest.fixture(scope="module")
def ports(
    store: StoreProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, int]]:
    if not OFFERED:
        yield {"embedded": store.port}
        return
    with debian_server(tmp_path_factory.mktemp("debian") / "server") as port:
        yield {"embedded": store.port, "debian": port}


class Server:
    """Clients of one server, in a database of the test's own."""

    def __init__(self, port: int, database: str) -> None:
        self.port, self.database = port, database
        self.clients: list[Client] = []

    def client(self, **options: object) -> Client:
        chosen = {"database": self.database, "send_receive_timeout": 30, **options}
        self.clients.append(Client("127.0.0.1", port=self.port, **chosen))
        return self.clients[-1]


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, ports: dict[str, int]) -> Iterator[Server]:
    found = Server(ports[request.param], "as_a_server")
    admin = found.client(database="default")
    admin.execute(f"DROP DATABASE IF EXISTS {found.database}")
    admin.execute(f"CREATE DATABASE {found.database}")
    yield found
    for each in found.clients:
        each.disconnect()


TYPES = {
    "a": ("UInt8", 255),
    "b": ("Int64", -(2**63)),
    "c": ("UInt64", 2**64 - 1),
    "d": ("Float64", 0.1),
    "e": ("String", "snow ☃ and \0"),
    "f": ("FixedString(4)", "abcd"),
    "g": ("Date", date(2026, 2, 3)),
    "h": ("DateTime", datetime(2026, 2, 3, 4, 5, 6)),  # noqa: DTZ001 (the driver's own)
    "i": ("Nullable(Int32)", None),
    "j": ("Array(Array(String))", [["x"], [], ["y", ""]]),
    "k": ("Enum8('one' = 1, 'two' = 2)", "two"),
    "l": ("Decimal(18, 4)", Decimal("-12345.6789")),
    "m": ("Tuple(UInt8, String)", (7, "seven")),
}


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_values_of_every_type_come_back(server: Server, compression: bool | str) -> None:
    client = server.client(compression=compression)
    columns = ", ".join(f"{name} {type_}" for name, (type_, _value) in TYPES.items())
    client.execute(f"CREATE TABLE t ({columns}) ENGINE = MergeTree ORDER BY a")
    row = tuple(value for _type, value in TYPES.values())
    assert client.execute("INSERT INTO t VALUES", [row] * 3) == 3
    rows, types = client.execute("SELECT * FROM t", with_column_types=True)
    assert rows == [row] * 3
    assert [name for name, _type in types] == list(TYPES)


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_blocks_and_streams_are_whole(server: Server, compression: bool | str) -> None:
    client = server.client(compression=compression)
    client.execute("CREATE TABLE t (n UInt64) ENGINE = MergeTree ORDER BY n")
    settings = {"insert_block_size": 1000}
    client.execute("INSERT INTO t VALUES", [(n,) for n in range(5500)], settings=settings)
    assert client.execute("SELECT count(), sum(n) FROM t") == [(5500, sum(range(5500)))]
    streamed = client.execute_iter("SELECT number FROM system.numbers LIMIT 200000")
    assert sum(number for (number,) in streamed) == sum(range(200_000))


def test_an_empty_answer_has_its_columns(server: Server) -> None:
    asked = "SELECT number AS n, 'x' AS s FROM system.numbers WHERE n < 0 LIMIT 0"
    assert server.client().execute(asked, with_column_types=True) == (
        [],
        [("n", "UInt64"), ("s", "String")],
    )


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("SELECT * FROM nothing", 60),
        ("SELECT * FROM nothing.nothing", 81),
        ("SELECT no_such_function(1)", 46),
        ("DROP TABLE nothing", 60),
    ],
)
def test_an_exception_has_its_code_and_the_connection_goes_on(
    server: Server, sql: str, code: int
) -> None:
    client = server.client()
    client.execute("CREATE TEMPORARY TABLE here (a UInt8)")
    assert outcome(client, sql) == code
    assert client.execute("SELECT a FROM here") == []


def test_an_insert_into_nothing_is_told_before_rows_are_sent(server: Server) -> None:
    client = server.client()
    with pytest.raises(ServerException) as caught:
        client.execute("INSERT INTO nothing VALUES", [(1,)])
    assert caught.value.code == 60
    assert client.execute("SELECT 1") == [(1,)]


def test_an_unknown_database_is_refused(server: Server) -> None:
    with pytest.raises(ServerException) as caught:
        server.client(database="no_such").execute("SELECT 1")
    assert caught.value.code == 81


def test_settings_hold_for_their_query_alone(server: Server) -> None:
    client = server.client()
    with pytest.raises(ServerException) as caught:
        client.execute("CREATE TABLE t (a UInt8) ENGINE = Memory", settings={"readonly": 1})
    assert caught.value.code == 164
    with pytest.raises(ServerException) as caught:
        client.execute(
            "SELECT sum(number) FROM (SELECT number FROM system.numbers LIMIT 100000)",
            settings={"max_rows_to_read": 10, "max_block_size": 10},
        )
    assert caught.value.code == 158
    client.execute("CREATE TABLE t (a UInt8) ENGINE = Memory")


def test_progress_and_profile_are_told(server: Server) -> None:
    client = server.client()
    asked = "SELECT sum(number) FROM (SELECT number FROM system.numbers LIMIT 500000)"
    progress = client.execute_with_progress(asked)
    assert [rows for rows, _total in progress][-1] >= 500_000
    assert progress.get_result() == [(sum(range(500_000)),)]
    assert client.last_query.profile_info.rows == 1


def test_a_ping_is_answered(server: Server) -> None:
    client = server.client()
    client.connection.force_connect()
    assert client.connection.ping()


def running(client: Client, part: str) -> int:
    found = client.execute("SELECT query FROM system.processes")
    return sum(part in sql for (sql,) in found)


SLOW = "SELECT sleep(0.1), '{mark}' FROM system.numbers LIMIT 10000"


def test_a_cancelled_statement_ends(server: Server) -> None:
    client = server.client()
    progress = client.execute_with_progress(
        SLOW.format(mark="cancelled"), settings={"max_block_size": 1}
    )
    next(iter(progress))
    client.cancel()
    assert client.execute("SELECT 1") == [(1,)]
    eventually(lambda: not running(client, "'cancelled'"))


def test_a_statement_ends_with_its_client(server: Server) -> None:
    leaver, watcher = server.client(), server.client()
    leaver.connection.force_connect()
    leaver.connection.send_query(SLOW.format(mark="left") + " SETTINGS max_block_size = 1")
    leaver.connection.send_external_tables([])
    eventually(lambda: running(watcher, "'left'"))
    leaver.disconnect()
    eventually(lambda: not running(watcher, "'left'"))


def test_readers_go_on_while_rows_are_inserted(server: Server) -> None:
    writer, reader = server.client(), server.client()
    writer.execute("CREATE TABLE t (n UInt64) ENGINE = MergeTree ORDER BY n")
    for batch in range(20):
        writer.execute(
            "INSERT INTO t VALUES", [(n,) for n in range(batch * 100, batch * 100 + 100)]
        )
        assert reader.execute("SELECT count(), uniqExact(n) FROM t") == [
            ((batch + 1) * 100, (batch + 1) * 100)
        ]
