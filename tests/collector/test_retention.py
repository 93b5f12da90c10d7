"""How long tables keep rows, changed on tables that exist."""

import time
from dataclasses import fields

import pytest

from collector.errors import InvalidSetting
from collector.settings import Settings
from migrations.retention import TABLES, Kept, keep
from tests.collector.stored_rows import SECOND, insert, span
from tests.waiting import eventually

DAY = 86_400 * SECOND


def test_the_defaults_are_what_a_migrated_database_has(store_url):
    assert keep(store_url, Settings()) == []


def test_only_the_signal_that_was_set_is_changed_and_back_again(store_url):
    longer = Settings(keep_metrics_days=90)
    assert keep(store_url, longer) == [Kept("metric_exports", 90), Kept("metric_points", 90)]
    assert keep(store_url, longer) == []
    assert len(keep(store_url, Settings())) == 2


def test_what_each_hour_came_to_is_kept_for_longer_and_the_finer_rollups_are_not(store_url):
    hourly = {"edges_1h", "span_edges_1h", "operations_1h", "edge_settlements"}
    changed = keep(store_url, Settings(keep_rollups_days=800))
    assert {table for table, _ in changed} == hourly
    assert {days for _, days in changed} == {800}


def test_hours_are_kept_at_least_as_long_as_minutes(store_url):
    with pytest.raises(InvalidSetting, match="keep_rollups_days is 29; it is from 30 to 3650"):
        keep(store_url, Settings(keep_rollups_days=29))


def test_what_is_there_expires_by_the_new_rule(store, store_url):
    now_ns = time.time_ns()
    insert(store, "spans", [span(now_ns - 4 * DAY, "old", 1, 0)])
    insert(store, "spans", [span(now_ns, "new", 2, 0)])
    assert keep(store_url, Settings(keep_spans_days=2)) == [Kept("spans", 2)]
    store.command("OPTIMIZE TABLE spans FINAL")
    eventually(lambda: store.rows("SELECT service FROM spans") == [("new",)])


@pytest.mark.parametrize("days", [0, 3651])
def test_a_time_nobody_means_is_refused_before_anything_is_changed(store_url, days):
    with pytest.raises(InvalidSetting, match=f"keep_logs_days is {days}"):
        keep(store_url, Settings(keep_spans_days=3, keep_logs_days=days))
    assert keep(store_url, Settings()) == []


def test_every_setting_of_a_signal_changes_its_tables():
    assert set(TABLES) == {entry.name for entry in fields(Settings) if entry.name[:5] == "keep_"}
