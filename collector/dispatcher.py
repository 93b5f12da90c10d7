"""From the outbox to the broker: one thread that freezes groups and hands out their ids.

At most `WINDOW` groups are out: an unbounded dispatcher sends again what merely waits in the queue,
until nothing else is done. While the broker is away for longer than `BROKER_GRACE_S`, this thread
stores the groups itself, with the function and the tokens of the workers.
"""

import logging
import math
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from prometheus_client import Gauge

from collector.errors import CollectorError
from collector.groups import GROUPS, OutboxGroups
from collector.ingest import ingest
from collector.outbox import Group, Outbox, Terms
from collector.settings import Settings
from collector.store.client import Store
from collector.tasks import BrokerDown, celery_app, send_ingest

log = logging.getLogger(__name__)

BROKER_UP = Gauge("meshmeter_broker_up", "1 while the broker takes messages")

WINDOW = 16
GROUP_BYTES = 4 * 1024 * 1024
MAX_ATTEMPTS = 8
LEASE_S, LEASE_GROWTH, LEASE_MAX_S = 4.0, 1.5, 60.0


def lease_s(sends: int) -> float:
    """Grows with each time the group was sent; jitter keeps groups from coming back at once."""
    longest = min(LEASE_MAX_S, LEASE_S * LEASE_GROWTH ** min(sends, 16))
    return longest * random.uniform(0.8, 1.2)  # noqa: S311 (jitter)


TERMS = Terms(WINDOW, GROUP_BYTES, MAX_ATTEMPTS, lease_s)


@dataclass(frozen=True)
class Pace:
    """Seconds."""

    tick_s: float = 0.05
    ripe_s: float = 1.0  # at most so often is a group frozen that is not full
    probe_s: float = 1.0  # between two tries of a broker that is away
    broker_grace_s: float = 5.0  # after which groups are stored here
    drain_probe_s: float = 5.0  # between two tries then: a hung broker takes seconds of each
    purge_s: float = 5.0
    renew_s: float = 5.0  # between two tries to go on with a fresh file


class Dispatcher:
    """`send` raises BrokerDown; `store_here` is true when the group is stored."""

    def __init__(
        self,
        outbox: Outbox,
        send: Callable[[int], None],
        store_here: Callable[[int], bool],
        *,
        pace: Pace = Pace(),
        terms: Terms = TERMS,
    ) -> None:
        self._outbox = outbox
        self._send_id = send
        self._store_here = store_here
        self._pace = pace
        self._terms = terms
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="dispatcher", daemon=True)
        self._down_since_s: float | None = None
        self._last_try_s = 0.0
        self._last_freeze_s = 0.0
        self._last_purge_s = 0.0
        self._last_renewal_s = -math.inf

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """After the group at hand. What is out stays leased, and is sent again after a restart."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                busy = self._tick()
            except CollectorError as error:
                busy = False
                log.error("Groups cannot be dispatched", extra={"error": str(error)})  # noqa: TRY400
            except Exception:
                busy = False
                log.exception("The dispatcher failed; it goes on")
            if not busy:
                self._stopping.wait(self._pace.tick_s)

    def _tick(self) -> bool:
        """True when there may be more to do at once."""
        now_s = time.monotonic()
        if self._outbox.trouble() and now_s - self._last_renewal_s >= self._pace.renew_s:
            self._last_renewal_s = now_s
            self._outbox.renew()
        if now_s - self._last_purge_s >= self._pace.purge_s:
            self._last_purge_s = now_s
            self._outbox.purge()
        if self._down_since_s is None:
            self._send_all(self._hand_out(self._terms.window))
            return False
        draining = self._draining(now_s)
        probe_s = self._pace.drain_probe_s if draining else self._pace.probe_s
        if now_s - self._last_try_s >= probe_s:
            return self._probe(now_s)
        return draining and self._store(self._hand_out(1))

    def _draining(self, now_s: float) -> bool:
        down_since_s = self._down_since_s
        return down_since_s is not None and now_s - down_since_s >= self._pace.broker_grace_s

    def _hand_out(self, limit: int) -> list[Group]:
        now_s = time.monotonic()
        ripe = now_s - self._last_freeze_s >= self._pace.ripe_s
        groups, quarantined = self._outbox.hand_out(self._terms, limit=limit, ripe=ripe)
        if any(group.sends == 1 for group in groups):
            self._last_freeze_s = now_s
        for group, reason in quarantined:
            GROUPS.labels("quarantined").inc()
            log.error("A group is given up and kept", extra={"group": group, "reason": reason})
        return groups

    def _send_all(self, groups: Sequence[Group]) -> None:
        for index, group in enumerate(groups):
            if not self._send(group):
                for unsent in groups[index:]:
                    self._outbox.put_back(unsent.id, 0, taken=False)
                return

    def _probe(self, now_s: float) -> bool:
        """Try the broker with a real group; failing that, store it here if that time has come."""
        groups = self._hand_out(1)
        if not groups:
            return False
        self._last_try_s = now_s
        if self._send(groups[0]):
            return True
        if self._draining(now_s):
            return self._store(groups)
        self._outbox.put_back(groups[0].id, 0, taken=False)
        return False

    def _send(self, group: Group) -> bool:
        try:
            self._send_id(group.id)
        except BrokerDown as error:
            self._last_try_s = time.monotonic()
            if self._down_since_s is None:
                self._down_since_s = self._last_try_s
                BROKER_UP.set(0)
                log.warning("The broker takes no messages", extra={"error": str(error)})
            return False
        if self._down_since_s is not None:
            log.info("The broker takes messages again")
        self._down_since_s = None
        BROKER_UP.set(1)
        GROUPS.labels("sent").inc()
        return True

    def _store(self, groups: Sequence[Group]) -> bool:
        stored = [self._store_here(group.id) for group in groups]
        GROUPS.labels("drained").inc(sum(stored))
        return bool(stored) and all(stored)


def dispatcher(settings: Settings, outbox: Outbox, store: Callable[[], Store]) -> Dispatcher:
    """The one of a collector. `store` is called when the first group is stored here."""
    app = celery_app(settings.broker_url)
    groups = OutboxGroups(outbox)
    opened: list[Store] = []

    def store_here(group: int) -> bool:
        if not opened:
            opened.append(store())
        return ingest(groups, opened[0], outbox.collector_id, group)

    def send(group: int) -> None:
        send_ingest(
            app, settings.internal_token, settings.collector_url, outbox.collector_id, group
        )

    return Dispatcher(outbox, send, store_here)
