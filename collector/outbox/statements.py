"""What is done in the outbox's file, each inside a transaction of the writer's."""

import hashlib
import sqlite3
from collections.abc import Sequence

from collector.model import Account, Report
from collector.outbox import books
from collector.outbox.values import Group, OutboxStats, Quarantined, Terms

PENDING, DONE, QUARANTINED = 0, 1, 2

ADD = """
INSERT INTO requests (signal, identity, received_ns, digest, size, items, body)
VALUES (?, ?, ?, ?, ?, ?, ?)
"""

WAITING = "SELECT id, size, signal, identity, items FROM requests WHERE id > ? ORDER BY id"

# A lease that ends later than any can was given before the clock was set back.
DUE = """
SELECT id, requests, bytes, sends, attempts, failure
FROM groups
WHERE state = 0 AND (lease_until_s <= ?1 OR lease_until_s > ?1 + 600)
ORDER BY id
"""

# Those with a fault of their own wait out their lease without keeping others from being sent.
IN_FLIGHT = """
SELECT count(*)
FROM groups
WHERE state = 0 AND lease_until_s > ?1 AND lease_until_s <= ?1 + 600 AND failure = ''
"""

ONE = "SELECT id, requests, bytes, sends, attempts FROM groups WHERE id = ?"

PENDING_TOTALS = """
SELECT ifnull(sum(requests), 0), count(*), ifnull(sum(bytes), 0), min(first_request)
FROM groups
WHERE state = 0
"""

FROZEN_UP_TO = "SELECT ifnull((SELECT last_request FROM groups ORDER BY id DESC LIMIT 1), 0)"

SOMETHING_WAITS = f"""
SELECT
    EXISTS (SELECT 1 FROM groups WHERE state = 0)
    OR EXISTS (SELECT 1 FROM requests WHERE id > ({FROZEN_UP_TO}))
"""  # noqa: S608 (made of a constant)

MOST_UNTAKEN = 2  # for this many sendings does the lease of a group that nobody took grow
NO_ANSWER = "a worker took it and was not heard of again"


def digest(report: Report) -> bytes:
    """The same for the same bytes from the same sender."""
    found = hashlib.sha256(f"{len(report.identity)}:{report.identity}:{report.signal}:".encode())
    found.update(report.body)
    return found.digest()[:16]


def add(connection: sqlite3.Connection, reports: Sequence[tuple[Report, bytes]]) -> int:
    """Returns how many were new."""
    added = size = 0
    for report, key in reports:
        known = connection.execute("INSERT OR IGNORE INTO volatile.recent VALUES (?)", (key,))
        if known.rowcount == 0:
            continue
        signal, length = report.signal.value, len(report.body)
        connection.execute(
            ADD,
            (signal, report.identity, report.received_ns, key, length, report.items, report.body),
        )
        books.wait(connection, (signal, books.cut(report.identity)), 1, report.items)
        added += 1
        size += length
    if added:
        connection.execute(
            "UPDATE volatile.unfrozen SET requests = requests + ?, bytes = bytes + ?",
            (added, size),
        )
    return added


def freeze(connection: sqlite3.Connection, max_bytes: int) -> int:
    """Returns the new group's id, 0 when there is nothing to freeze."""
    frozen = connection.execute(FROZEN_UP_TO).fetchone()[0]
    ids: list[int] = []
    owners: list[books.Owned] = []
    total = 0
    rows = connection.execute(WAITING, (frozen,))
    for request, size, *owner in rows:
        if ids and total + size > max_bytes:
            break
        ids.append(request)
        owners.append(tuple(owner))
        total += size
    rows.close()
    if not ids:
        return 0
    made = connection.execute(
        "INSERT INTO groups (first_request, last_request, requests, bytes) VALUES (?, ?, ?, ?)",
        (ids[0], ids[-1], len(ids), total),
    )
    connection.execute(
        "UPDATE volatile.unfrozen SET requests = requests - ?, bytes = bytes - ?",
        (len(ids), total),
    )
    group = made.lastrowid or 0
    books.freeze(connection, group, owners)
    return group


def hand_out(
    connection: sqlite3.Connection, now_s: float, terms: Terms, limit: int, *, ripe: bool
) -> tuple[list[Group], list[Quarantined]]:
    """Leases groups that were out for too long or never, oldest first, then new ones.

    New ones are frozen while there is room: of `terms.group_bytes`, or when `ripe` of what waits.
    """
    out = connection.execute(IN_FLIGHT, (now_s,)).fetchone()[0]
    room = min(limit, terms.window - out)
    leased: list[Group] = []
    quarantined: list[Quarantined] = []
    for row in connection.execute(DUE, (now_s,)).fetchall():
        group, attempts, failure = row[0], row[4], row[5]
        reason = failure or (NO_ANSWER if attempts else "")
        if attempts >= terms.max_attempts:
            quarantine(connection, group, reason, now_s)
            quarantined.append(Quarantined(group, reason))
        elif len(leased) < room:
            leased.append(lease(connection, row[:5], reason, now_s, terms))
    while len(leased) < room:
        waiting = connection.execute("SELECT bytes FROM volatile.unfrozen").fetchone()[0]
        group = freeze(connection, terms.group_bytes) if ripe or waiting >= terms.group_bytes else 0
        if not group:
            break
        row = connection.execute(ONE, (group,)).fetchone()
        leased.append(lease(connection, row, "", now_s, terms))
    return leased, quarantined


