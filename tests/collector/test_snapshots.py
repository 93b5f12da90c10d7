import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import text

from collector.snapshots import FILE, SnapshotKeeper
from policy.engine import Engine
from policy.quota.memory import MemoryCounters
from policy.rules import AnyRule, rule_from_json, rule_to_json
from policy.store import RuleStore
from policy.store.engine import rules_engine
from tests.collector.policy_parts import rule_store, until
from tests.policy.objects import deny, quota


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
    (tmp_path / "rules.sqlite").rename(tmp_path / "away.sqlite")
    for side in tmp_path.glob("rules.sqlite-*"):
        side.unlink()

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
    "content", ["", "{", "[]", "{}", '{"version": 1, "rules": [{"kind": "x"}]}', "\x00"]
)
def test_a_spoilt_file_is_not_used(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)

    async def body(keeper: SnapshotKeeper, engine: Engine) -> None:
        assert keeper.ready()

    kept(RuleStore("postgresql://127.0.0.1:1/none"), tmp_path, body)


def test_a_directory_that_cannot_be_written_does_not_stop_the_rules(tmp_path: Path) -> None:
    store = rule_store(tmp_path)
    store.create(quota())
    (tmp_path / "file").write_text("")

    async def body(keeper: SnapshotKeeper, engine: Engine) -> None:
        assert keeper.version == 1

    kept(store, tmp_path / "file", body)


def limited(limit: int) -> Callable[[AnyRule], AnyRule]:
    return lambda rule: rule_from_json(rule_to_json(rule) | {"limit": limit})


def test_the_file_is_whole_after_each_change(tmp_path: Path) -> None:
    store = rule_store(tmp_path)

    async def body(keeper: SnapshotKeeper, engine: Engine) -> None:
        store.create(quota())
        for limit in range(3, 8):
            store.update("calm", limited(limit))
            await keeper.refresh()
            document = json.loads((tmp_path / FILE).read_text())
            assert document["version"] == keeper.version
            assert document["rules"][0]["limit"] == limit

    kept(store, tmp_path, body)
    assert not list(tmp_path.glob(f".{FILE}*"))
