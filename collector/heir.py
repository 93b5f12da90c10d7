"""What other collectors left behind in this one's directory: stored here, group by group.

A file that nobody holds and in which something waits is of a collector that is gone, or it was
begun when another could not be written. One that starts again has half a minute to take up its own.
"""

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from collector.dispatcher import TERMS
from collector.errors import CollectorError
from collector.groups import GROUPS, OutboxGroups
from collector.ingest import ingest
from collector.outbox import NameLimits, Outbox
from collector.settings import Settings
from collector.store.client import Store

log = logging.getLogger(__name__)

EVERY_S = 30.0
RETRY_S = 1.0


class Heir:
    """A thread that looks now and then. `store_here` is true when the group is stored."""

    def __init__(
        self,
        directory: Path,
        max_bytes: int,
        store_here: Callable[[Outbox, int], bool],
        *,
        every_s: float = EVERY_S,
        names: NameLimits | None = None,
    ) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._store_here = store_here
        self._names = names or NameLimits()
        self._every_s = every_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="heir", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """After the group at hand; what is left waits for the next to look."""
        self._stopping.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._stopping.wait(self._every_s):
            try:
                left = Outbox.left_behind(self._directory, self._max_bytes, self._names)
                if left is not None:
                    self._deliver(left)
            except CollectorError as error:
                log.error("What was left behind waits", extra={"error": str(error)})  # noqa: TRY400
            except Exception:
                log.exception("What was left behind cannot be looked through")

    def _deliver(self, left: Outbox) -> None:
        log.warning("Storing what was left behind", extra={"collector_id": left.collector_id})
        try:
            while left.stats().pending_requests and not self._stopping.is_set():
                groups, quarantined = left.hand_out(TERMS, limit=1, ripe=True)
                GROUPS.labels("quarantined").inc(len(quarantined))
                stored = [self._store_here(left, group.id) for group in groups]
                GROUPS.labels("drained").inc(sum(stored))
                if not stored or not all(stored):
                    self._stopping.wait(RETRY_S)
        finally:
            left.close()


def heir(settings: Settings, store: Callable[[], Store]) -> Heir:
    """The one of a collector. `store` is called when the first group is stored."""
    opened: list[Store] = []

    def store_here(left: Outbox, group: int) -> bool:
        if not opened:
            opened.append(store())
        return ingest(OutboxGroups(left), opened[0], left.collector_id, group)

    return Heir(
        settings.data_dir / "outbox",
        settings.outbox_max_bytes,
        store_here,
        names=NameLimits(settings.max_services, settings.max_operations),
    )
