"""The chDB engine: one a process, one data directory an engine.

chDB keeps the directory open for the life of the process and must never be forked.
"""

import fcntl
import json
import logging
import os
import re
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from embedded.store.errors import UNKNOWN_EXCEPTION, CannotStart, Refused
from embedded.store.repair import forget_unwritten

log = logging.getLogger(__name__)

CODE = re.compile(r"Code: (\d+)\. ?(.*)", re.DOTALL)
CONFIG = """<clickhouse>
    <max_server_memory_usage>{memory}</max_server_memory_usage>
    <mark_cache_size>{cache}</mark_cache_size>
</clickhouse>
"""
# As on a server: an insert is stored when it is answered, and "1 + 1" is no statement.
SESSION = "SET async_insert = 0, implicit_select = 0"


class Session:
    """One chDB handle: settings, current database and temporary tables of its own.

    For one thread at a time. Raises Refused with ClickHouse's code and message.
    """

    def __init__(self, connect: Callable[[], Any], mark: str) -> None:
        self._connect = connect
        self._mark = mark
        self._open()

    def _open(self) -> None:
        self._connection = self._connect()
        self.query(f"{SESSION}, log_comment = {quoted(self._mark)}", "Null")

    def renew(self) -> None:
        """Begins again: settings as at first, the current database kept, temporary tables lost."""
        database = self.query("SELECT currentDatabase()", "TabSeparatedRaw").decode()
        self._connection.close()
        self._open()
        self.use(database.removesuffix("\n"))

    def query(self, sql: str, output: str = "Native") -> bytes:
        try:
            return bytes(self._connection.query(sql, output).bytes())
        except RuntimeError as error:
            raise refused(error) from error

    def stream(self, sql: str) -> Iterator[Any]:
        """Chunks of one block each, none for an empty result. Nothing else may run meanwhile."""
        try:
            stream = self._connection.send_query(sql, "Native")
        except RuntimeError as error:
            raise refused(error) from error
        try:
            yield from stream
        except RuntimeError as error:
            raise refused(error) from error
        finally:
            stream.close()

    def describe(self, select: str) -> list[tuple[str, str]]:
        """Names and types of a SELECT's columns."""
        answer = json.loads(self.query(f"DESCRIBE ({select}\n)", "JSONCompact"))
        return [(row[0], row[1]) for row in answer["data"]]

    def columns(self, sql: str) -> list[tuple[str, str]]:
        """Names and types of what a statement answers, by running it."""
        answer = json.loads(self.query(sql, "JSONCompact"))
        return [(column["name"], column["type"]) for column in answer["meta"]]

    def use(self, database: str) -> None:
        name = database.replace("\\", "\\\\").replace("`", "\\`")
        self.query(f"USE `{name}`", "Null")

    def close(self) -> None:
        self._connection.close()


class Engine:
    """Opens `data_dir`, made if need be. Raises CannotStart."""

    def __init__(self, data_dir: Path, memory_bytes: int) -> None:
        self._lock_file = own(data_dir)
        config = data_dir.absolute() / "engine.xml"
        try:
            config.write_text(CONFIG.format(memory=memory_bytes, cache=memory_bytes // 8))
        except OSError as error:
            raise CannotStart(f"cannot write {config} ({error.strerror})") from error
        directory = data_dir.absolute() / "engine"
        try:
            forgotten = forget_unwritten(directory)
        except OSError as error:
            raise CannotStart(f"cannot read the tables in {directory}: {error}") from error
        if forgotten:
            log.warning(
                "Inserts cut short by a kill may be tried again", extra={"parts": forgotten}
            )
        # Slow to import, and not to be imported by anyone who may fork.
        import chdb

        path = f"{directory}?config-file={config}"
        self._connect = partial(chdb.connect, path)
        try:
            self._control = self.session("control")
        except (RuntimeError, Refused) as error:
            raise CannotStart(f"the engine cannot open {data_dir}: {error}") from error
        self._control_lock = threading.Lock()
        facts = self._control.query("SELECT version(), timezone()", "TabSeparated").decode()
        version, self.timezone = facts.strip().split("\t")
        major, minor, patch = map(int, version.split(".")[:3])
        self.version = (major, minor, patch)

    def session(self, mark: str) -> Session:
        """`mark` is what `kill` knows the session's statements by."""
        return Session(self._connect, mark)

    def kill(self, mark: str) -> None:
        """Ends what a session is running, if anything, soon."""
        with self._control_lock:
            self._control.query(
                f"KILL QUERY WHERE Settings['log_comment'] = {quoted(mark)} ASYNC", "Null"
            )

    def check(self) -> str:
        """Empty while the engine answers, else why not."""
        try:
            with self._control_lock:
                self._control.query("SELECT 1", "Null")
        except Refused as error:
            return error.message
        return ""

    def close(self) -> None:
        with self._control_lock:
            self._control.close()
        self._lock_file.close()


def own(data_dir: Path) -> TextIO:
    """The directory's lock, held until the file is closed or the process ends."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = (data_dir / "lock").open("a+")
    except OSError as error:
        raise CannotStart(
            f"the data directory {data_dir} is not writable ({error.strerror})"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.seek(0)
        owner = lock.read().strip() or "unknown"
        lock.close()
        raise CannotStart(f"the data directory {data_dir} is in use by process {owner}") from error
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock


def quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def refused(error: Exception) -> Refused:
    match = CODE.search(str(error))
    if match is None:
        return Refused(UNKNOWN_EXCEPTION, str(error))
    return Refused(int(match[1]), match[2])
