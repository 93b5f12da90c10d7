"""ClickHouse over its native protocol: questions, commands, and inserts that can be repeated.

A retried insert with the token it had before adds nothing, in the table and in everything its
materialized views fill: see docs/storage.md for what that asks of a table.
"""

import importlib.util
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

from clickhouse_driver import Client
from clickhouse_driver import errors as driver
from clickhouse_driver.block import ColumnOrientedBlock
from clickhouse_driver.protocol import ClientPacketTypes
from clickhouse_driver.varint import write_varint
from clickhouse_driver.writer import write_binary_str

from collector.errors import InvalidSetting, StoreDown, StoreError
from collector.store.tables import ReadyColumns

# From 54454 on, every column of a block carries one more byte: at this revision a block is
# FORMAT Native, which is what the embedded store passes through.
REVISION = 54453
CONNECT_TIMEOUT_S = 2.0
PING_TIMEOUT_S = 2.0
WRITE_TIMEOUT_S = 60.0
READ_TIMEOUT_S = 20.0
READ_SLACK_S = 2.0  # what a read may take beyond `max_execution_time` before it is given up

WRITE_SETTINGS: dict[str, Any] = {
    "async_insert": 0,  # acknowledged means stored
    "insert_deduplicate": 1,
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    "insert_distributed_sync": 1,  # on a cluster: stored on its shards
}
# readonly 2, not 1: the server refuses writes, and still takes this client's limit of time. On a
# cluster a subquery is of the shard it is asked on: see docs/adr/0007-cluster.md.
READ_SETTINGS: dict[str, Any] = {"readonly": 2, "distributed_product_mode": "local"}

# Refusals of an insert that pass by themselves: TOO_MANY_SIMULTANEOUS_QUERIES,
# MEMORY_LIMIT_EXCEEDED, TABLE_IS_READ_ONLY, NOT_ENOUGH_SPACE, TOO_MANY_PARTS,
# UNKNOWN_STATUS_OF_INSERT; and of replicated tables NO_ZOOKEEPER, TOO_FEW_LIVE_REPLICAS,
# UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE, KEEPER_EXCEPTION.
BUSY = frozenset({202, 241, 242, 243, 252, 319, 225, 285, 286, 999})
# A server of a cluster could not reach another, or lost it: SOCKET_TIMEOUT, NETWORK_ERROR,
# ALL_CONNECTION_TRIES_FAILED, NO_REMOTE_SHARD_AVAILABLE, CANNOT_READ_FROM_SOCKET,
# CANNOT_WRITE_TO_SOCKET.
AWAY = frozenset({209, 210, 279, 519, 95, 96})
# ATTEMPT_TO_READ_AFTER_EOF: of another server only when it says so, else of what was sent to it.
EOF = 32
LOST = "while receiving packet from"


