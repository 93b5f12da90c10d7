"""Rows are stored once, whole or not at all, and a failure is told."""

import itertools
import threading
from collections.abc import Callable, Iterator

import pytest
from clickhouse_driver import Client
from clickhouse_driver.errors import ServerException

from tests.embedded.conftest import Connect
from tests.embedded.daemon import StoreProcess

WINDOW = "SETTINGS non_replicated_deduplication_window = 100"
BASE = f"""
CREATE TABLE base (n UInt64, part UInt8)
ENGINE = MergeTree PARTITION BY part ORDER BY n {WINDOW}
"""
SUMS = f"CREATE TABLE sums (part UInt8, n UInt64) ENGINE = SummingMergeTree ORDER BY part {WINDOW}"
VIEW = "CREATE MATERIALIZED VIEW view TO sums AS SELECT part, count() AS n FROM base GROUP BY part"


def rows(start: int, count: int) -> list[tuple[int, int]]:
    return [(n, n % 3) for n in range(start, start + count)]


def stored(client: Client) -> tuple[int, int]:
    """Rows of the base table, and as its view counted them."""
    return (
        client.execute("SELECT count() FROM base")[0][0],
        client.execute("SELECT sum(n) FROM sums")[0][0],
    )


@pytest.fixture
def base(client: Client) -> Client:
    for sql in (BASE, SUMS, VIEW):
        client.execute(sql)
    return client


def test_a_token_is_stored_once_in_table_and_view(base: Client) -> None:
    for token in ("one", "two", "one", "two"):
        settings = {"insert_deduplication_token": token}
        base.execute("INSERT INTO base VALUES", rows(0, 1000), settings=settings)
    assert stored(base) == (2000, 2000)


def test_a_token_within_the_statement_is_stored_once(base: Client) -> None:
    sql = "INSERT INTO base (n, part) SETTINGS insert_deduplication_token = 'it''s' VALUES"
    base.execute(sql, rows(0, 1000))
    base.execute(sql, rows(0, 1000))
    assert stored(base) == (1000, 1000)


def test_a_token_holds_for_its_insert_alone(base: Client) -> None:
    base.execute(
        "INSERT INTO base VALUES", rows(0, 10), settings={"insert_deduplication_token": "a"}
    )
    base.execute("INSERT INTO base VALUES", rows(10, 10))
    base.execute("INSERT INTO base VALUES", rows(20, 10))
    assert stored(base) == (30, 30)


@pytest.mark.parametrize("asynchronous", [0, 1])
def test_an_insert_can_be_read_once_it_is_answered(base: Client, asynchronous: int) -> None:
    settings = {"async_insert": asynchronous, "insert_deduplication_token": "a"}
    for _ in range(2):
        base.execute("INSERT INTO base VALUES", rows(0, 10), settings=settings)
    assert stored(base) == (10, 10)


def test_blocks_of_one_insert_are_stored_together(base: Client) -> None:
    def breaking() -> Iterator[tuple[int, int]]:
        yield from rows(0, 5000)
        raise OSError("the source broke")

    settings = {"insert_block_size": 1000}
    base.execute("INSERT INTO base VALUES", rows(0, 5000), settings=settings)
    with pytest.raises(OSError, match="the source broke"):
        base.execute("INSERT INTO base VALUES", breaking(), settings=settings)
    assert stored(base) == (5000, 5000)


def test_a_violated_constraint_is_told_and_nothing_is_stored(client: Client) -> None:
    client.execute(
        "CREATE TABLE t (a UInt32, CONSTRAINT small CHECK a < 5000) ENGINE = MergeTree ORDER BY a"
    )
    with pytest.raises(ServerException, match="VIOLATED_CONSTRAINT") as caught:
        client.execute(
            "INSERT INTO t VALUES",
            [(n,) for n in range(5001)],
            settings={"insert_block_size": 1000},
        )
    assert caught.value.code == 469
    assert client.execute("SELECT count() FROM t") == [(0,)]


def test_an_exception_in_a_view_is_told(base: Client) -> None:
    base.execute("CREATE TABLE never (x UInt8) ENGINE = Null")
    base.execute("CREATE MATERIALIZED VIEW picky TO never AS SELECT throwIf(n = 7) AS x FROM base")
    with pytest.raises(ServerException) as caught:
        base.execute("INSERT INTO base VALUES", rows(0, 10))
    assert caught.value.code == 395
    base.execute("INSERT INTO base VALUES", rows(100, 10))


@pytest.mark.parametrize(
    ("sql", "code"),
    [("INSERT INTO nothing VALUES", 60), ("INSERT INTO base (absent) VALUES", 47)],
)
def test_a_wrong_target_is_told_before_rows_are_sent(base: Client, sql: str, code: int) -> None:
    with pytest.raises(ServerException) as caught:
        base.execute(sql, [(1,)])
    assert caught.value.code == code
    assert base.execute("SELECT 1") == [(1,)]


def test_too_many_partitions_are_told(client: Client) -> None:
    client.execute("CREATE TABLE t (a UInt32) ENGINE = MergeTree PARTITION BY a ORDER BY a")
    with pytest.raises(ServerException) as caught:
        client.execute("INSERT INTO t VALUES", [(n,) for n in range(200)])
    assert caught.value.code == 252


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO base VALUES",
        "INSERT INTO base (n, part) VALUES",
        "INSERT INTO base (* EXCEPT (absent)) VALUES",
        "insert into table `base`(`n`,part)format Native;",
        "/* why */ INSERT INTO base -- what\n (n, part) SETTINGS async_insert = 0 VALUES",
    ],
)
def test_targets_are_found_however_they_are_written(base: Client, sql: str) -> None:
    assert base.execute(sql, rows(0, 5)) == 5
    assert stored(base) == (5, 5)


@pytest.mark.parametrize("columns", ["", "(n, part)"])
def test_a_table_function_takes_rows(client: Client, columns: str) -> None:
    target = "null('n UInt64, part UInt8')"
    assert client.execute(f"INSERT INTO FUNCTION {target} {columns} VALUES", rows(0, 5)) == 5


def test_readers_and_writers_work_side_by_side(
    store: StoreProcess, connect: Connect, base: Client
) -> None:
    database = base.execute("SELECT currentDatabase()")[0][0]
    faults: list[Exception] = []
    written = threading.Event()

    def write(writer: int) -> None:
        client = connect(store, database=database)
        for batch in range(10):
            start = (writer * 10 + batch) * 2000
            token = {"insert_deduplication_token": f"{writer}:{batch}"}
            client.execute("INSERT INTO base VALUES", rows(start, 2000), settings=token)

    def read() -> None:
        client = connect(store, database=database)
        seen = 0
        while not written.is_set():
            count = client.execute("SELECT count() FROM base")[0][0]
            assert count >= seen
            seen = count

    def guarded(work: Callable[..., None], *arguments: int) -> None:
        try:
            work(*arguments)
        except Exception as fault:  # noqa: BLE001 (told by the test's own thread)
            faults.append(fault)

    writers = [threading.Thread(target=guarded, args=(write, n)) for n in range(4)]
    readers = [threading.Thread(target=guarded, args=(read,)) for _ in range(3)]
    for thread in itertools.chain(writers, readers):
        thread.start()
    for thread in writers:
        thread.join()
    written.set()
    for thread in readers:
        thread.join()
    assert not faults
    assert stored(base) == (80_000, 80_000)
    assert base.execute("SELECT uniqExact(n) FROM base") == [(80_000,)]
