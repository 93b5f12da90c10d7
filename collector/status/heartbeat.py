"""This collector lives: it says so every second to the counters' server, with what it runs."""

import asyncio
import json
import logging
import os
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import NamedTuple, Protocol

from prometheus_client import Gauge

from collector.errors import StoreDown, StoreError
from observe import VERSION
from policy.errors import CountersDown
from policy.quota.members import Members

log = logging.getLogger(__name__)

BEAT_S = 1.0
LOOK_S = 5.0  # how often to ask the store whether it answers

LIVE = Gauge("meshmeter_collectors_live", "collectors there are, when it was last heard")
Check = Callable[[], str]  # "" when all is well, else why not


@dataclass(frozen=True, slots=True)
class Row:
    """What one collector says of itself. Times are seconds since 1970, by its own clock; texts that
    are empty say that all is well."""

    id: str
    host: str
    pid: int
    url: str
    version: str
    started_at: float
    said_at: float
    snapshot_version: int
    taken_at: float
    failing: str
    not_ready: Mapping[str, str]
    counters: str
    store: str


class Named(NamedTuple):
    """Which collector this is: the id is its outbox's, and stays over a restart."""

    id: str
    url: str


class Running(Protocol):
    """The rules in force: `collector.snapshots.SnapshotKeeper`."""

    @property
    def version(self) -> int: ...
    @property
    def taken_at(self) -> float: ...
    @property
    def failing(self) -> str: ...


class Heartbeat:
    """Used on one event loop. `ping` raises StoreDown or StoreError, and runs in a thread."""

    def __init__(
        self,
        members: Members,
        named: Named,
        rules: Running,
        ready: Mapping[str, Check],
        ping: Callable[[], None],
    ) -> None:
        self._members = members
        self._named = named
        self._rules = rules
        self._ready = ready
        self._ping = ping
        self._started_at = time.time()
        self._counters = self._store = "not asked yet"
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Others know of this one when it returns, unless the counters do not answer."""
        await self._beat()
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._beats()), loop.create_task(self._looks())]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            await self._members.leave(self._named.id)
        except CountersDown as error:
            log.debug("the others will miss this collector", extra={"why": str(error)})

    def row(self) -> Row:
        """Of this moment."""
        states = {name: check() for name, check in self._ready.items()}
        return Row(
            id=self._named.id,
            host=socket.gethostname(),
            pid=os.getpid(),
            url=self._named.url,
            version=VERSION,
            started_at=self._started_at,
            said_at=time.time(),
            snapshot_version=self._rules.version,
            taken_at=self._rules.taken_at,
            failing=self._rules.failing,
            not_ready={name: state for name, state in states.items() if state},
            counters=self._counters,
            store=self._store,
        )

    async def _beats(self) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            await self._beat()

    async def _beat(self) -> None:
        try:
            await self._members.beat(self._named.id, json.dumps(asdict(self.row())))
        except CountersDown as error:
            self._counters = str(error)
        else:
            self._counters = ""
            LIVE.set(self._members.live)

    async def _looks(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self._ping)
                self._store = ""
            except (StoreDown, StoreError) as error:
                self._store = str(error)
            await asyncio.sleep(LOOK_S)


def row_of(said: str) -> Row | None:
    """None for what another version says otherwise."""
    try:
        return Row(**json.loads(said))
    except (ValueError, TypeError):
        return None
