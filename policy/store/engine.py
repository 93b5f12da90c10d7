"""A connection pool for the rule database: SQLite or PostgreSQL."""

import sqlite3
from contextlib import suppress
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from policy.errors import RulesDown

BUSY_S = 5.0  # how long a writer waits for another


def rules_engine(url: str, begin: str = "BEGIN") -> Engine:
    """Connects to nothing yet. `postgresql://` means psycopg 3; `begin` is for SQLite.

    Raises RulesDown for a URL that cannot be read.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise RulesDown(f"{error}") from error
    if parsed.drivername in ("postgres", "postgresql"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise RulesDown(f"{parsed.drivername} is not known; there are sqlite and postgresql")
    if parsed.get_backend_name() == "sqlite":
        engine = create_engine(parsed, connect_args={"timeout": BUSY_S})
        event.listen(engine, "connect", prepare_sqlite)
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
        return engine
    return create_engine(parsed, pool_pre_ping=True, connect_args={"connect_timeout": int(BUSY_S)})


def prepare_sqlite(connection: Any, _record: Any) -> None:
    # The driver's own idea of transactions leaves reads outside of them.
    connection.isolation_level = None
    # The mode stays with the file. Its switch does not wait for a lock: whoever holds one is
    # switching too, or the next connection does.
    with suppress(sqlite3.OperationalError):
        connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
