"""Killed in the middle of inserts, the store has lost and doubled nothing."""

import random
import threading
from functools import partial
from pathlib import Path

from clickhouse_driver import Client
from clickhouse_driver.errors import Error

from tests.embedded.conftest import Connect
from tests.embedded.daemon import StoreProcess, running_store
from tests.waiting import eventually

KILLS = 6
BATCH = 5000
WINDOW = "SETTINGS non_replicated_deduplication_window = 1000"
SCHEMA = (
    f"""
    CREATE TABLE base (n UInt64, part UInt8)
    ENGINE = MergeTree PARTITION BY part ORDER BY n {WINDOW}
    """,
    f"""
    CREATE TABLE sums (part UInt8, count SimpleAggregateFunction(sum, UInt64))
    ENGINE = AggregatingMergeTree ORDER BY part {WINDOW}
    """,
    """
    CREATE MATERIALIZED VIEW view TO sums AS
    SELECT part, count() AS count FROM base GROUP BY part
    """,
)


class Writer:
    """Inserts batch after batch, each again with its token until it is answered."""

    def __init__(self, store: StoreProcess) -> None:
        self.store = store
        self.acknowledged = 0
        self.broken = 0
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self) -> None:
        client = Client("127.0.0.1", port=self.store.port, compression="lz4")
        while not self.done.is_set():
            start = self.acknowledged * BATCH
            rows = [(n, n % 2) for n in range(start, start + BATCH)]
            token = {"insert_deduplication_token": str(self.acknowledged)}
            try:
                client.execute("INSERT INTO base VALUES", rows, settings=token)
                self.acknowledged += 1
            except (Error, EOFError, OSError):
                self.broken += 1
                self.done.wait(0.01)  # the store is starting again
        client.disconnect()

    def has(self, batches: int) -> bool:
        return self.acknowledged >= batches

    def finish(self) -> None:
        self.done.set()
        self.thread.join()


def test_kills_amid_inserts_lose_and_double_nothing(tmp_path: Path, connect: Connect) -> None:
    dice = random.Random(11)
    with running_store(tmp_path / "data") as store:
        for sql in SCHEMA:
            connect(store).execute(sql)
        writer = Writer(store)
        try:
            for _ in range(KILLS):
                wanted = writer.acknowledged + dice.randrange(1, 6)
                eventually(partial(writer.has, wanted), every_s=dice.random() / 50)
                store.kill()
                store.start()
        finally:
            writer.finish()
        client = connect(store)
        rows = writer.acknowledged * BATCH
        assert writer.broken >= KILLS
        assert client.execute("SELECT count(), uniqExact(n) FROM base") == [(rows, rows)]
        assert client.execute("SELECT sum(count) FROM sums") == [(rows,)]


def parts_of(store: StoreProcess, client: Client) -> dict[str, Path]:
    """Name to directory of the active parts of `base`."""
    rows = client.execute("SELECT name, path FROM system.parts WHERE table = 'base' AND active")
    return {name: Path(path) for name, path in rows}


def test_a_kill_between_a_token_and_its_part_costs_no_rows(
    tmp_path: Path, connect: Connect
) -> None:
    rows = [(n, n % 2) for n in range(100)]
    token = {"insert_deduplication_token": "cut short"}
    with running_store(tmp_path / "data") as store:
        client = connect(store)
        for sql in SCHEMA:
            client.execute(sql)
        client.execute("INSERT INTO base VALUES", rows, settings=token)
        parts = parts_of(store, client)
        assert len(parts) == 2
        store.kill()
        # The engine notes a token before it names the part: this is what a kill in between leaves.
        unnamed = parts["1_2_2_0"]
        unnamed.rename(unnamed.with_name(f"tmp_insert_{unnamed.name}"))
        store.start()
        client = connect(store)
        assert client.execute("SELECT count() FROM base") == [(50,)]
        for _ in range(2):
            client.execute("INSERT INTO base VALUES", rows, settings=token)
        assert client.execute("SELECT count(), uniqExact(n) FROM base") == [(100, 100)]
        assert client.execute("SELECT sum(count) FROM sums") == [(100,)]


def test_tokens_of_merged_parts_are_kept_over_a_kill(tmp_path: Path, connect: Connect) -> None:
    with running_store(tmp_path / "data") as store:
        client = connect(store)
        client.execute(SCHEMA[0])
        inserts = [([(n, 0)], {"insert_deduplication_token": str(n)}) for n in range(5)]
        for rows, token in inserts:
            client.execute("INSERT INTO base VALUES", rows, settings=token)
        client.execute("OPTIMIZE TABLE base FINAL")
        store.kill()
        store.start()
        client = connect(store)
        for rows, token in inserts:
            client.execute("INSERT INTO base VALUES", rows, settings=token)
        assert client.execute("SELECT count() FROM base") == [(5,)]
