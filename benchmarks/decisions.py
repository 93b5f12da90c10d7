"""What it takes to find decisions among many: milliseconds, and rows read.

    python -m benchmarks.decisions [--rows 1000000]

Fills an embedded ClickHouse with a day of decisions, three to a trace, and asks the questions of
the API with the indexes and without. The best of five; caches of answered conditions are off.
"""

import argparse
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clickhouse_driver import Client

from collector.decisions.decided import Sought
from collector.store.queries import decision, decisions
from migrations.clickhouse import migrate_clickhouse
from tests.embedded.daemon import running_store

DAY_NS = 86_400_000_000_000
ROUNDS = 5
FILL = """
INSERT INTO decisions
(
    time, id, allowed, rule, rule_version, snapshot_version, decided_by, reason, protocol, source,
    destination, source_principal, method, path, request_id, trace_id, quota_limit,
    quota_remaining, quota_key, attributes, weight
)
SELECT
    fromUnixTimestamp64Nano(toInt64(%(end_ns)s - number * %(apart_ns)s)),
    concat(['a1b2c3d4e5f6', '0f1e2d3c4b5a', '99aabbccddee'][1 + number %% 3], '-', hex(number)),
    number %% 4 = 0,
    concat('rule-', toString(cityHash64(number) %% 40)),
    3,
    17,
    'quota',
    'quota is exhausted',
    'ext_authz',
    concat('service-', toString(cityHash64(number, 1) %% 60)),
    concat('service-', toString(cityHash64(number, 2) %% 60)),
    concat('spiffe://mesh/ns/shop/sa/service-', toString(cityHash64(number, 1) %% 60)),
    'GET',
    concat('/cart/', toString(cityHash64(number, 3) %% 5000)),
    hex(sipHash128(number, 4)),
    toFixedString(sipHash128(intDiv(number, 3), 5), 16),
    100,
    0,
    concat('user-', toString(cityHash64(number, 6) %% 3000)),
    map('source.service', concat('service-', toString(cityHash64(number, 1) %% 60))),
    if(number %% 4 = 0, 100, 1)
FROM numbers(%(first)s, %(size)s)
"""
PICK = "SELECT id, request_id, lower(hex(trace_id)) FROM decisions WHERE NOT allowed LIMIT 1, 1"
COLD = {"use_query_condition_cache": 0}


def fill(client: Client, rows: int, end_ns: int) -> None:
    size = 100_000
    for first in range(0, rows, size):
        params = {"end_ns": end_ns, "apart_ns": DAY_NS // rows, "first": first, "size": size}
        client.execute(FILL, params)


def measured(
    client: Client, sql: str, params: Mapping[str, Any], indexes: int
) -> tuple[float, int]:
    """Milliseconds and rows read."""
    settings = COLD | {"use_skip_indexes": indexes}
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        client.execute(sql, dict(params), settings=settings)
        best = min(best, time.perf_counter() - began)
    return best * 1e3, client.last_query.progress.rows


def questions(client: Client, end_ns: int) -> dict[str, tuple[str, dict[str, Any]]]:
    ((decision_id, request_id, trace_id),) = client.execute(PICK)
    everything = Sought(end_ns - DAY_NS, end_ns + 1)
    page = {"before_ns": 0, "before_id": "", "limit": 101}
    sought = {
        "request id": everything._replace(request_id=request_id),
        "trace": everything._replace(trace_id=trace_id),
        "rule": everything._replace(rule="rule-7"),
        "client": everything._replace(client="service-7"),
        "denied": everything._replace(allowed=False),
    }
    return {"id": (decision.SQL, {"id": decision_id})} | {
        name: (decisions.PAGE, decisions.params(each) | page) for name, each in sought.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as directory, running_store(Path(directory) / "s") as store:
        url = f"{store.url.rpartition('/')[0]}/meshmeter"
        migrate_clickhouse(url)
        client = Client.from_url(f"{url}?client_revision=54453")
        end_ns = time.time_ns()
        fill(client, rows, end_ns)
        print(f"{'by':<12}{'ms':>8}{'rows read':>12}{'without: ms':>14}{'rows read':>12}")
        for name, (sql, params) in questions(client, end_ns).items():
            ms, read = measured(client, sql, params, 1)
            slow_ms, all_read = measured(client, sql, params, 0)
            print(f"{name:<12}{ms:>8.0f}{read:>12}{slow_ms:>14.0f}{all_read:>12}")


if __name__ == "__main__":
    main()
