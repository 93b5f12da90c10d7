"""Groups that were given up, each call inside a transaction of the writer's.

They stay until somebody replays or discards them. A group replayed keeps its number, and so its
tokens: what of it is stored already is not stored again.
"""

import sqlite3

from collector.outbox import books
from collector.outbox.statements import PENDING, QUARANTINED, remove
from collector.outbox.values import DeadGroup, Part

DEAD = """
SELECT
    id,
    requests,
    bytes,
    attempts,
    failure,
    quarantined_s,
    (SELECT received_ns FROM requests WHERE requests.id = first_request) AS received_ns
FROM groups
WHERE state = 2 AND id > ?
ORDER BY id
LIMIT ?
"""


def dead_groups(connection: sqlite3.Connection, after: int, limit: int) -> list[DeadGroup]:
    """In the order of their numbers, those above `after`."""
    rows = connection.execute(DEAD, (after, limit)).fetchall()
    return [DeadGroup._make((*row, parts(connection, row[0]))) for row in rows]


def parts(connection: sqlite3.Connection, group: int) -> list[Part]:
    rows = connection.execute(
        "SELECT signal, client, reports, items FROM group_parts WHERE group_id = ?", (group,)
    )
    return [Part(*row) for row in rows]


def replay(connection: sqlite3.Connection, group: int) -> bool:
    """To be sent again, as if for the first time. False when it is not in quarantine (any more)."""
    freed = connection.execute(
        "UPDATE groups SET state = ?, attempts = 0, failure = '', lease_until_s = 0,"
        " replays = replays + 1 WHERE id = ? AND state = ?",
        (PENDING, group, QUARANTINED),
    )
    return freed.rowcount == 1


def discard(connection: sqlite3.Connection, group: int) -> bool:
    """Deletes it. False when it is not in quarantine."""
    found = connection.execute(
        "SELECT first_request, last_request FROM groups WHERE id = ? AND state = ?",
        (group, QUARANTINED),
    ).fetchone()
    if found is None:
        return False
    books.discard(connection, group)
    remove(connection, group, *found)
    return True
