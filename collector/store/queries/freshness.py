"""How recent the newest stored call is."""

from collector.store.client import Store

# The seven days that requests and spans are kept: without a bound every part would be opened.
# What says it comes from the future is not news.
SQL = """
SELECT max(newest)
FROM
(
    SELECT toUnixTimestamp64Nano(max(time)) AS newest
    FROM requests
    WHERE time >= fromUnixTimestamp64Nano(%(now_ns)s) - INTERVAL 7 DAY
        AND time <= fromUnixTimestamp64Nano(%(now_ns)s)
    UNION ALL
    SELECT toUnixTimestamp64Nano(max(time)) AS newest
    FROM spans
    WHERE time >= fromUnixTimestamp64Nano(%(now_ns)s) - INTERVAL 7 DAY
        AND time <= fromUnixTimestamp64Nano(%(now_ns)s)
)
"""


def newest_ns(store: Store, now_ns: int) -> int:
    """When the newest request or span began; 0: there is none. Raises StoreDown."""
    ((newest,),) = store.rows(SQL, {"now_ns": now_ns})
    return int(newest)
