"""Keeps the engine's rules fresh: asks the rule database for its version, and loads what changed.

The last good rules are also on disk, so that a start while the database is down still answers.
Whatever goes wrong, the rules in force stay in force.
"""

import asyncio
import json
import logging
import time
from pathlib import Path
from typing import NamedTuple

from prometheus_client import Counter, Gauge

from collector.files import write_whole
from collector.lists import ListKeeper, Prepared
from policy.engine import Engine
from policy.errors import InvalidRule, PolicyError
from policy.lists import list_from_json, list_to_json
from policy.rules import rule_from_json, rule_to_json
from policy.snapshot import Snapshot, compile_snapshot
from policy.store import RuleSet, RuleStore

log = logging.getLogger(__name__)

VERSION = Gauge("meshmeter_snapshot_version", "version of the rules this collector runs")
FAILURES = Counter("meshmeter_snapshot_failures", "times the rules could not be loaded")
FILE = "last-good-rules.json"


class Made(NamedTuple):
    """Rules and the lists that they ask, ready to be put in force."""

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
        self._file = data_dir / FILE
        self._poll_s = poll_s
        self._lists = lists or ListKeeper(data_dir)
        self._lock = asyncio.Lock()
        self._polling: asyncio.Task[None] | None = None
        self._failing = ""
        self._taken_at = 0.0

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
        await self._lists.drop_others(made.lists)
        VERSION.set(made.snapshot.version)
        rules = len(made.snapshot.rules)
        log.info("rules are in force", extra={"version": made.snapshot.version, "rules": rules})

    def _load_changed(self) -> Made | None:
        """Raises RulesDown, InvalidRule."""
        present = self._engine.snapshot
        if present and self._store.version() == present.version:
            return None
        loaded = self._store.load(self._lists.known)
        made = self._made(loaded)
        try:
            write_last_good(self._file, loaded)
        except OSError as error:  # the rules are good all the same
            log.warning("the last good rules cannot be kept on disk", extra={"why": str(error)})
        return made

    def _load_saved(self) -> Made | None:
        saved = read_last_good(self._file)
        try:
            return self._made(saved) if saved else None
        except InvalidRule as error:
            log.warning("the last good rules on disk cannot be used", extra={"why": str(error)})
            return None

    def _made(self, loaded: RuleSet) -> Made:
        """Raises InvalidRule."""
        prepared = self._lists.prepare(loaded.lists)
        snapshot = compile_snapshot(
            loaded.rules, loaded.version, self._engine.snapshot, self._lists.lists
        )
        return Made(snapshot, prepared)


def write_last_good(file: Path, loaded: RuleSet) -> None:
    """Raises OSError."""
    document = {
        "version": loaded.version,
        "rules": [rule_to_json(rule) for rule in loaded.rules],
        "lists": [list_to_json(named) for named in loaded.lists],
    }
    write_whole(file, json.dumps(document))


def read_last_good(file: Path) -> RuleSet | None:
    """None when there is no such file or it cannot be used, which is logged."""
    try:
        document = json.loads(file.read_text())
        return RuleSet(
            document["version"],
            [rule_from_json(rule) for rule in document["rules"]],
            [list_from_json(named) for named in document.get("lists", ())],
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, InvalidRule) as error:
        log.warning("the last good rules on disk cannot be used", extra={"why": str(error)})
        return None
