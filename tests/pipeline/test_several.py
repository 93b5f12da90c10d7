"""Several collectors and several workers, and what a collector leaves behind."""

from dataclasses import replace
from pathlib import Path

from collector.groups import OutboxGroups
from collector.heir import Heir
from collector.ingest import ingest
from collector.outbox import Outbox
from collector.settings import Settings
from collector.store.client import Store
from tests.pipeline.processes import live_collector, running, stored_ids
from tests.pipeline.reports import append, decisions
from tests.waiting import eventually

MIB = 1024 * 1024


def test_workers_that_share_no_file_with_the_collectors_store_all_of_theirs_once(
    valkey, store_url, tmp_path
):
    shared = Settings(
        broker_url=valkey.url, clickhouse_url=store_url, internal_token="of the tests"
    )

    def at(name: str) -> Settings:
        (tmp_path / name).mkdir()
        return replace(shared, data_dir=tmp_path / name)

    ids = [f"{number:04d}" for number in range(400)]
    with (
        live_collector(at("collector-1")) as one,
        live_collector(at("collector-2")) as two,
        running("worker", at("worker-1"), tmp_path) as first,
        running("worker", at("worker-2"), tmp_path) as second,
    ):
        assert one.outbox.collector_id != two.outbox.collector_id
        for start in range(0, len(ids), 20):
            one.append(decisions(*ids[start : start + 10]))
            two.append(decisions(*ids[start + 10 : start + 20]))
        eventually(lambda: one.drained() and two.drained())
        assert stored_ids(one.store) == ids
        for collector in (one, two):
            (entry,) = collector.outbox.books()
            assert (entry.accepted, entry.stored, entry.difference) == (200, 200, 0)
        rows = 'meshmeter_rows_inserted_total{table="decisions"}'
        assert first.metric(rows) + second.metric(rows) >= len(ids)
    assert list((tmp_path / "worker-1").iterdir()) == []


def test_what_a_collector_left_behind_is_stored_by_another_of_its_directory(store_url, tmp_path):
    gone = Outbox(tmp_path, 64 * MIB, ballast_bytes=MIB)
    append(gone, decisions("a"))
    gone.freeze_group(MIB)
    append(gone, decisions("b"))
    alive = Outbox(tmp_path, 64 * MIB, ballast_bytes=MIB)
    append(alive, decisions("own"))
    with Store(store_url) as store:

        def store_here(left: Outbox, group: int) -> bool:
            return ingest(OutboxGroups(left), store, left.collector_id, group)

        heir = Heir(tmp_path, 64 * MIB, store_here, every_s=0.02)
        heir.start()
        gone.close()
        eventually(lambda: stored_ids(store) == ["a", "b"])
        eventually(lambda: left_nothing(tmp_path))
        heir.stop()
        assert stored_ids(store) == ["a", "b"]
    assert alive.stats().pending_requests == 1
    alive.close()
    again = Outbox(tmp_path, 64 * MIB, ballast_bytes=MIB)
    assert again.collector_id == gone.collector_id
    (entry,) = again.books()
    assert (entry.stored, entry.pending, entry.difference) == (2, 0, 0)
    again.close()


def left_nothing(directory: Path) -> bool:
    left = Outbox.left_behind(directory, 64 * MIB)
    if left is not None:
        left.close()
    return left is None
