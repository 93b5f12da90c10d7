"""One group into the store: the same in a worker and in the collector itself.

Fetch, decode, one insert a table under `collector:group:table`, done. It may be tried any number
of times, by several at once: the same reports make the same rows under the same tokens, which the
store takes once.
"""

import logging
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import Counter

from collector.decoders import decode_group
from collector.errors import StoreDown, StoreError
from collector.groups import Groups
from collector.model import Account, Report
from collector.store.client import Store

log = logging.getLogger(__name__)

ROWS = Counter("meshmeter_rows_inserted", "rows inserted, repeated groups included", ["table"])
SKIPPED = Counter("meshmeter_items_skipped", "items of reports that are not to be stored")
SPLIT = Counter("meshmeter_items_split", "rows beyond the first that an item became")
CPU = Counter("meshmeter_ingest_cpu_seconds", "CPU time of this process spent on groups", ["stage"])


def ingest(groups: Groups, store: Store, collector_id: str, group: int) -> bool:
    """True when the group is stored or was so already; a failure is told to `groups` and logged.

    Raises Unready when `groups` cannot be reached: the lease then ends by itself.
    """
    try:
        store.ping()  # before the bodies travel
    except StoreDown as error:
        return wait(groups, group, error, taken=False)
    with cpu("fetch"):
        reports = groups.fetch(group)
    if not reports:
        return True
    try:
        accounts = store_reports(store, collector_id, group, reports)
    except StoreDown as error:
        return wait(groups, group, error, taken=True)
    except Exception as error:
        log.exception("A group cannot be stored", extra={"group": group})
        groups.failed(group, reason(error))
        return False
    groups.done(group, accounts)
    return True


def wait(groups: Groups, group: int, error: StoreDown, *, taken: bool) -> bool:
    log.warning("The store is down; a group waits", extra={"group": group, "error": str(error)})
    groups.put_back(group, taken=taken)
    return False


def reason(error: Exception) -> str:
    """What failed and where; of a decoder's error not its text, which may hold what was sent."""
    if isinstance(error, StoreError):
        return f"StoreError {error.code}: {str(error)[:300]}"
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}"


def store_reports(
    store: Store, collector_id: str, group: int, reports: Sequence[Report]
) -> Sequence[Account]:
    """What became of the items.

    Raises StoreDown, StoreError, and whatever a faulty decoder raises.
    """
    with cpu("decode"):
        decoded = decode_group(reports, group)
    for table in sorted(decoded.tables):
        with cpu("insert"):
            token = f"{collector_id}:{group}:{table}"
            store.insert(table, decoded.tables[table], token=token)
    for table, count in decoded.counts.items():
        ROWS.labels(table).inc(count)
    SKIPPED.inc(decoded.skipped)
    SPLIT.inc(decoded.split)
    return decoded.accounts


@contextmanager
def cpu(stage: str) -> Iterator[None]:
    start = time.thread_time()
    try:
        yield
    finally:
        CPU.labels(stage).inc(time.thread_time() - start)
