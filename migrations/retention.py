"""How long what was reported is kept: the TTL of the tables that exist, brought to the settings."""

import re
from typing import NamedTuple

from collector.errors import InvalidSetting
from collector.settings import Settings
from collector.store.client import Store
from migrations.clickhouse import named
from migrations.cluster import Cluster, rendered

MOST_DAYS = 3650
LEAST_DAYS = {"keep_rollups_days": 30}  # rollups by the minute are kept as long, whatever is set

TTL = """
SELECT name, extract(create_table_query, 'TTL (.+?) SETTINGS') AS ttl
FROM system.tables
WHERE database = %(database)s AND name IN %(tables)s
"""
DAYS = re.compile(r"\+ toIntervalDay\((\d+)\)$")

CHANGE = "ALTER TABLE {table} MODIFY TTL toDateTime(time) + INTERVAL {days} DAY"

# By the setting that says for how many days.
TABLES = {
    "keep_spans_days": ("spans",),
    "keep_requests_days": ("requests",),
    "keep_logs_days": ("logs",),
    "keep_metrics_days": ("metric_points", "metric_exports"),
    "keep_decisions_days": ("decisions",),
    "keep_dead_letters_days": ("dead_letters",),
    "keep_rollups_days": ("edges_1h", "span_edges_1h", "operations_1h", "edge_settlements"),
}


class Kept(NamedTuple):
    """A table whose rows are kept for other than they were."""

    table: str
    days: int


def keep(url: str, settings: Settings) -> list[Kept]:
    """Change what differs, and say what; what is there already expires by the new rule too.

    Raises InvalidSetting before anything is changed, StoreDown, StoreError.
    """
    wanted: dict[str, int] = {}
    for name, tables in TABLES.items():
        days = getattr(settings, name)
        least = LEAST_DAYS.get(name, 1)
        if not least <= days <= MOST_DAYS:
            raise InvalidSetting(f"{name} is {days}; it is from {least} to {MOST_DAYS}")
        wanted |= dict.fromkeys(tables, days)
    changed = []
    target = named(url, settings.clickhouse_cluster)
    own = target.local if target.name else target.database
    with Store(url) as store:
        for table, ttl in store.rows(TTL, {"database": own, "tables": tuple(wanted)}):
            found = DAYS.search(ttl)
            if not found or int(found[1]) != wanted[table]:
                for sql in change(table, wanted[table], target):
                    store.command(sql, timeout_s=3600)
                changed.append(Kept(table, wanted[table]))
    return sorted(changed)


def change(table: str, days: int, target: Cluster) -> list[str]:
    sql = CHANGE.format(table=table, days=days)
    return [each.sql for each in rendered([sql], target, set())] if target.name else [sql]
