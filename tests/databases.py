"""Migrated ClickHouse databases, lent to one test after another.

To migrate a new one takes 0.8 s of CPU; to empty one that was used takes a tenth of it, and the
deduplication tokens of what was in it are forgotten with the rows.
"""

import re
import uuid

from clickhouse_driver import Client

from migrations.clickhouse import migrate_clickhouse
from tests import plain_http
from tests.embedded.daemon import StoreProcess
from tests.waiting import eventually

CONNECTIONS = re.compile(r"^meshmeter_store_connections (\S+)$", re.MULTILINE)
LEAVE_S = 0.5  # for the connections of a test that has ended

TABLES = """
SELECT name, create_table_query, if(name = 'schema_migrations', total_rows, 0)
FROM system.tables
WHERE database = %(database)s
ORDER BY name
"""

FILLED = """
SELECT name
FROM system.tables
WHERE database = %(database)s AND total_rows > 0 AND name != 'schema_migrations'
"""

Tables = list[tuple[str, str, int]]


class Databases:
    """Those of one embedded ClickHouse."""

    def __init__(self, server: StoreProcess) -> None:
        self._server = server
        self._client = Client("127.0.0.1", port=server.port)
        self._idle: list[str] = []
        self._made: dict[str, Tables] = {}  # what tables each had when it was new

    def lend(self) -> str:
        """The name of an empty, migrated database that nobody else uses."""
        if self._idle:
            return self._idle.pop()
        name = f"t{uuid.uuid4().hex}"
        migrate_clickhouse(f"{self._server.url.rpartition('/')[0]}/{name}")
        self._made[name] = self._tables(name)
        return name

    def take_back(self, name: str) -> None:
        """Empties it for the next one. It is dropped when its tables are no longer what they were,
        or when a client is still connected, who may write to it yet."""
        if not self._deserted() or self._tables(name) != self._made[name]:
            self._client.execute(f"DROP DATABASE IF EXISTS {name}")
            return
        for (table,) in self._client.execute(FILLED, {"database": name}):
            self._client.execute(f"TRUNCATE TABLE {name}.{table}")
        self._idle.append(name)

    def _tables(self, name: str) -> Tables:
        found: Tables = self._client.execute(TABLES, {"database": name})
        return found

    def _deserted(self) -> bool:
        """Whether no client but this one is connected. One that was killed counts until all it has
        sent is done or ended."""
        try:
            return eventually(lambda: self._connections() == 1, LEAVE_S, every_s=0.01)
        except AssertionError:
            return False

    def _connections(self) -> float:
        metrics = plain_http.get(f"http://127.0.0.1:{self._server.health_port}/metrics").text
        return float(CONNECTIONS.findall(metrics)[0])

    def close(self) -> None:
        self._client.disconnect()
