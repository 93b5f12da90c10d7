"""One list as a collector keeps it: what is in force, and how its source fares."""

import hashlib
import time
from typing import NamedTuple

from collector.lists.formats import Entries, entries_of
from collector.lists.last_good import LastGood
from collector.lists.source import Fetched, SourceFailed, Tag
from policy.errors import InvalidRule
from policy.lists import EntryList, HeldList, NamedList


class ListStatus(NamedTuple):
    """`available`: it can be asked. Times in seconds since 1970, ages in seconds.

    `fetched_at` is when the source last said that these are its entries, `age` the time since;
    both None for a list whose entries are its own, and for one that was never fetched.
    """

    version: int  # of the list's definition
    source: str  # "": its entries are its own
    available: bool
    entries: int
    fetched_at: float | None
    age: float | None
    stale: bool  # a source's entries that are older than the list's ttl, or not there
    error: str  # why the newest are not in force; "" when they are
    failing_since: float | None
    etag: str
    notes: tuple[str, ...]
    fetches: int  # since this process began
    failures: int  # of these
    unanswered: int  # times a rule asked it while it was not available


class Ready(NamedTuple):
    """Of a source, made in a thread: what it holds, compiled."""

    entries: EntryList
    digest: bytes


class KeptList:
    """`held` is what compiled rules read."""

    def __init__(self, named: NamedList, held: HeldList) -> None:
        self.named = named
        self.held = held
        self.tag = Tag()
        self.fetched_at: float | None = None
        self.error = ""
        self.failing_since: float | None = None
        self.fetches = 0
        self.failures = 0
        self.failed_in_a_row = 0
        self._digest = b""

    def define(self, named: NamedList) -> None:
        """Of another definition: the source is asked anew; its entries stay until it answers."""
        self.named = named
        self.tag, self._digest = Tag(), b""

    def own(self, entries: EntryList) -> None:
        """The list's own entries."""
        self.held.entries = entries
        self.fetched_at = self.failing_since = None
        self.error = ""

    def restore(self, good: LastGood) -> None:
        """From disk."""
        self.held.entries = good.entries
        self.fetched_at = good.fetched_at
        compared = good.entries.entry_type, good.entries.case_insensitive
        if (good.source, compared) == (self.named.source, self._compared):
            self.tag = good.tag

    @property
    def _compared(self) -> tuple[str, bool]:
        return self.named.entry_type, self.named.case_insensitive

    def prepare(self, fetched: Fetched) -> Ready | None:
        """For a thread. None when the source holds what it held. Raises SourceFailed."""
        digest = hashlib.sha256(f"{fetched.media_type}\n".encode() + fetched.body).digest()
        if digest == self._digest:
            return None
        return Ready(compiled(self.named, entries_of(fetched)), digest)

    def succeeded(self, fetched: Fetched | None, ready: Ready | None) -> None:
        """Both None: the source says that nothing changed."""
        self.fetches += 1
        self.fetched_at = time.time()
        self.error, self.failing_since, self.failed_in_a_row = "", None, 0
        if fetched:
            self.tag = fetched.tag
        if ready:
            self.held.entries, self._digest = ready

    def failed(self, error: SourceFailed) -> None:
        self.fetches += 1
        self.failures += 1
        self.failed_in_a_row += 1
        self.error = str(error)
        if self.failing_since is None:
            self.failing_since = time.time()

    def status(self) -> ListStatus:
        entries, named = self.held.entries, self.named
        age = None if self.fetched_at is None else max(0.0, time.time() - self.fetched_at)
        return ListStatus(
            version=named.version,
            source=named.source,
            available=entries is not None,
            entries=0 if entries is None else len(entries),
            fetched_at=self.fetched_at,
            age=age,
            stale=bool(named.source) and (age is None or age > named.ttl),
            error=self.error,
            failing_since=self.failing_since,
            etag=self.tag.etag,
            notes=() if entries is None else entries.notes,
            fetches=self.fetches,
            failures=self.failures,
            unanswered=self.held.unanswered,
        )


def compiled(named: NamedList, found: Entries) -> EntryList:
    """Raises SourceFailed, naming the line when the format has lines."""
    try:
        return named.compile(tuple(found.texts))
    except InvalidRule as error:
        where, _, number = error.place.removeprefix("/").partition("/")
        at = f"line {found.lines[int(number)]}" if number and found.lines else error.place
        raise SourceFailed(f"{at if number else where}: {error.reason}") from error
