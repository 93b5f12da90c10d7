"""One group into the store: the same in a worker and in the collector itself.

Fetch, decode, one insert a table under `collector:group:table`, done. It may be tried any number
of times, by several at once: the same reports make the same rows under the same tokens, which the
store takes once.
"""

import hashlib
import logging
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import Counter

from collector.decoders import decode_group
from collector.decoders.names import Over
from collector.errors import StoreDown, StoreError, Unready
from collector.groups import Groups
from collector.model import Account, Taken
from collector.store.client import Store
from collector.store.lost import Columns, missing, restore
from collector.store.shards import is_cluster

log = logging.getLogger(__name__)

ROWS = Counter("meshmeter_rows_inserted", "rows inserted, repeated groups included", ["table"])
RESTORED = Counter(
    "meshmeter_rows_restored", "rows a killed ClickHouse lost under their token", ["table"]
)
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
        taken = groups.fetch(group)
    if taken is None:
        return True
    try:
        accounts = store_group(
            store, collector_id, group, taken, lambda names: groups.over(group, names)
        )
    except StoreDown as error:
        return wait(groups, group, error, taken=True)
    except Unready:
        raise
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


def store_group(
    store: Store, collector_id: str, group: int, taken: Taken, over: Over | None = None
) -> Sequence[Account]:
    """What became of the items. `over`: the budget of names; None: all have a place.

    Raises StoreDown, StoreError, and whatever `over` or a faulty decoder raises.
    """
    with cpu("decode"):
        decoded = decode_group(taken.reports, row_group(collector_id, group), over)
    for table in sorted(decoded.tables):
        with cpu("insert"):
            store_table(store, f"{collector_id}:{group}", table, decoded.tables[table], taken)
    for table, count in decoded.counts.items():
        ROWS.labels(table).inc(count)
    SKIPPED.inc(decoded.skipped)
    SPLIT.inc(decoded.split)
    return decoded.accounts


def row_group(collector_id: str, group: int) -> int:
    """What the rows of a group have in `_group`: among all collectors no other group has it."""
    collector = hashlib.sha256(collector_id.encode()).digest()[:4]
    return int.from_bytes(collector, "big") << 32 | group & 0xFFFF_FFFF


def store_table(store: Store, prefix: str, table: str, columns: Columns, taken: Taken) -> None:
    """One insert, which a token keeps from being done twice. A group that was tried before is
    counted, in case the token came to be without its rows, which it does not on a cluster; and
    before that, when it was replayed, in case the rows are there and the token is forgotten."""
    wanted = missing(store, table, columns) if taken.replayed else columns
    store.insert(table, wanted, token=f"{prefix}:{table}")
    if taken.attempt > 1 and not is_cluster(store) and missing(store, table, columns):
        rows = restore(store, table, columns, taken.attempt)
        RESTORED.labels(table).inc(rows)
        log.warning("Rows were lost under their token and are put back", extra={"rows": rows})


@contextmanager
def cpu(stage: str) -> Iterator[None]:
    start = time.thread_time()
    try:
        yield
    finally:
        CPU.labels(stage).inc(time.thread_time() - start)
