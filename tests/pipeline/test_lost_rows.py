"""A killed ClickHouse may keep a token without its rows: they are missed, and put back once.

The state is made with ALTER … DELETE, which leaves tokens as they are. The rows' views had been
filled, or had not: both are what a kill in the middle of an insert leaves.
"""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.errors import StoreDown, StoreError
from collector.groups import OutboxGroups
from collector.ingest import ingest, row_group, store_group
from collector.model import Report, Signal, Taken
from collector.outbox import Outbox
from collector.store.client import Store
from collector.store.lost import missing, restore
from tests.collector.messages import span, traces
from tests.pipeline.processes import stored_ids
from tests.pipeline.reports import append, decisions, lease

MIB = 1024 * 1024
DAY_NS = 86_400 * 10**9
ROLLUPS = ("operations_1m", "operations_1h")  # seconds are kept for a day only


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    outbox = Outbox(tmp_path, 64 * MIB, ballast_bytes=MIB)
    yield outbox
    outbox.close()


def two_days_of_spans() -> Report:
    """Ten of today, five of yesterday."""
    now_ns = time.time_ns()
    starts = [now_ns] * 10 + [now_ns - DAY_NS] * 5
    spans = [span(start_time_unix_nano=start, end_time_unix_nano=start) for start in starts]
    return Report(Signal.OTLP_TRACES, traces(*spans), now_ns, "a-1.default", 15)


def stored(store: Store) -> list[int]:
    """Spans, different ones, and what each rollup counts."""
    ((rows, unique),) = store.rows("SELECT count(), uniqExact(span_id) FROM spans")
    sums = [store.rows(f"SELECT sum(spans) FROM {table}")[0][0] for table in ROLLUPS]
    return [rows, unique, *map(int, sums)]


def lose(store: Store, table: str, which: str = "1") -> None:
    store.command(f"ALTER TABLE {table} DELETE WHERE {which} SETTINGS mutations_sync = 2")


def begun(outbox: Outbox, store: Store) -> int:
    """A group whose worker was killed after its inserts."""
    append(outbox, two_days_of_spans())
    group = outbox.freeze_group(MIB)
    taken = outbox.begin_attempt(group)
    assert taken is not None
    store_group(store, outbox.collector_id, group, taken)
    assert stored(store) == [15] * 4
    return group


@pytest.mark.parametrize("lost", ["1", "toDate(time) < today()", "toDate(time) = today()"])
def test_lost_rows_are_put_back_and_rollups_count_them_once(outbox, store, lost):
    group = begun(outbox, store)
    lose(store, "spans", lost)
    for _ in range(2):
        assert ingest(OutboxGroups(outbox), store, outbox.collector_id, group)
        assert stored(store) == [15] * 4
    assert store.rows("SHOW TABLES LIKE 'again_%'") == []


def test_rollups_that_had_not_been_filled_are_by_the_retry(outbox, store):
    group = begun(outbox, store)
    lose(store, "spans")
    for table in ("operations_1s", *ROLLUPS):  # this forgets their tokens
        store.command(f"TRUNCATE TABLE {table}")
    assert ingest(OutboxGroups(outbox), store, outbox.collector_id, group)
    assert stored(store) == [15] * 4


def test_nothing_is_put_back_beside_what_is_there(outbox, store):
    group = begun(outbox, store)
    for _ in range(3):
        taken = outbox.begin_attempt(group)
        assert taken is not None
        store_group(store, outbox.collector_id, group, taken)
    assert stored(store) == [15] * 4


def test_groups_of_the_same_number_from_two_collectors_are_told_apart(store):
    for collector in ("one", "two"):
        taken = Taken([two_days_of_spans()], attempt=2)
        store_group(store, collector, 7, taken)
    assert stored(store) == [30] * 4
    assert row_group("one", 7) != row_group("two", 7) != row_group("two", 8)


def test_workers_at_the_same_group_put_its_rows_back_once(outbox, store):
    group = begun(outbox, store)
    attempts = [outbox.begin_attempt(group) for _ in range(4)]
    lose(store, "spans")
    failed: list[Exception] = []

    def work(taken: Taken) -> None:
        with Store(store.url) as own:
            try:
                store_group(own, outbox.collector_id, group, taken)
            except (StoreDown, StoreError) as error:  # it lost to a later one
                failed.append(error)

    workers = [threading.Thread(target=work, args=(taken,)) for taken in attempts]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(failed) < len(workers)
    assert stored(store) == [15] * 4


def columns(group: int, count: int) -> dict[str, list[object]]:
    now_ns = time.time_ns()
    return {"time": [now_ns] * count, "id": [str(n) for n in range(count)], "allowed": [1] * count,
            "_group": [group] * count}  # fmt: skip


def test_an_earlier_attempt_gives_way_to_a_later_one_and_what_it_left_is_cleared(store):
    rows = columns(5, 3)
    store.command("CREATE TABLE again_decisions_5_9 AS decisions")
    with pytest.raises(StoreDown, match="a later attempt"):
        restore(store, "decisions", rows, 8)
    assert stored_ids(store) == []
    assert restore(store, "decisions", rows, 10) == 3
    assert restore(store, "decisions", rows, 11) == 0
    assert stored_ids(store) == ["0", "1", "2"]
    assert store.rows("SHOW TABLES LIKE 'again_%'") == []


def test_part_of_what_was_written_in_one_go_is_an_error_not_a_guess(store):
    rows = columns(6, 3)
    store.insert("decisions", {name: values[:2] for name, values in rows.items()}, token="x")
    with pytest.raises(StoreError, match="2 of 3 rows"):
        missing(store, "decisions", rows)


def test_a_group_replayed_when_its_tokens_are_forgotten_is_stored_once(outbox, store):
    append(outbox, decisions("a", "b"))
    group = outbox.freeze_group(MIB)
    taken = outbox.begin_attempt(group)
    assert taken is not None
    store_group(store, outbox.collector_id, group, taken)
    store.command("CREATE TABLE kept AS decisions")
    store.command("INSERT INTO kept SELECT * FROM decisions")
    store.command("TRUNCATE TABLE decisions")  # tokens are gone with the rows
    store.command("INSERT INTO decisions SELECT * FROM kept")
    for _ in range(7):
        outbox.begin_attempt(group)
    assert lease(outbox) == []
    assert outbox.replay(group)
    assert ingest(OutboxGroups(outbox), store, outbox.collector_id, group)
    assert stored_ids(store) == ["a", "b"]
