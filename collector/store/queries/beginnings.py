"""When the first stored call was, as far as the edges' rollups go back."""

from collector.store.client import Store

# Parts know their first and last time: no row is read. What is a day old is known to the minute.
SQL = """
WITH
(
    SELECT min(first)
    FROM
    (
        SELECT min(time) AS first FROM edges_1m HAVING count() > 0
        UNION ALL
        SELECT min(time) AS first FROM span_edges_1m HAVING count() > 0
    )
) AS first_minute,
(
    SELECT min(first)
    FROM
    (
        SELECT min(time) AS first FROM edges_1s HAVING count() > 0
        UNION ALL
        SELECT min(time) AS first FROM span_edges_1s HAVING count() > 0
    )
) AS first_second
SELECT toUnixTimestamp(
    if(first_second BETWEEN first_minute AND first_minute + 59, first_second, first_minute)
)
"""


def first_call_s(store: Store) -> int:
    """In seconds since 1970; 0: there is none. Raises StoreDown."""
    ((first,),) = store.rows(SQL)
    return int(first)
