import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import text

from collector.last_good import LastGood
from collector.snapshots import FILE, MANY, SnapshotKeeper
from policy.engine import Engine
from policy.kinds import Mode
from policy.lists import list_from_json
from policy.quota.memory import MemoryCounters
from policy.rules import AnyRule, rule_from_json, rule_to_json
from policy.store import RuleStore
from policy.store.engine import rules_engine
from tests.collector.policy_parts import rule_store, until
from tests.policy.objects import deny, quota

VIPS = list_from_json({"name": "vips", "entry_type": "literal", "entries": ["ann"]})


def kept(
    store: RuleStore,
    data_dir: Path,
    body: Callable[[SnapshotKeeper, Engine], Awaitable[None]],
    poll_s: float = 0.01,
) -> None:
    """Runs the body while a keeper is at work."""

    async def run() -> None:
        engine = Engine(MemoryCounters())
        keeper = SnapshotKeeper(engine, store, data_dir, poll_s)
        await keeper.start()
        try:
            await body(keeper, engine)
        finally:
            await keeper.close()
            store.close()

    asyncio.run(run())


def test_a_change_is_in_force_without_a_restart(tmp_path: Path) -> None:
    store = rule_store(tmp_path)

    async def body(keeper: SnapshotKeeper, engine: Engine) -> None:
        assert (keeper.version, keeper.ready()) == (0, "")
        await asyncio.to_thread(store.create, quota())
        await until(lambda: keeper.version == 1)
        assert engine.snapshot is not None
        assert list(engine.snapshot.rules) == ["calm"]

    kept(store, tmp_path, body)


def test_a_refresh_puts_a_change_in_force_at_once(tmp_path: Path) -> None:
    store = rule_store(tmp_path)

    async def body(keeper: SnapshotKeeper, engine: Engine) -> None:
        store.create(quota())
        await keeper.refresh()
        assert keeper.version == 1

    kept(store, tmp_path, body, poll_s=3600)


def test_the_version_is_shown(tmp_path: Path) -> None:
    store = rule_store(tmp_path)
    store.create(quota())
    store.create(deny())

    async def body(keeper: SnapshotKeeper, engine: Engine) -> None:
        assert keeper.version == 2

    kept(store, tmp_path, body)
    assert REGISTRY.get_sample_value("meshmeter_snapshot_version") == 2


def test_a_bad_row_leaves_the_rules_in_force(tmp_path: Path) -> None:
    store = rule_store(tmp_path)
    store.create(quota())

    async def body(keeper: SnapshotKeeper, engine: Engine) -> None:
        direct = rules_engine(f"sqlite:///{tmp_path / 'rules.sqlite'}")
        with direct.begin() as connection:
            connection.execute(text("""UPDATE rules SET document = '{"kind": "new-kind"}'"""))
            connection.execute(text("UPDATE rule_set SET version = version + 1"))
        direct.dispose()
        await until(lambda: keeper.failing)
        assert "/calm/kind" in keeper.failing
        assert (keeper.version, keeper.ready()) == (1, "")
        store.create(deny())
        await keeper.refresh()
        assert keeper.version == 1

    kept(store, tmp_path, body)


def test_a_start_without_the_database_runs_the_last_good_rules(tmp_path: Path) -> None:
    store = rule_store(tmp_path)
    store.create(quota(dimensions=["source.service"]))
    store.create(deny(mode="disabled"))

    async def nothing(keeper: SnapshotKeeper, engine: Engine) -> None:
        assert keeper.version == 2

    kept(store, tmp_path, nothing)

    async def answers(keeper: SnapshotKeeper, engine: Engine) -> None:
        assert (keeper.version, keeper.ready()) == (2, "")
        assert keeper.failing
        assert engine.snapshot is not None
        assert list(engine.snapshot.rules) == ["calm"]

    kept(RuleStore("postgresql://127.0.0.1:1/none"), tmp_path, answers)


def test_a_start_without_any_rules_is_not_ready(tmp_path: Path) -> None:
    async def body(keeper: SnapshotKeeper, engine: Engine) -> None:
        assert keeper.ready().startswith("no rules were loaded yet: the rule database")
        assert keeper.version == -1

    kept(RuleStore("postgresql://127.0.0.1:1/none"), tmp_path, body)


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"\x00" * 4096, b"SQLite format 3\x00", b"x" * 100_000]
)
def test_a_spoilt_file_is_not_used_and_is_written_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)

    async def unready(keeper: SnapshotKeeper, engine: Engine) -> None:
        assert keeper.ready()

    kept(RuleStore("postgresql://127.0.0.1:1/none"), tmp_path, unready)
    store = rule_store(tmp_path)
    store.create(quota())

    async def ready(keeper: SnapshotKeeper, engine: Engine) -> None:
        assert keeper.version == 1

    kept(store, tmp_path, ready)
    kept(RuleStore("postgresql://127.0.0.1:1/none"), tmp_path, ready)


