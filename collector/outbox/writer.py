"""The one thread that writes: many jobs, one transaction, one fsync.

While a commit waits for the disk the next jobs gather. So nobody waits for company, and under
load a commit carries up to `BATCH` of them; lingering 2 ms for more cost throughput and won no CPU.
"""

import asyncio
import concurrent.futures
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from collector.outbox.refusals import Broken, Closed, Full, Refusal

log = logging.getLogger(__name__)

BATCH = 64

T = TypeVar("T")
Future = asyncio.Future[Any] | concurrent.futures.Future[Any]


@dataclass(slots=True, eq=False)
class Job:
    run: Callable[[sqlite3.Connection], Any]
    future: Future
    loop: asyncio.AbstractEventLoop | None = None
    result: Any = None
    error: BaseException | None = None


class Writer:
    """Owns the connection from `start` to `stop`."""

    def __init__(
        self, connection: sqlite3.Connection, make_room: Callable[[sqlite3.Connection], None]
    ) -> None:
        """`make_room` is run in a transaction of its own when the file or the disk is full."""
        self._connection = connection
        self._make_room = make_room
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="outbox", daemon=True)
        self._stopped = False
        self._putting = threading.Lock()  # nothing is put after the end
        self.failure = ""  # why nothing is written any more

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Whatever was submitted before is committed."""
        with self._putting:
            self._stopped = True
            self._jobs.put(None)
        self._thread.join()

    def submit(self, run: Callable[[sqlite3.Connection], T]) -> concurrent.futures.Future[T]:
        """From any thread but the loop's."""
        future: concurrent.futures.Future[T] = concurrent.futures.Future()
        self._put(Job(run, future))
        return future

    def submit_from_loop(self, run: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._put(Job(run, future, loop))
        return future

    def _put(self, job: Job) -> None:
        with self._putting:
            if self._stopped:
                raise Closed("the outbox is closed")
            self._jobs.put(job)

    def _work(self) -> None:
        while batch := self._next_batch():
            self._commit(batch)
            settle(batch)

    def _next_batch(self) -> list[Job]:
        """Empty at the end."""
        first = self._jobs.get()
        if first is None:
            return []
        batch = [first]
        while len(batch) < BATCH:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                break
            if job is None:
                self._jobs.put(None)
                break
            batch.append(job)
        return batch

    def _commit(self, batch: Sequence[Job]) -> None:
        """One for all; if that fails, each for itself, so that only the faulty ones fail."""
        error = self._transaction(batch)
        if error is None:
            return
        if isinstance(error, Full):
            self._transaction([Job(self._make_room, concurrent.futures.Future())])
        for job in batch:
            job.error = self._transaction([job])

    def _transaction(self, batch: Sequence[Job]) -> BaseException | None:
        if self.failure:
            return Broken(self.failure)
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for job in batch:
                job.result = job.run(self._connection)
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            return self._judge(error)
        except Exception as error:  # noqa: BLE001 (raised again where the job was submitted)
            self._roll_back()
            return error
        return None

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _judge(self, error: sqlite3.Error) -> Refusal:
        """A full file passes. Anything else ends all writing: after a failed fsync a second one
        may succeed without the data being on disk (https://wiki.postgresql.org/wiki/Fsync_Errors).
        """
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            return Full("the outbox is full")
        self.failure = f"the outbox cannot be written: {error}"
        log.critical("The outbox cannot be written; reports are refused", exc_info=error)
        return Broken(self.failure)


def settle(batch: Sequence[Job]) -> None:
    """One call into a loop for all that it waits for."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Job]] = {}
    for job in batch:
        if job.loop is None:
            resolve([job])
        else:
            by_loop.setdefault(job.loop, []).append(job)
    for loop, jobs in by_loop.items():
        try:
            loop.call_soon_threadsafe(resolve, jobs)
        except RuntimeError:
            log.debug("Nobody waits any more for what was committed")  # the loop is closed


def resolve(jobs: Sequence[Job]) -> None:
    for job in jobs:
        if job.future.done():
            continue
        if job.error is None:
            job.future.set_result(job.result)
        else:
            job.future.set_exception(job.error)