def lease(
    connection: sqlite3.Connection,
    row: tuple[int, int, int, int, int],
    failure: str,
    now_s: float,
    terms: Terms,
) -> Group:
    group, requests, size, sends, attempts = row
    # One that nobody took waits in a queue or was lost with one: that is soon found out.
    lease_s = terms.lease_s(max(attempts, min(sends, MOST_UNTAKEN)))
    connection.execute(
        "UPDATE groups SET sends = sends + 1, lease_until_s = ?, failure = ? WHERE id = ?",
        (now_s + lease_s, failure, group),
    )
    return Group(group, requests, size, sends + 1, attempts)


def quarantine(connection: sqlite3.Connection, group: int, reason: str, now_s: float) -> None:
    connection.execute(
        "UPDATE groups SET state = ?, failure = ?, quarantined_s = ? WHERE id = ?",
        (QUARANTINED, reason, now_s, group),
    )


def begin_attempt(connection: sqlite3.Connection, group: int) -> tuple[int, int] | None:
    """How often it was begun, this time included, and how often replayed; None: it is not pending.

    On disk first: a group may kill whoever reads it.
    """
    begun: tuple[int, int] | None = connection.execute(
        "UPDATE groups SET attempts = attempts + 1, begun = begun + 1"
        " WHERE id = ? AND state = ? RETURNING begun, replays",
        (group, PENDING),
    ).fetchone()
    return begun


def end_attempt(connection: sqlite3.Connection, group: int, reason: str) -> None:
    """A fault of the group's own: the attempt counts."""
    connection.execute(
        "UPDATE groups SET failure = ? WHERE id = ? AND state = ?", (reason, group, PENDING)
    )


def put_back(connection: sqlite3.Connection, group: int, retry_at_s: float, *, taken: bool) -> None:
    """Not the group's fault: the attempt, if one was begun, does not count."""
    connection.execute(
        "UPDATE groups SET lease_until_s = ?, attempts = max(0, attempts - ?)"
        " WHERE id = ? AND state = ?",
        (retry_at_s, int(taken), group, PENDING),
    )


def finish(
    connection: sqlite3.Connection, group: int, now_s: float, accounts: Sequence[Account]
) -> bool:
    """True the first time."""
    done = connection.execute(
        "UPDATE groups SET state = ?, done_s = ? WHERE id = ? AND state != ?",
        (DONE, now_s, group, DONE),
    )
    if done.rowcount:
        books.settle(connection, group, accounts)
    return done.rowcount == 1


def purge(connection: sqlite3.Connection, done_before_s: float, limit: int) -> int:
    """Delete groups done before that moment, at most `limit`; their digests are kept."""
    rows = connection.execute(
        "SELECT id, first_request, last_request FROM groups WHERE state = ? AND done_s <= ?"
        " ORDER BY id LIMIT ?",
        (DONE, done_before_s, limit),
    ).fetchall()
    for row in rows:
        remove(connection, *row)
    return len(rows)


def remove(connection: sqlite3.Connection, group: int, first: int, last: int) -> None:
    """The group and its requests; their digests are kept."""
    connection.execute(
        "INSERT INTO digests (received_s, digest)"
        " SELECT received_ns / 1000000000, digest FROM requests WHERE id BETWEEN ? AND ?",
        (first, last),
    )
    connection.execute("DELETE FROM requests WHERE id BETWEEN ? AND ?", (first, last))
    connection.execute("DELETE FROM groups WHERE id = ?", (group,))
    connection.execute("DELETE FROM verdicts WHERE group_id = ?", (group,))


def forget(connection: sqlite3.Connection, before_s: int, limit: int) -> None:
    """Digests older than that may come again."""
    old = connection.execute(
        "SELECT id, digest FROM (SELECT * FROM digests ORDER BY id LIMIT ?) WHERE received_s < ?",
        (limit, before_s),
    ).fetchall()
    connection.executemany("DELETE FROM digests WHERE id = ?", [(row[0],) for row in old])
    connection.executemany("DELETE FROM volatile.recent WHERE digest = ?", [(r[1],) for r in old])


def remember(connection: sqlite3.Connection, digests: Sequence[tuple[bytes]]) -> None:
    """Bodies that are known from elsewhere."""
    connection.executemany("INSERT OR IGNORE INTO volatile.recent VALUES (?)", digests)


def stats(connection: sqlite3.Connection, now_s: float) -> OutboxStats:
    requests, groups, size, first = connection.execute(PENDING_TOTALS).fetchone()
    waiting, waiting_bytes = connection.execute("SELECT * FROM volatile.unfrozen").fetchone()
    if first is None:
        first = connection.execute(FROZEN_UP_TO).fetchone()[0] + 1
    oldest = connection.execute(
        "SELECT received_ns FROM requests WHERE id >= ? ORDER BY id LIMIT 1", (first,)
    ).fetchone()
    quarantined = connection.execute(
        "SELECT count(*) FROM groups WHERE state = ?", (QUARANTINED,)
    ).fetchone()[0]
    pages, most = used_pages(connection)
    page_bytes = connection.execute("PRAGMA main.page_size").fetchone()[0]
    done = connection.execute(
        "SELECT ifnull(sum(bytes), 0) FROM groups WHERE state = ?", (DONE,)
    ).fetchone()[0]
    return OutboxStats(
        pending_requests=requests + waiting,
        pending_groups=groups,
        pending_bytes=size + waiting_bytes,
        oldest_s=max(0.0, now_s - oldest[0] / 1e9) if oldest else 0.0,
        unfrozen_requests=waiting,
        unfrozen_bytes=waiting_bytes,
        quarantined_groups=quarantined,
        used_bytes=pages * page_bytes,
        held_bytes=max(0, pages * page_bytes - done),
        max_bytes=most * page_bytes,
    )


def used_pages(connection: sqlite3.Connection) -> tuple[int, int]:
    """Pages of the file in use, and how many there may be."""
    count, free, most = (
        connection.execute(f"PRAGMA main.{name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "max_page_count")
    )
    return count - free, most
