"""Questions: streams, headers, settings, exceptions, cancelling."""

import pytest
from clickhouse_driver import Client
from clickhouse_driver.errors import ServerException

from tests.embedded.conftest import Connect, outcome
from tests.embedded.daemon import StoreProcess
from tests.waiting import eventually

SLOW = "SELECT sleepEachRow(0.01) FROM numbers(100000) SETTINGS max_block_size = 10"


def running(client: Client, part: str) -> int:
    """Statements that contain `part` and run now."""
    sql = (
        "SELECT count() FROM system.processes WHERE position(query, %(part)s) > 0"
        " AND query NOT LIKE '%%system.processes%%'"
    )
    return int(client.execute(sql, {"part": part})[0][0])


def test_a_million_rows_are_streamed(client: Client) -> None:
    rows = client.execute_iter("SELECT number FROM numbers(1000000)")
    assert sum(number for (number,) in rows) == sum(range(1_000_000))


def test_an_empty_answer_has_its_columns(client: Client) -> None:
    rows, columns = client.execute(
        "SELECT number AS n, 'x' AS `odd\tname` FROM numbers(0)", with_column_types=True
    )
    assert rows == []
    assert columns == [("n", "UInt64"), ("odd\tname", "String")]


@pytest.mark.parametrize(
    ("sql", "answer"),
    [
        ("-- what\nSELECT 1 -- why", [(1,)]),
        ("/* what */ (SELECT 1)", [(1,)]),
        ("SELECT 1;", [(1,)]),
        ("SELECT 1 FORMAT TabSeparated", [(1,)]),
        ("SELECT 'a FORMAT b'", [("a FORMAT b",)]),
        ("SELECT 'INTO OUTFILE'", [("INTO OUTFILE",)]),
        ("WITH 5 AS five SELECT five", [(5,)]),
        ("EXISTS TABLE nothing", [(0,)]),
        ("SHOW TABLES", []),
        ("CREATE TABLE t (a UInt8) ENGINE = Memory", []),
        ("DESCRIBE (SELECT 1 AS a)", [("a", "UInt8", "", "", "", "", "")]),
    ],
)
def test_statements_of_every_kind_are_answered(
    client: Client, sql: str, answer: list[tuple[object]]
) -> None:
    assert client.execute(sql) == answer


def test_show_answers_columns_without_rows(client: Client) -> None:
    assert client.execute("SHOW TABLES", with_column_types=True) == ([], [("name", "String")])


def test_an_insert_behind_with_is_run(client: Client) -> None:
    client.execute("CREATE TABLE t (a UInt8) ENGINE = Memory")
    client.execute("WITH 7 AS seven INSERT INTO t SELECT seven")
    client.execute("INSERT INTO t VALUES (8), (9)")
    assert client.execute("SELECT sum(a) FROM t") == [(24,)]


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("SELECT * FROM nothing", 60),
        ("SELECT * FROM nothing.nothing", 81),
        ("SELECT (", 62),
        ("SELECT throwIf(1)", 395),
        ("SELECT throwIf(number = 900000) FROM numbers(1000000)", 395),
        ("SELECT 1; SELECT 2", 62),
        ("SELECT 1 INTO OUTFILE '/tmp/never'", 48),
        ("1 + 1", 62),
    ],
)
def test_an_exception_has_its_code_and_leaves_the_connection_usable(
    client: Client, sql: str, code: int
) -> None:
    client.execute("CREATE TEMPORARY TABLE here (a UInt8)")
    assert outcome(client, sql) == code
    assert client.execute("SELECT count() FROM here") == [(0,)]


def test_an_unknown_database_is_refused_at_hello(store: StoreProcess, connect: Connect) -> None:
    with pytest.raises(ServerException, match="UNKNOWN_DATABASE") as caught:
        connect(store, database="no`such").execute("SELECT 1")
    assert caught.value.code == 81


def test_connections_have_databases_of_their_own(store: StoreProcess, connect: Connect) -> None:
    admin = connect(store)
    for name, type_ in (("left", "UInt8"), ("right", "String")):
        admin.execute(f"CREATE DATABASE `{name}`")
        admin.execute(f"CREATE TABLE `{name}`.t (a {type_}) ENGINE = Memory")
    left, right = connect(store, database="left"), connect(store, database="right")
    for _ in range(2):
        left.execute("INSERT INTO t VALUES", [(1,)])
        right.execute("INSERT INTO t VALUES", [("x",)])
    left.execute("USE right")
    left.execute("INSERT INTO t VALUES", [("y",)])
    assert right.execute("SELECT groupArray(a) FROM t") == [(["x", "x", "y"],)]
    assert admin.execute("SELECT sum(a) FROM `left`.t") == [(2,)]


def test_a_setting_holds_for_its_query_alone(client: Client) -> None:
    ask = "SELECT getSetting('max_threads')"
    before = client.execute(ask)
    assert client.execute(ask, settings={"max_threads": 3}) == [(3,)]
    assert client.execute(ask) == before
    assert client.execute("SELECT 1", settings={"unheard_of": 1}) == [(1,)]


def test_a_read_only_query_leaves_the_connection_writable(client: Client) -> None:
    with pytest.raises(ServerException, match="READONLY"):
        client.execute("CREATE TABLE t (a UInt8) ENGINE = Memory", settings={"readonly": 1})
    client.execute("CREATE TABLE t (a UInt8) ENGINE = Memory")
    assert client.execute("SELECT currentDatabase()") == [
        ("test_a_read_only_query_leaves_the_connection_writable",)
    ]


def test_read_only_queries_take_other_settings(client: Client) -> None:
    ask = "SELECT getSetting('max_threads')"
    for threads in (3, 4, 5):
        settings = {"readonly": 1, "max_threads": threads}
        assert client.execute(ask, settings=settings) == [(threads,)]


def test_progress_and_profile_are_told(client: Client) -> None:
    progress = client.execute_with_progress("SELECT count() FROM numbers(500000)")
    assert [rows for rows, _total in progress][-1] == 500_000
    assert progress.get_result() == [(500_000,)]
    client.execute("SELECT number FROM numbers(200000)")
    assert client.last_query.profile_info.rows == 200_000


def test_a_cancelled_statement_ends_and_the_connection_stays_usable(client: Client) -> None:
    client.execute("CREATE TEMPORARY TABLE here (a UInt8)")
    progress = client.execute_with_progress(SLOW)
    next(iter(progress))
    assert len(client.cancel()) < 100_000
    assert client.execute("SELECT count() FROM here") == [(0,)]


def test_a_statement_ends_when_its_client_hangs_up(
    store: StoreProcess, connect: Connect, client: Client
) -> None:
    leaver = connect(store)
    slow = "SELECT 'leaver', sum(sleepEachRow(0.01)) FROM numbers(3000)"
    slow += " SETTINGS max_block_size = 10"
    leaver.connection.force_connect()
    leaver.connection.send_query(slow)
    leaver.connection.send_external_tables([])
    eventually(lambda: running(client, "'leaver'"))
    leaver.disconnect()
    eventually(lambda: not running(client, "'leaver'"), timeout_s=5)


def test_the_memory_cap_refuses_a_statement_and_not_the_process(
    store: StoreProcess, client: Client
) -> None:
    with pytest.raises(ServerException) as caught:
        client.execute("SELECT length(groupArray(number)) FROM numbers(1000000000)")
    assert caught.value.code == 241
    assert store.process.poll() is None
    assert client.execute("SELECT 1") == [(1,)]
