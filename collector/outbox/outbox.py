"""The outbox: append, freeze, read, mark done, tell.

Everything that writes goes through one thread and is on disk when the call returns. A segment log
could stand in its place: see docs/adr/0003-outbox-over-http.md.
"""

import contextlib
import logging
import shutil
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from collector.errors import InvalidSetting
from collector.model import Account, Names, Report, Signal, Taken
from collector.outbox import books, quarantine, statements
from collector.outbox.ballast import Ballast
from collector.outbox.file import PAGE_BYTES, WAL_PAGES, Found, OutboxFile, lock_left_behind
from collector.outbox.fill import HARD, KEPT, SOFT, Trend
from collector.outbox.names import NameBudget, NameLimits, TurnedAway
from collector.outbox.refusals import Full, Pressed, Slow
from collector.outbox.steps import Steps
from collector.outbox.values import (
    BookEntry,
    DeadGroup,
    Group,
    OutboxStats,
    Quarantined,
    Terms,
)
from collector.outbox.writer import Writer

log = logging.getLogger(__name__)

BALLAST_BYTES = 2 * WAL_PAGES * PAGE_BYTES
REMEMBER_S = 3600  # a retry within it is acknowledged and not stored again
MIB = 1024 * 1024
ROW_BYTES = 256  # of a report beside its body, about
KEEP_DONE_S = 900  # far above any lease
PURGE_GROUPS = 16  # in one transaction: nobody should wait long for it
FORGET_DIGESTS = 10_000
WAITING_BYTES = 64 * MIB  # submitted and not yet committed
CALL_TIMEOUT_S = 30.0
DEFAULT_NAMES = NameLimits()

T = TypeVar("T")


