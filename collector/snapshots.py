"""Keeps the engine's rules fresh: asks the rule database for its version, and loads what changed.

The last good rules are also on disk, so that a start while the database is down still answers.
Whatever goes wrong, the rules in force stay in force.
"""

import asyncio
import logging
import time
from pathlib import Path
from typing import NamedTuple

from prometheus_client import Counter, Gauge

from collector.beside import beside_the_loop, keep_for_long, let_go
from collector.last_good import LastGood, Unusable
from collector.lists import ListKeeper, Prepared
from policy.engine import Engine
from policy.errors import InvalidRule, PolicyError
from policy.snapshot import Snapshot
from policy.store import Changed, RuleStore, Stamp

log = logging.getLogger(__name__)

VERSION = Gauge("meshmeter_snapshot_version", "version of the rules this collector runs")
FAILURES = Counter("meshmeter_snapshot_failures", "times the rules could not be loaded")
MANY = 1000  # rules in one load that are not looked at for cycles
FILE = "last-good-rules.sqlite"


class Made(NamedTuple):
    """Rules and the lists that they ask, ready to be put in force."""

    stamp: Stamp
    snapshot: Snapshot
    lists: Prepared


class SnapshotKeeper:
    """Used on one event loop; loading and compiling happen in threads."""

    def __init__(
        self,
        engine: Engine,
        store: RuleStore,
        data_dir: Path,
        poll_s: float,
        lists: ListKeeper | None = None,
    ) -> None:
        """`lists` is closed with this; without, lists come from public addresses only."""
        self._engine = engine
        self._store = store
        self._disk = LastGood(data_dir / FILE)
        self._poll_s = poll_s
        self._lists = lists or ListKeeper(data_dir)
        self._lock = asyncio.Lock()
        self._polling: asyncio.Task[None] | None = None
        self._failing = ""
        self._taken_at = 0.0
        self._stamp: Stamp | None = None  # of what is in force

    @property
    def version(self) -> int:
        """Of the rules in force; -1 before any were loaded."""
        return self._engine.snapshot.version if self._engine.snapshot else -1

    @property
    def taken_at(self) -> float:
        """When these rules came into force here, seconds since 1970; 0 before any did."""
        return self._taken_at

    @property
    def failing(self) -> str:
        """Why the newest rules are not in force; "" when they are."""
        return self._failing

    def ready(self) -> str:
        """A readiness check."""
        return "" if self._engine.snapshot else f"no rules were loaded yet: {self._failing}"

    async def start(self) -> None:
        """From the database, else from disk; then looks for changes until closed."""
        await self.refresh()
        if not self._engine.snapshot:
            saved = await asyncio.to_thread(self._load_saved)
            if saved:
                await self._adopt(saved)
                log.warning("the rules are the last good ones from disk",
                            extra={"version": saved.snapshot.version})  # fmt: skip
        self._polling = asyncio.create_task(self._poll())

    async def close(self) -> None:
        if self._polling:
            self._polling.cancel()
            await asyncio.gather(self._polling, return_exceptions=True)
        await self._lists.close()

    async def refresh(self) -> None:
        """Loads the rules now if they changed. Never raises: see `failing`."""
        async with self._lock:
            try:
                loaded = await asyncio.to_thread(self._load_changed)
            except (PolicyError, OSError) as error:
                FAILURES.inc()
                if str(error) != self._failing:
                    log.warning("the rules cannot be loaded", extra={"why": str(error)})
                self._failing = str(error)
                return
            self._failing = ""
            if loaded:
                await self._adopt(loaded)

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self._poll_s)
            await self.refresh()

    async def _adopt(self, made: Made) -> None:
        """No rule is in force without the lists that it asks."""
        await self._lists.adopt(made.lists)
        self._engine.swap(made.snapshot)
        self._taken_at = time.time()
        self._stamp = made.stamp
        await self._lists.drop_others(made.lists)
        VERSION.set(made.snapshot.version)
        rules = len(made.snapshot.rules)
        log.info("rules are in force", extra={"version": made.snapshot.version, "rules": rules})

    def _load_changed(self) -> Made | None:
        """Raises RulesDown, InvalidRule."""
        if self._stamp is not None and self._store.stamp() == self._stamp:
            return None
        with beside_the_loop():
            changed = self._store.changed(self._stamp, self._lists.known)
            if changed is None:
                return None
            made = self._made(changed)
            self._keep(changed)
            let_go(changed.documents)
            return made

    def _load_saved(self) -> Made | None:
        with beside_the_loop():
            try:
                saved = self._disk.read()
                return self._made(saved) if saved else None
            except (Unusable, InvalidRule) as error:
                log.warning("the last good rules on disk cannot be used", extra={"why": str(error)})
                return None

    def _made(self, changed: Changed) -> Made:
        """Raises InvalidRule."""
        prepared = self._lists.prepare(changed.lists)
        snapshot = changed.snapshot(self._engine.snapshot, self._lists.lists)
        if len(changed.documents) >= MANY:
            keep_for_long()
        return Made(changed.stamp, snapshot, prepared)

    def _keep(self, changed: Changed) -> None:
        """The rules are good also when the disk is not; then it gets all of them at the next
        change that it takes."""
        try:
            if not self._disk.keep(changed) and (everything := self._store.changed(None)):
                self._disk.keep(everything)
        except (Unusable, PolicyError) as error:
            log.warning("the last good rules cannot be kept on disk", extra={"why": str(error)})