class Store:
    """Safe to share between threads: a connection serves one call at a time.

    Nothing connects before the first call. Reads and writes have connections of their own, since
    a session that was made read-only cannot be made writable again.
    """

    def __init__(self, url: str, *, compression: bool = True) -> None:
        """`url`: clickhouse://[user:password@]host[:port]/database. Raises InvalidSetting."""
        check_url(url)
        self.url = url
        self._compression = "lz4" if compression and lz4_installed() else "no"
        self._readers: list[Client] = []  # idle connections; append and pop are atomic
        self._writers: list[Client] = []
        # It warns of every failed attempt, and raises it too.
        logging.getLogger("clickhouse_driver").setLevel(logging.ERROR)

    def rows(
        self,
        sql: str,
        params: Mapping[str, Any] | None = None,
        *,
        timeout_s: float = READ_TIMEOUT_S,
    ) -> list[tuple[Any, ...]]:
        """What a question answers; `%(name)s` in it stands for a parameter.

        Raises StoreDown, and StoreError (code 159) when it takes longer than `timeout_s`.
        """
        settings = READ_SETTINGS | {"max_execution_time": max(1, round(timeout_s))}
        with self._connection(self._readers) as client:
            set_patience(client, timeout_s + READ_SLACK_S)
            answer: list[tuple[Any, ...]] = client.execute(
                sql, dict(params) if params is not None else None, settings=settings
            )
            return answer

    def command(
        self,
        sql: str,
        params: Mapping[str, Any] | None = None,
        *,
        timeout_s: float = WRITE_TIMEOUT_S,
    ) -> None:
        """Run a statement that changes something; `%(name)s` in it stands for a parameter.

        Raises StoreDown, StoreError.
        """
        with self._connection(self._writers) as client:
            set_patience(client, timeout_s)
            client.execute(
                sql, dict(params) if params is not None else None, settings=WRITE_SETTINGS
            )

    def insert(self, table: str, columns: Mapping[str, Sequence[Any]], *, token: str) -> None:
        """Insert columns of equal length, at most once for a token, or raise.

        The same token must always come with the same rows: rows under a token the table has seen
        are dropped. Raises StoreDown (try again, with the token) and StoreError (do not).
        """
        if not isinstance(columns, ReadyColumns) and not next(iter(columns.values()), None):
            return
        sql = f"INSERT INTO {table} ({', '.join(columns)}) VALUES"
        settings = WRITE_SETTINGS | {"insert_deduplication_token": token}
        try:
            with self._connection(self._writers) as client:
                set_patience(client, WRITE_TIMEOUT_S)
                if isinstance(columns, ReadyColumns):
                    insert_ready(client, sql, columns, settings)
                else:
                    client.execute(sql, list(columns.values()), columnar=True, settings=settings)
        except StoreError as error:
            if error.code in BUSY:
                raise StoreDown(str(error)) from error
            raise

    def ping(self) -> None:
        """Raises StoreDown."""
        self.rows("SELECT 1", timeout_s=PING_TIMEOUT_S)

    def close(self) -> None:
        """Closes idle connections; a later call opens new ones."""
        for idle in (self._readers, self._writers):
            while idle:
                idle.pop().disconnect()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    @contextmanager
    def _connection(self, idle: list[Client]) -> Iterator[Client]:
        """The driver drops the connection of a failed call and opens another at the next."""
        try:
            client = idle.pop()
        except IndexError:
            client = self._client()
        try:
            yield client
        except (driver.NetworkError, driver.SocketTimeoutError, OSError, EOFError) as error:
            raise StoreDown(f"no answer from ClickHouse at {self.address}: {error}") from error
        except driver.ServerException as error:
            if error.code in AWAY or (error.code == EOF and LOST in error.message):
                raise StoreDown(
                    f"a server of the cluster is away: {first_line(error.message)}"
                ) from error
            raise StoreError(first_line(error.message), error.code) from error
        except driver.Error as error:
            raise StoreError(first_line(str(error)), error.code or 0) from error
        finally:
            idle.append(client)

    @property
    def address(self) -> str:
        """Host and port, without the user and password of the URL."""
        return urlsplit(self.url).netloc.rpartition("@")[2]

    def _client(self) -> Client:
        defaults = urlencode(
            {
                "client_revision": REVISION,
                "compression": self._compression,
                "connect_timeout": CONNECT_TIMEOUT_S,
                "sync_request_timeout": PING_TIMEOUT_S,
                "send_receive_timeout": WRITE_TIMEOUT_S,
            }
        )
        # The driver takes the first of two values, so what the URL says itself goes before.
        return Client.from_url(f"{self.url}{'&' if '?' in self.url else '?'}{defaults}")


def insert_ready(client: Client, sql: str, columns: ReadyColumns, settings: dict[str, Any]) -> None:
    """As `Client.execute` inserts columns, but that they write their block themselves, if they
    can, and the driver only compresses it."""
    with client.disconnect_on_error(sql, settings):
        connection = client.connection
        connection.send_query(sql)
        connection.send_external_tables(None)
        sample = client.receive_sample_block()
        body = columns.native(sample.columns_with_types)
        if body is None:
            client.send_data(sample, list(columns.values()), columnar=True)
        else:
            write_varint(ClientPacketTypes.DATA, connection.fout)
            write_binary_str("", connection.fout)  # a table's name: none
            end = ColumnOrientedBlock()
            blocks = connection.block_out
            end.info.write(blocks.fout)
            blocks.fout.write(body)
            blocks.finalize()
            connection.send_data(end)
        client.receive_end_of_insert_query()


def set_patience(client: Client, timeout_s: float) -> None:
    """How long to wait for a packet, on the open connection and on one opened later."""
    client.connection.send_receive_timeout = timeout_s
    if client.connection.socket:
        client.connection.socket.settimeout(timeout_s)


def check_url(url: str) -> None:
    """Raises InvalidSetting, which never shows the password."""
    try:
        parts = urlsplit(url)
        named = bool(parts.hostname) and parts.port != 0 and len(parts.path) > 1
    except ValueError:
        named = False
    if not named or parts.scheme not in ("clickhouse", "clickhouses"):
        raise InvalidSetting("the ClickHouse URL is not clickhouse://host:port/database")


def lz4_installed() -> bool:
    """The driver's LZ4 needs two packages, both of the production set."""
    return all(importlib.util.find_spec(name) for name in ("lz4", "clickhouse_cityhash"))


def first_line(message: str) -> str:
    """Without the server's stack trace."""
    return message.partition("Stack trace:")[0].strip().removeprefix("DB::Exception: ")