def test_a_directory_that_cannot_be_written_does_not_stop_the_rules(tmp_path: Path) -> None:
    store = rule_store(tmp_path)
    store.create(quota())
    (tmp_path / "file").write_text("")

    async def body(keeper: SnapshotKeeper, engine: Engine) -> None:
        assert keeper.version == 1

    kept(store, tmp_path / "file", body)


def limited(limit: int) -> Callable[[AnyRule], AnyRule]:
    return lambda rule: rule_from_json(rule_to_json(rule) | {"limit": limit})


def test_the_rules_on_disk_are_those_in_force_after_each_change(tmp_path: Path) -> None:
    store = rule_store(tmp_path)
    disk = LastGood(tmp_path / FILE)

    async def body(keeper: SnapshotKeeper, engine: Engine) -> None:
        async def as_stored() -> None:
            await keeper.refresh()
            saved = disk.read()
            assert saved is not None
            assert saved.stamp.version == keeper.version == store.version()
            assert saved.documents == [rule_to_json(rule) for rule in store.list()]
            assert saved.lists == store.lists.list()

        store.create(quota())
        await as_stored()
        for limit in range(3, 8):
            store.update("calm", limited(limit))
            await as_stored()
        store.lists.create(VIPS)
        store.create(deny(mode="disabled"))
        store.delete("calm")
        await as_stored()
        store.lists.delete("vips")
        await as_stored()

    kept(store, tmp_path, body, poll_s=3600)


def test_another_database_is_read_whole(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    store, copy = rule_store(one), rule_store(other)
    for number in range(3):
        store.create(quota(f"one-{number}"))
        copy.create(quota(f"other-{number}"))
    copy.close()

    async def body(keeper: SnapshotKeeper, engine: Engine) -> None:
        assert engine.snapshot is not None
        assert sorted(engine.snapshot.rules) == ["one-0", "one-1", "one-2"]
        store.database.close()
        for file in other.glob("rules.sqlite*"):
            file.replace(one / file.name)
        await keeper.refresh()
        assert sorted(engine.snapshot.rules) == ["other-0", "other-1", "other-2"]
        assert keeper.version == 3

    kept(store, tmp_path, body, poll_s=3600)


def test_rules_are_changed_in_force_as_they_are_in_the_database(tmp_path: Path) -> None:
    store = rule_store(tmp_path)
    for number in range(5):
        store.create(quota(f"q{number}"))

    async def body(keeper: SnapshotKeeper, engine: Engine) -> None:
        assert engine.snapshot is not None
        before = engine.snapshot.rules
        store.update("q0", limited(7))
        store.delete("q1")
        store.update("q2", lambda rule: rule.model_copy(update={"mode": Mode.DISABLED}))
        store.create(deny())
        await keeper.refresh()
        after = engine.snapshot.rules
        assert sorted(after) == ["no", "q0", "q3", "q4"]
        assert after["q3"] is before["q3"]  # not compiled again
        assert rule_to_json(after["q0"].rule)["limit"] == 7
        store.history.rollback(5)
        await keeper.refresh()
        assert sorted(engine.snapshot.rules) == [f"q{number}" for number in range(5)]

    kept(store, tmp_path, body, poll_s=3600)


def test_after_a_start_from_disk_changes_are_in_force_when_the_database_is_back(
    tmp_path: Path,
) -> None:
    store = rule_store(tmp_path)
    store.create(quota("a"))
    store.create(quota("b"))

    async def nothing(keeper: SnapshotKeeper, engine: Engine) -> None:
        assert keeper.version == 2

    kept(store, tmp_path, nothing)
    (tmp_path / "rules.sqlite").rename(tmp_path / "away.sqlite")
    away = RuleStore(f"sqlite:///{tmp_path / 'rules.sqlite'}")

    async def back(keeper: SnapshotKeeper, engine: Engine) -> None:
        assert keeper.failing
        assert keeper.version == 2
        away.database.close()
        (tmp_path / "away.sqlite").replace(tmp_path / "rules.sqlite")
        away.update("a", limited(7))
        away.delete("b")
        await keeper.refresh()
        assert (keeper.version, keeper.failing) == (4, "")
        assert engine.snapshot is not None
        assert list(engine.snapshot.rules) == ["a"]

    kept(away, tmp_path, back, poll_s=3600)


def test_what_is_loaded_by_the_thousand_is_freed_without_the_collector_of_cycles(
    tmp_path: Path,
) -> None:
    store = rule_store(tmp_path)
    names = [f"q{number}" for number in range(MANY)]
    store.apply({name: rule_to_json(quota(name)) for name in names})

    async def body(keeper: SnapshotKeeper, engine: Engine) -> None:
        assert engine.snapshot is not None
        assert gc.get_freeze_count() > MANY
        assert gc.isenabled()
        old = weakref.ref(engine.snapshot.rules["q7"].rule)
        store.update("q7", limited(7))
        await keeper.refresh()
        assert old() is None

    try:
        kept(store, tmp_path, body, poll_s=3600)
    finally:
        gc.unfreeze()