class Outbox:
    """Held by one process. Thread-safe; `append` belongs to the event loop."""

    def __init__(
        self,
        directory: Path,
        max_bytes: int,
        *,
        ballast_bytes: int = BALLAST_BYTES,
        clock: Callable[[], float] = time.time,
        elapsed: Callable[[], float] = time.monotonic,
        found: Found | None = None,
        names: NameLimits = DEFAULT_NAMES,
    ) -> None:
        """Raises InvalidSetting when no file can be kept in `directory`.

        `found`: its file; else it is the first that nobody holds.
        """
        self._clock = clock
        self._steps = Steps(clock, elapsed)
        self._directory = directory
        self._max_bytes = max_bytes
        self._ballast_bytes = ballast_bytes
        self._reserve_pages = ballast_bytes // PAGE_BYTES
        self._look_bytes = min(MIB, max_bytes // 256)  # to look costs as much as to add
        self._waiting_bytes = 0
        self._broken: list[tuple[Writer, OutboxFile]] = []
        self._names = NameBudget(names)
        self._open(found)
        self._call(lambda writing: self._names.load(writing, clock()))

    @classmethod
    def left_behind(
        cls, directory: Path, max_bytes: int, names: NameLimits = DEFAULT_NAMES
    ) -> "Outbox | None":
        """One that nobody holds and in which something waits. Raises InvalidSetting."""
        found = lock_left_behind(directory)
        return cls(directory, max_bytes, found=found, names=names) if found else None

    def _open(self, found: Found | None) -> None:
        since_s = int(self._clock()) - REMEMBER_S
        file = OutboxFile(self._directory, self._max_bytes, since_s, found)
        try:
            self._ballast = Ballast(file.ballast_path, self._ballast_bytes)
        except OSError as error:
            file.close()
            raise InvalidSetting(f"cannot keep an outbox in {self._directory}: {error}") from error
        self._file = file
        self.collector_id = file.collector_id
        self._trend = Trend()
        self._level = 0.0  # as it was when it was last looked at
        self._unlooked_bytes = 0  # added since
        self._writer = Writer(file.connection, self._make_room)
        self._writer.start()
        self._call(self._look)

    def renew(self) -> bool:
        """When its file cannot be written any more, goes on with a fresh one: whether it did.

        What waits in the broken file stays there, and is delivered after a restart: nothing is
        written to it, since a second fsync may succeed without the data being on disk. Raises
        InvalidSetting when no other file can be kept either.
        """
        if not self._writer.failure:
            return False
        writer, file = self._writer, self._file
        known = file.connection.execute("SELECT digest FROM volatile.recent").fetchall()
        self._open(None)
        self._broken.append((writer, file))
        self._call(lambda writing: statements.remember(writing, known))
        log.critical(
            "The outbox goes on in a fresh file; the other one waits for a restart",
            extra={"broken": str(file.path), "fresh": str(self._file.path)},
        )
        return True

    async def append(self, reports: Sequence[Report]) -> int:
        """On disk, all or none, when it returns: how many were new. Raises Overloaded.

        From SOFT on only those with `headroom` are taken, and none from HARD on.
        """
        limit = HARD if all(report.headroom for report in reports) else SOFT
        if self._level >= limit:
            raise Pressed(f"the outbox is {self._level:.0%} full")
        size = sum(len(report.body) for report in reports)
        if self._waiting_bytes + size > WAITING_BYTES and self._waiting_bytes:
            raise Slow("the outbox's disk is too slow for what arrives")
        self._waiting_bytes += size
        try:
            return await self._writer.submit_from_loop(lambda writing: self._add(writing, reports))
        finally:
            self._waiting_bytes -= size

    def freeze_group(self, max_bytes: int) -> int:
        """The id of a new group of the oldest reports in none, 0 if there are none."""
        return self._call(lambda writing: statements.freeze(writing, max_bytes))

    def hand_out(
        self, terms: Terms, *, limit: int, ripe: bool
    ) -> tuple[list[Group], list[Quarantined]]:
        """Groups to send now, leased, at most `limit` of them; and what was quarantined instead.

        `ripe`: freeze what waits even if it does not fill a group.
        """
        return self._call(
            lambda writing: statements.hand_out(writing, self._clock(), terms, limit, ripe=ripe)
        )

    def begin_attempt(self, group: int) -> Taken | None:
        """Counts the attempt, then reads the group; None when it is not pending (any more)."""
        begun = self._call(lambda writing: statements.begin_attempt(writing, group))
        return Taken(self.read_group(group), begun[0], begun[1] > 0) if begun else None

    def read_group(self, group: int) -> list[Report]:
        """Always the same reports in the same order; empty when the group is purged."""
        with contextlib.closing(self._file.reader()) as reading:
            rows = reading.execute(
                "SELECT signal, body, received_ns, identity, items FROM requests, groups"
                " WHERE groups.id = ? AND requests.id BETWEEN first_request AND last_request"
                " ORDER BY requests.id",
                (group,),
            )
            return [Report(Signal(signal), *rest) for signal, *rest in rows]

    def over(self, group: int, names: Names) -> Names:
        """Of the names in a group, those to be stored under another; the same whenever asked."""
        now_s = self._clock()
        return self._call(lambda writing: self._names.over(writing, group, names, now_s))

    def turned_away(self) -> list[TurnedAway]:
        """What found no place in the budget of names."""
        return self._call(lambda _writing: self._names.told())

    def mark_done(self, group: int, accounts: Sequence[Account] = ()) -> bool:
        """True the first time: then what became of its items is in the books."""

        def finish(writing: sqlite3.Connection) -> bool:
            first = statements.finish(writing, group, self._clock(), accounts)
            self._relieve(writing)
            return first

        return self._call(finish)

    def mark_failed(self, group: int, reason: str) -> None:
        """The group's own fault: tried again when its lease ends, quarantined in the end."""
        self._call(lambda writing: statements.end_attempt(writing, group, reason))

    def put_back(self, group: int, retry_in_s: float, *, taken: bool) -> None:
        """Not its fault. `taken`: an attempt had begun, which then does not count."""
        at_s = self._clock() + retry_in_s
        self._call(lambda writing: statements.put_back(writing, group, at_s, taken=taken))

    def purge(self) -> None:
        """Drop what was done a while ago, and digests too old to matter. Call now and then."""
        now_s = self._clock()
        done_before_s = now_s if self._level >= KEPT else now_s - KEEP_DONE_S
        while (
            self._call(lambda writing: statements.purge(writing, done_before_s, PURGE_GROUPS))
            == PURGE_GROUPS
        ):
            pass
        self._call(self._look)
        # By a clock that was set forward what is new is old, and a retry of it would be stored.
        if self._steps.since_s() > REMEMBER_S:
            self._call(
                lambda writing: statements.forget(writing, int(now_s) - REMEMBER_S, FORGET_DIGESTS)
            )
        self._call(lambda _writing: self._ballast.restore())

    def stats(self) -> OutboxStats:
        return self._call(self._stats)

    def books(self) -> list[BookEntry]:
        """What became of all items since the file was made, by signal and client."""
        pending, quarantined = statements.PENDING, statements.QUARANTINED
        return self._call(lambda writing: books.entries(writing, pending, quarantined))

    def dead_groups(self, after: int, limit: int) -> list[DeadGroup]:
        """Those in quarantine whose numbers are above `after`."""
        return self._call(lambda writing: quarantine.dead_groups(writing, after, limit))

    def replay(self, group: int) -> bool:
        """Out of quarantine, to be sent again; false when it is not in there."""
        return self._call(lambda writing: quarantine.replay(writing, group))

    def discard(self, group: int) -> bool:
        """Deletes a group in quarantine; false when it is not in there."""

        def discard(writing: sqlite3.Connection) -> bool:
            found = quarantine.discard(writing, group)
            self._look(writing)
            return found

        return self._call(discard)

    def trouble(self) -> str:
        """Why nothing is accepted, "" when all is well: a readiness check."""
        return self._writer.failure

    @property
    def broken_files(self) -> int:
        """Files that are not written any more and wait for a restart."""
        return len(self._broken)

    def close(self) -> None:
        """Commits what was submitted. A closed outbox refuses."""
        for writer, file in [*self._broken, (self._writer, self._file)]:
            writer.stop()
            file.close()

    def _call(self, run: Callable[[sqlite3.Connection], T]) -> T:
        return self._writer.submit(run).result(CALL_TIMEOUT_S)

    def _add(self, writing: sqlite3.Connection, reports: Sequence[Report]) -> int:
        if not self._ballast.held and free_pages(writing) < self._reserve_pages:
            raise Full("the outbox's disk is full")
        keyed = [(report, statements.digest(report)) for report in reports]
        added = statements.add(writing, keyed)
        self._unlooked_bytes += sum(len(report.body) + ROW_BYTES for report in reports)
        if self._unlooked_bytes >= self._look_bytes:
            self._relieve(writing)
        return added

    def _look(self, writing: sqlite3.Connection) -> None:
        self._unlooked_bytes = 0
        used, most = statements.used_pages(writing)
        self._level = used / most

    def _relieve(self, writing: sqlite3.Connection) -> None:
        """What is done is kept only while there is plenty of room."""
        self._look(writing)
        if self._level >= KEPT:
            statements.purge(writing, self._clock(), PURGE_GROUPS)
            self._look(writing)

    def _stats(self, writing: sqlite3.Connection) -> OutboxStats:
        now_s = self._clock()
        found = statements.stats(writing, now_s)
        self._trend.note(now_s, found.held_bytes)
        room_bytes = int(HARD * found.max_bytes) - found.held_bytes
        return replace(found, time_to_full_s=self._trend.time_to_full_s(room_bytes))

    def _make_room(self, writing: sqlite3.Connection) -> None:
        """Done groups are kept only as long as there is room; then the ballast goes."""
        if shutil.disk_usage(self._file.path.parent).free < WAL_PAGES * PAGE_BYTES:
            self._ballast.drop()
        statements.purge(writing, self._clock(), PURGE_GROUPS)
        self._look(writing)


def free_pages(connection: sqlite3.Connection) -> int:
    count: int = connection.execute("PRAGMA main.freelist_count").fetchone()[0]
    return count
