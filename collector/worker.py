"""The worker put together: Celery's consumer, the store, and the HTTP client to collectors.

Two threads in one process, not prefork: the work is waiting for ClickHouse and its own time limits
are in the HTTP client and in the store's connection; /metrics of one process is then complete.
"""

import gc
import hmac
import logging
import math
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import httpx
from celery import Celery, signals
from celery.platforms import SecurityWarning
from prometheus_client import Counter, Gauge

from collector.beat import health_server, run_beat
from collector.errors import CollectorError, Unready
from collector.group_client import HttpGroups
from collector.ingest import ingest
from collector.settings import Settings
from collector.store.client import Store
from collector.store.settle import settle
from collector.store.shards import on_each_shard
from collector.tasks import (
    HEARTBEAT,
    INGEST,
    SETTLE,
    BrokerDown,
    celery_app,
    declare_dead_queue,
    messages_waiting,
    refuse_evicting_broker,
    signature,
)
from observe import Check

__all__ = ["run_beat", "run_worker"]

log = logging.getLogger(__name__)

HEARTBEATS = Counter("meshmeter_heartbeats", "heartbeats taken from the broker")
SETTLED = Counter("meshmeter_settled_minutes", "minutes whose edges were made of their spans")
UNSETTLED = Gauge("meshmeter_unsettled_minutes", "minutes left open when the last were settled")

CONCURRENCY = 2
YOUNG_OBJECTS = 100_000  # that are made before Python looks for cycles among them
SILENT_S = 10.0  # two heartbeats
LOOK_S = 1.0
STILL_S = 5.0  # between two looks: the process was suspended, and with it its consumer
STOPPED = 75  # EX_TEMPFAIL: start me again


class Pulse:
    """When a message was last taken or in hand. A consumer may stop without an error
    (celery#10302)."""

    def __init__(self, waiting: Callable[[], int], clock: Callable[[], float] = time.monotonic):
        self._waiting = waiting
        self._clock = clock
        self._last_s = clock()
        self._away_s = -math.inf  # when the broker, or this process, was last seen to be away
        self._in_hand = 0
        self._lock = threading.Lock()

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Around the work for one message."""
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def trouble(self) -> str:
        """Heartbeats go round among workers: silence is trouble only while messages wait."""
        try:
            return self.stopped()
        except BrokerDown as error:
            return f"no message for {self._silent_s():.0f} s; the broker does not answer: {error}"

    def stopped(self) -> str:
        """Why it must be taken that nothing more will be consumed, "" when it need not. Raises
        BrokerDown when that cannot be told."""
        silent_s = self._silent_s()
        if self._in_hand or silent_s <= SILENT_S:
            return ""
        try:
            waiting = self._waiting()
        except BrokerDown:
            self._away_s = self._clock()
            raise
        # A consumer that has just come back, or whose broker has, has yet to connect again.
        if not waiting or self._clock() - self._away_s <= SILENT_S:
            return ""
        return f"no message for {silent_s:.0f} s while {waiting} messages wait"

    def suspended(self) -> None:
        """The process stood still until now."""
        self._away_s = self._clock()

    def _silent_s(self) -> float:
        return self._clock() - self._last_s

    def _count(self, more: int) -> None:
        with self._lock:
            self._in_hand += more
            self._last_s = self._clock()


def end_when_stopped(
    pulse: Pulse, ended: threading.Event, clock: Callable[[], float] = time.monotonic
) -> None:
    """Looks until `ended`. A consumer that has stopped is past a clean end, and nothing is in its
    hands: the process ends at once, and whoever supervises it starts it again."""
    looked_s = clock()
    while not ended.wait(LOOK_S):
        now_s = clock()
        if now_s - looked_s > STILL_S:
            pulse.suspended()
        looked_s = now_s
        with suppress(BrokerDown):
            if why := pulse.stopped():
                log.critical("The consumer has stopped; this worker ends", extra={"why": why})
                os._exit(STOPPED)


def add_tasks(app: Celery, settings: Settings, store: Store, pulse: Pulse) -> None:
    """What the worker does with each message."""
    client = httpx.Client(limits=httpx.Limits(max_connections=2 * CONCURRENCY))
    settling = threading.Lock()

    @app.task(name=HEARTBEAT)  # type: ignore[untyped-decorator]
    def heartbeat() -> None:
        with pulse.taken():
            HEARTBEATS.inc()

    @app.task(name=SETTLE)  # type: ignore[untyped-decorator]
    def settle_edges() -> None:
        if not settling.acquire(blocking=False):
            return  # what is open then is settled the next time
        try:
            with pulse.taken():
                done = on_each_shard(store, lambda own: settle(own, time.time_ns()))
            SETTLED.inc(sum(each.minutes for each in done))
            UNSETTLED.set(sum(each.left for each in done))
        except CollectorError as error:
            log.warning("Edges are not settled", extra={"error": str(error)})
        finally:
            settling.release()

    @app.task(name=INGEST)  # type: ignore[untyped-decorator]
    def ingest_group(collector_url: str, collector_id: str, group: int, signed: str) -> None:
        token = settings.internal_token
        if not hmac.compare_digest(signed, signature(token, collector_url, collector_id, group)):
            log.error("A message is not signed with the internal token", extra={"group": group})
            return
        groups = HttpGroups(client, collector_url, collector_id, token)
        try:
            with pulse.taken():
                ingest(groups, store, collector_id, group)
        except Unready as error:
            # Nobody to tell: the group's lease ends, and it is sent again.
            log.warning("A collector is away", extra={"group": group, "error": str(error)})


def run_worker(settings: Settings) -> int:
    """Until SIGTERM: what was begun is then finished. Raises InvalidSetting."""
    app = celery_app(settings.broker_url)
    refuse_evicting_broker(app)
    declare_dead_queue(app)
    store = Store(settings.clickhouse_url)
    pulse = Pulse(lambda: messages_waiting(app))
    add_tasks(app, settings, store, pulse)
    ready = {"store": store_check(store), "consumer": pulse.trouble}
    health = health_server(settings.worker_http, ready)
    # It warns root of pickle, which is not accepted here.
    warnings.simplefilter("ignore", SecurityWarning)
    worker = app.Worker(
        pool="threads",
        concurrency=CONCURRENCY,
        loglevel=settings.log_level,
        quiet=True,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    # Rows make no cycles: to look for some at every 700 objects took some 5 % of decoding them.
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, *gc.get_threshold()[1:])
    ended = threading.Event()
    watchdog = threading.Thread(target=end_when_stopped, args=(pulse, ended), daemon=True)

    def consuming(**_kwargs: object) -> None:
        with pulse.taken():
            watchdog.start()

    signals.worker_ready.connect(consuming)
    try:
        worker.start()
    finally:
        ended.set()
        health.shutdown()
        health.server_close()
        store.close()
    return int(worker.exitcode or 0)


def store_check(store: Store) -> Check:
    def check() -> str:
        try:
            store.ping()
        except CollectorError as error:
            return str(error)
        return ""

    return check
