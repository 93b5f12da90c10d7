"""The outbox's file: found, locked, opened so that a commit is on disk, and recovered."""

import contextlib
import fcntl
import logging
import os
import shutil
import sqlite3
import uuid
from importlib.resources import files
from pathlib import Path
from typing import BinaryIO

from collector.errors import InvalidSetting
from collector.outbox import books
from collector.outbox.statements import FROZEN_UP_TO, SOMETHING_WAITS

log = logging.getLogger(__name__)

PAGE_BYTES = 65536
WAL_PAGES = 256  # 16 MiB between checkpoints
MAX_FILES = 1024
Found = tuple[Path, BinaryIO]  # a file, and its lock, held
ADDED = (  # since the first version: table, column, type
    ("requests", "items", "INTEGER"),
    ("groups", "replays", "INTEGER"),
    ("groups", "begun", "INTEGER"),
    ("groups", "quarantined_s", "REAL"),
)

SCHEMA = files("collector.outbox").joinpath("schema.sql").read_text()


class OutboxFile:
    """One SQLite file, held by this process alone. Raises InvalidSetting when it cannot be."""

    def __init__(
        self,
        directory: Path,
        max_bytes: int,
        remember_since_s: int,
        found: Found | None = None,
    ) -> None:
        """`found`: a file and its lock, held already; else the first that nobody holds."""
        with contextlib.ExitStack() as opened:
            try:
                directory.mkdir(parents=True, exist_ok=True)
                self.path, lock = found or lock_first_free(directory)
                opened.callback(lock.close)
                self.ballast_path = self.path.with_suffix(".ballast")
                if shutil.disk_usage(directory).free < WAL_PAGES * PAGE_BYTES:
                    # Not even opened otherwise: it is what the ballast is for.
                    self.ballast_path.unlink(missing_ok=True)
                self.connection = sqlite3.connect(
                    self.path, isolation_level=None, check_same_thread=False, timeout=5
                )
                opened.callback(self.connection.close)
                configure(self.connection, max_bytes)
                recover(self.connection, remember_since_s)
            except (OSError, sqlite3.Error) as error:
                raise InvalidSetting(f"cannot keep an outbox in {directory}: {error}") from error
            row = self.connection.execute("SELECT collector_id FROM identity").fetchone()
            self.collector_id: str = row[0]
            self._opened = opened.pop_all()

    def reader(self) -> sqlite3.Connection:
        """A connection that only reads, for the calling thread; the caller closes it."""
        return sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)

    def close(self) -> None:
        self._opened.close()


def lock_first_free(directory: Path) -> Found:
    """A collector that starts again takes up the file it left; a second one takes the next."""
    for number in range(MAX_FILES):
        path = directory / f"outbox-{number}.sqlite"
        lock = lock_of(path)
        if lock is not None:
            return path, lock
    raise InvalidSetting(f"{MAX_FILES} collectors hold the outboxes of {directory}")


def lock_left_behind(directory: Path) -> Found | None:
    """The first file that nobody holds and in which something waits."""
    for path in sorted(directory.glob("outbox-*.sqlite")):
        lock = lock_of(path)
        if lock is None:
            continue
        if something_waits(path):
            return path, lock
        lock.close()
    return None


def lock_of(path: Path) -> BinaryIO | None:
    """None while somebody holds it."""
    lock = path.with_suffix(".lock").open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return lock


def something_waits(path: Path) -> bool:
    """False also of a file that cannot be read: whoever takes it first says so."""
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=5)) as looking:
            found = looking.execute(SOMETHING_WAITS).fetchone()[0]
    except sqlite3.Error as error:
        log.warning("An outbox cannot be read", extra={"path": str(path), "error": str(error)})
        return False
    return bool(found)


def configure(connection: sqlite3.Connection, max_bytes: int) -> None:
    for pragma in (
        f"page_size = {PAGE_BYTES}",
        "journal_mode = WAL",
        "synchronous = FULL",  # NORMAL lost acknowledged reports in 19 of 25 power cuts
        "secure_delete = OFF",  # Debian's default writes zeros over what is deleted
        f"wal_autocheckpoint = {WAL_PAGES}",
        f"journal_size_limit = {WAL_PAGES * PAGE_BYTES}",
        f"max_page_count = {max(16, max_bytes // PAGE_BYTES)}",
    ):
        connection.execute(f"PRAGMA {pragma}")


def recover(connection: sqlite3.Connection, remember_since_s: int) -> None:
    """Make what is missing, and forget all leases: whoever held one may be gone."""
    connection.execute("ATTACH ':memory:' AS volatile")
    connection.executescript(SCHEMA)
    upgrade(connection)
    connection.execute("BEGIN IMMEDIATE")
    if connection.execute("SELECT count(*) FROM identity").fetchone() == (0,):
        connection.execute("INSERT INTO identity VALUES (?)", (str(uuid.uuid4()),))
    connection.execute(
        "INSERT OR IGNORE INTO volatile.recent SELECT digest FROM digests WHERE received_s >= ?",
        (remember_since_s,),
    )
    connection.execute("INSERT OR IGNORE INTO volatile.recent SELECT digest FROM requests")
    frozen = connection.execute(FROZEN_UP_TO).fetchone()
    connection.execute(
        "INSERT INTO volatile.unfrozen"
        " SELECT count(*), ifnull(sum(size), 0) FROM requests WHERE id > ?",
        frozen,
    )
    books.recover(connection, frozen[0])
    connection.execute("UPDATE groups SET lease_until_s = 0 WHERE state = 0")
    connection.execute("COMMIT")
    sync_directory(connection)


def upgrade(connection: sqlite3.Connection) -> None:
    """What a file of an earlier version lacks. Its reports have no items: they are in no books."""
    for table, column, kind in ADDED:
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        if column not in columns:
            added = f"ALTER TABLE {table} ADD COLUMN {column} {kind} NOT NULL DEFAULT 0"
            connection.execute(added)


def sync_directory(connection: sqlite3.Connection) -> None:
    """The new file's name itself must survive a power cut."""
    name = connection.execute("PRAGMA database_list").fetchone()[2]
    descriptor = os.open(Path(name).parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
