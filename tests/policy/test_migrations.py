"""Rules written by an earlier version, brought to this one's."""

import json

from alembic import command
from alembic.config import Config
from sqlalchemy import text

from migrations.rules import SCRIPTS, migrate_rules
from policy.kinds import Mode
from policy.store import Resource, RuleStore
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
    (change,) = store.changes()
    assert (change.before, change.resource) == (None, Resource.RULE)
    assert change.after is not None
    assert (change.after["mode"], "enabled" in change.after) == ("disabled", False)
    store.close()
