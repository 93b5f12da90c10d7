"""Brings ClickHouse and the rules database to this version's tables: `python -m migrations`."""

import sys

from collector.errors import CollectorError, InvalidSetting
from collector.settings import Settings
from migrations.clickhouse import migrate_clickhouse, print_clickhouse
from migrations.retention import keep
from migrations.rules import migrate_rules


def run(settings: Settings) -> int:
    """Prints what it did; the exit code is 1 when a database refused or did not answer."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)  # where the rules are by default
    try:
        cluster = settings.clickhouse_cluster
        applied = migrate_clickhouse(settings.clickhouse_url, cluster=cluster)
        print(f"ClickHouse: {', '.join(applied) if applied else 'nothing new'}")
        for table, days in keep(settings.clickhouse_url, settings):
            print(f"ClickHouse: {table} is kept for {days} days")
        migrate_rules(settings.rules_url)
        print("rules: at this version's tables")
    except InvalidSetting:
        raise
    except CollectorError as error:
        print(f"meshmeter: {error}", file=sys.stderr)
        return 1
    return 0


def show(settings: Settings) -> int:
    """Prints the statements of all migrations of ClickHouse; asks no server."""
    for statement in print_clickhouse(settings.clickhouse_url, cluster=settings.clickhouse_cluster):
        print(statement)
    return 0


if __name__ == "__main__":
    sys.exit(run(Settings.from_environ()))
