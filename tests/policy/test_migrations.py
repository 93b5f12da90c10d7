"""Rules written by an earlier version, brought to this one's."""

import json

from alembic import command
from alembic.config import Config
from sqlalchemy import text

from migrations.rules import SCRIPTS, migrate_rules
from policy.kinds import Mode
from policy.rules import rule_from_json
from policy.store import RuleStore
from policy.store.engine import rules_engine


def test_a_rule_that_was_enabled_or_not_has_a_mode(rules_url: str) -> None:
    engine = rules_engine(rules_url)
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for name, enabled in (("on", True), ("off", False)):
            document = json.dumps({"kind": "deny", "name": name, "enabled": enabled, "version": 1})
            connection.execute(
                text("INSERT INTO rules VALUES (:name, 1, :document, '2026-01-01 00:00:00')"),
                {"name": name, "document": document},
            )
        connection.execute(
            text("INSERT INTO rule_changes VALUES (1, '2026-01-01 00:00:00', '', 'on', NULL, :it)"),
            {"it": document},
        )
    engine.dispose()
    migrate_rules(rules_url)
    store = RuleStore(rules_url)
    assert {rule.name: rule.mode for rule in store.list()} == {
        "on": Mode.ENABLED,
        "off": Mode.DISABLED,
    }
    (change,) = store.audit.entries(10).entries
    assert change.before is None
    assert change.after is not None
    assert (change.after["mode"], "enabled" in change.after) == ("disabled", False)
    store.close()


INSERT_CHANGE = """
INSERT INTO rule_changes (version, time, actor, resource, name, before, after)
VALUES (:v, '2026-01-01 00:00:00', :a, :r, 'no', :b, :c)
"""


def test_changes_that_were_recorded_make_versions_and_an_audit_log(rules_url: str) -> None:
    engine = rules_engine(rules_url)
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    one, two = (
        json.dumps({"kind": "deny", "name": "no", "version": n, "mode": "enabled"}) for n in (1, 2)
    )
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")
        for version, actor, before, after in (
            (1, "10.0.0.1", None, one),
            (2, "10.0.0.2", one, two),
            (3, "10.0.0.3", two, None),
        ):
            connection.execute(
                text(INSERT_CHANGE),
                {"v": version, "a": actor, "b": before, "c": after, "r": "rule"},
            )
        connection.execute(text("UPDATE rule_set SET version = 3"))
    engine.dispose()
    migrate_rules(rules_url)
    store = RuleStore(rules_url)
    entries = store.audit.entries(10).entries
    assert [(it.version, it.action, it.actor, it.peer) for it in entries] == [
        (3, "delete", "10.0.0.3", "10.0.0.3"),
        (2, "update", "10.0.0.2", "10.0.0.2"),
        (1, "create", "10.0.0.1", "10.0.0.1"),
    ]
    history = store.history
    assert [len(list(history.documents(version))) for version in range(4)] == [0, 1, 1, 0]
    assert store.create(rule_from_json({"kind": "deny", "name": "no"})).version == 3
    store.close()


def test_the_log_can_go_back_to_an_earlier_version(rules_url: str) -> None:
    migrate_rules(rules_url)
    store = RuleStore(rules_url)
    store.create(rule_from_json({"kind": "deny", "name": "no"}))
    store.close()
    engine = rules_engine(rules_url)
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0003")
        rows = connection.execute(text("SELECT version, name FROM rule_changes")).all()
    engine.dispose()
    assert [tuple(row) for row in rows] == [(1, "no")]
