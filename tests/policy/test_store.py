"""The rule database, on SQLite and on PostgreSQL."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from collector.errors import InvalidSetting, Unready
from migrations.rules import migrate_rules
from policy.errors import Conflict, InvalidRule, NameTaken, RulesDown, UnknownRule
from policy.kinds import Mode
from policy.rules import AnyRule, numbered
from policy.store import RuleStore
from policy.store.engine import rules_engine
from policy.store.models import Base
from tests.policy.objects import deny, quota


def disabled(rule: AnyRule) -> AnyRule:
    return rule.model_copy(update={"mode": Mode.DISABLED})


def test_a_new_database_is_at_version_zero_and_empty(store: RuleStore) -> None:
    assert store.load() == (0, [], [])
    assert store.load_snapshot().version == 0


def test_a_rule_is_kept_as_it_was_made(store: RuleStore) -> None:
    made = quota(dimensions=["source.service"], window=0.5, burst=3, description="é")
    store.create(made)
    store.create(deny())
    assert store.get("calm") == numbered(made, 1)
    assert [rule.name for rule in store.list()] == ["calm", "no"]


def test_each_change_counts_the_rule_and_the_set(store: RuleStore) -> None:
    store.create(quota())
    store.create(deny())
    assert store.update("calm", disabled).version == 2
    store.delete("no")
    assert store.version() == 4
    assert [rule.version for rule in store.list()] == [2]


def test_a_rule_made_again_does_not_reuse_a_version(store: RuleStore) -> None:
    store.create(quota())
    store.update("calm", disabled)
    store.delete("calm")
    assert store.create(quota()).version == 3


def test_a_refused_change_leaves_nothing(store: RuleStore) -> None:
    store.create(quota())
    with pytest.raises(NameTaken):
        store.create(deny("calm"))
    with pytest.raises(UnknownRule):
        store.update("none", disabled)
    with pytest.raises(UnknownRule):
        store.delete("none")
    with pytest.raises(UnknownRule):
        store.get("none")
    with pytest.raises(Conflict):
        store.update("calm", disabled, expected=7)
    with pytest.raises(Conflict):
        store.delete("calm", expected=7)
    with pytest.raises(InvalidRule):
        store.update("calm", lambda rule: rule.model_copy(update={"name": "other"}))
    assert store.load() == (1, [numbered(quota(), 1)], [])
    assert store.audit.entries(10).total == 1


def test_of_two_edits_of_one_version_one_is_refused(store: RuleStore) -> None:
    store.create(quota())

    def edit(_: int) -> bool:
        try:
            store.update("calm", disabled, expected=1)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(edit, range(8))) == 1
    assert store.version() == 2


def test_concurrent_writers_wait_for_one_another(store: RuleStore) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: store.create(quota(f"q{number}")), range(40)))
    version, rules, _ = store.load()
    assert (version, len(rules)) == (40, 40)


def test_a_row_that_is_no_rule_is_named(store: RuleStore, rules_url: str) -> None:
    store.create(quota())
    engine = rules_engine(rules_url)
    with engine.begin() as connection:
        connection.execute(text("""UPDATE rules SET document = '{"kind": "new-kind"}'"""))
    engine.dispose()
    with pytest.raises(InvalidRule, match="/calm/kind"):
        store.load_snapshot()


def test_migrating_again_changes_nothing(store: RuleStore, rules_url: str) -> None:
    store.create(quota())
    migrate_rules(rules_url)
    assert store.version() == 1


def test_several_may_migrate_at_once(rules_url: str) -> None:
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(migrate_rules, [rules_url] * 4))
    store = RuleStore(rules_url)
    assert store.version() == 0
    store.close()


def test_the_migrations_make_what_the_models_say(store: RuleStore, rules_url: str) -> None:
    engine = rules_engine(rules_url)
    with engine.begin() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    engine.dispose()


def test_a_database_of_a_newer_version_is_refused(store: RuleStore, rules_url: str) -> None:
    engine = rules_engine(rules_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(InvalidSetting, match="another version"):
        migrate_rules(rules_url)


@pytest.mark.parametrize("url", ["postgresql://127.0.0.1:1/none", "sqlite:////no/such/dir/rules"])
def test_a_database_that_does_not_answer_is_said_so(url: str) -> None:
    store = RuleStore(url)
    with pytest.raises(RulesDown):
        store.version()
    store.close()
    with pytest.raises(Unready):
        migrate_rules(url)


@pytest.mark.parametrize("url", ["", "nonsense", "oracle9://x/y"])
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(RulesDown):
        RuleStore(url)
    with pytest.raises(InvalidSetting):
        migrate_rules(url)


def test_tables_that_are_missing_are_said_so(tmp_path: Path) -> None:
    store = RuleStore(f"sqlite:///{tmp_path / 'empty.sqlite'}")
    with pytest.raises(RulesDown, match="rule_set"):
        store.version()
    store.close()
