"""Keeps the engine's rules fresh: asks the rule database for its version, and loads what changed.

The last good rules are also on disk, so that a start while the database is down still answers.
Whatever goes wrong, the rules in force stay in force.
"""

import asyncio
import json
import logging
import os
import tempfile
from pathlib import Path

from prometheus_client import Counter, Gauge

from policy.engine import Engine
from policy.errors import InvalidRule, PolicyError
from policy.rules import AnyRule, rule_from_json, rule_to_json
from policy.snapshot import Snapshot, compile_snapshot
from policy.store import RuleStore

log = logging.getLogger(__name__)

VERSION = Gauge("meshmeter_snapshot_version", "version of the rules this collector runs")
FAILURES = Counter("meshmeter_snapshot_failures", "times the rules could not be loaded")
FILE = "last-good-rules.json"


class SnapshotKeeper:
    """Used on one event loop; loading and compiling happen in threads."""

    def __init__(self, engine: Engine, store: RuleStore, data_dir: Path, poll_s: float) -> None:
        self._engine = engine
        self._store = store
        self._file = data_dir / FILE
        self._poll_s = poll_s
        self._lock = asyncio.Lock()
        self._polling: asyncio.Task[None] | None = None
        self._failing = ""

    @property
    def version(self) -> int:
        """Of the rules in force; -1 before any were loaded."""
        return self._engine.snapshot.version if self._engine.snapshot else -1

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
            saved = await asyncio.to_thread(read_last_good, self._file)
            if saved:
                self._swap(saved)
                log.warning("the rules are the last good ones from disk",
                            extra={"version": saved.version})  # fmt: skip
        self._polling = asyncio.create_task(self._poll())

    async def close(self) -> None:
        if self._polling:
            self._polling.cancel()
            await asyncio.gather(self._polling, return_exceptions=True)

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
                self._swap(loaded)

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self._poll_s)
            await self.refresh()

    def _swap(self, snapshot: Snapshot) -> None:
        self._engine.swap(snapshot)
        VERSION.set(snapshot.version)
        log.info("rules are in force",
                 extra={"version": snapshot.version, "rules": len(snapshot.rules)})  # fmt: skip

    def _load_changed(self) -> Snapshot | None:
        """Raises RulesDown, InvalidRule."""
        present = self._engine.snapshot
        if present and self._store.version() == present.version:
            return None
        version, rules, _ = self._store.load()
        snapshot = compile_snapshot(rules, version, present)
        try:
            write_last_good(self._file, version, rules)
        except OSError as error:  # the rules are good all the same
            log.warning("the last good rules cannot be kept on disk", extra={"why": str(error)})
        return snapshot


def write_last_good(file: Path, version: int, rules: list[AnyRule]) -> None:
    """Whole or not at all, also when several processes share the directory. Raises OSError."""
    document = {"version": version, "rules": [rule_to_json(rule) for rule in rules]}
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(handle, "w") as out:
            json.dump(document, out)
            out.flush()
            os.fsync(out.fileno())
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    directory = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def read_last_good(file: Path) -> Snapshot | None:
    """None when there is no such file or it cannot be used, which is logged."""
    try:
        document = json.loads(file.read_text())
        rules = [rule_from_json(rule) for rule in document["rules"]]
        return compile_snapshot(rules, document["version"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, InvalidRule) as error:
        log.warning("the last good rules on disk cannot be used", extra={"why": str(error)})
        return None
