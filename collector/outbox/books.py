"""The books: of whom every item was taken, and what became of it, each inside a transaction of the
writer's.

Accepted items are counted when their group is frozen; until then they are in `volatile.waiting`,
made anew at each start. What became of them is what the worker tells with the group, booked in the
transaction that ends the group: so the books are as exact as the outbox, whatever is killed.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator

from collector.model import Account
from collector.outbox.values import BookEntry

MAX_CLIENTS = 500  # pairs of signal and client that are told apart
OTHERS = "(others)"
MAX_CLIENT_CHARS = 128

Key = tuple[str, str]  # signal, client
Owned = tuple[str, str, int]  # signal, identity, items
Part = tuple[int, int]  # reports, items

# An upsert costs three times as much as this, and is for the first of a client only.
WAIT_MORE = """
UPDATE volatile.waiting SET reports = reports + ?, items = items + ? WHERE signal = ? AND client = ?
"""
ARE_WAITING = """
INSERT INTO volatile.waiting
SELECT signal, substr(identity, 1, ?), count(*), sum(items)
FROM requests
WHERE id > ? AND items > 0
GROUP BY 1, 2
"""
BOOK = """
INSERT INTO books VALUES (?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET total = total + excluded.total
"""
IN_GROUPS = """
SELECT signal, client, state, sum(part.items)
FROM group_parts AS part JOIN groups ON id = group_id
GROUP BY 1, 2, 3
"""


def wait(connection: sqlite3.Connection, key: Key, reports: int, items: int) -> None:
    signal, client = key
    known = connection.execute(WAIT_MORE, (reports, items, signal, client))
    if known.rowcount == 0:
        row = (signal, client, reports, items)
        connection.execute("INSERT INTO volatile.waiting VALUES (?, ?, ?, ?)", row)


def recover(connection: sqlite3.Connection, frozen_up_to: int) -> None:
    connection.execute(ARE_WAITING, (MAX_CLIENT_CHARS, frozen_up_to))


def cut(client: str) -> str:
    return client[:MAX_CLIENT_CHARS]


def freeze(connection: sqlite3.Connection, group: int, rows: Iterable[Owned]) -> None:
    """What the group holds. Reports of an older version, which counted no items, are in no books,
    nor is the group they are in."""
    parts: dict[Key, Part] = {}
    counted = True
    for signal, identity, items in rows:
        counted &= items > 0
        key = signal, cut(identity)
        before = parts.get(key, (0, 0))
        parts[key] = before[0] + (items > 0), before[1] + items
    for key, (reports, items) in parts.items():
        wait(connection, key, -reports, -items)
    connection.execute("DELETE FROM volatile.waiting WHERE reports = 0")
    if not counted:
        return
    for key, (reports, items) in parts.items():
        known = signal, client = named(connection, key)
        part = (group, signal, client, reports, items)
        connection.execute(
            "INSERT INTO group_parts VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
            " SET reports = reports + excluded.reports, items = items + excluded.items",
            part,
        )
        book(connection, known, "reports", reports)
        book(connection, known, "accepted", items)


def settle(connection: sqlite3.Connection, group: int, accounts: Iterable[Account]) -> None:
    """The group is stored."""
    if not close(connection, group):
        return
    for account in accounts:
        key = named(connection, (account.signal, cut(account.identity)))
        book(connection, key, "stored", account.stored)
        book(connection, key, "skipped", account.skipped)
        for reason, items in account.refused.items():
            book(connection, key, "refused", items, reason)


def discard(connection: sqlite3.Connection, group: int) -> None:
    """The group is given up for good."""
    for signal, client, items in close(connection, group):
        book(connection, (signal, client), "discarded", items)


def close(connection: sqlite3.Connection, group: int) -> list[tuple[str, str, int]]:
    """Takes the group out of those that are open: its items by signal and client."""
    found = connection.execute(
        "SELECT signal, client, items FROM group_parts WHERE group_id = ?", (group,)
    ).fetchall()
    connection.execute("DELETE FROM group_parts WHERE group_id = ?", (group,))
    return found


def named(connection: sqlite3.Connection, key: Key) -> Key:
    """Itself while there is room, and ever after; beyond that one of the others."""
    known = "SELECT 1 FROM books WHERE signal = ? AND client = ? AND kind = 'accepted'"
    if connection.execute(known, key).fetchone():
        return key
    pairs = connection.execute("SELECT count(*) FROM books WHERE kind = 'accepted'").fetchone()[0]
    return key if pairs < MAX_CLIENTS else (key[0], OTHERS)


def book(connection: sqlite3.Connection, key: Key, kind: str, total: int, reason: str = "") -> None:
    if total:
        connection.execute(BOOK, (*key, kind, reason, total))


def entries(connection: sqlite3.Connection, pending: int, quarantined: int) -> list[BookEntry]:
    """By signal and client; the two numbers are the states of groups."""
    found: dict[Key, Counter[str]] = {}
    refused: dict[Key, dict[str, int]] = {}
    for signal, client, kind, reason, total in connection.execute("SELECT * FROM books"):
        if kind == "refused":
            refused.setdefault((signal, client), {})[reason] = total
        found.setdefault((signal, client), Counter())[kind] += total
    states = {pending: "pending", quarantined: "quarantined"}
    for signal, client, state, items in connection.execute(IN_GROUPS):
        found.setdefault((signal, client), Counter())[states[state]] += items
    for signal, client, reports, items in list(unfrozen(connection)):
        of = found.setdefault(named(connection, (signal, client)), Counter())
        of.update(reports=reports, accepted=items, pending=items)
    return [
        BookEntry(
            signal=signal,
            client=client,
            reports=of["reports"],
            accepted=of["accepted"],
            stored=of["stored"],
            skipped=of["skipped"],
            refused=refused.get((signal, client), {}),
            discarded=of["discarded"],
            pending=of["pending"],
            quarantined=of["quarantined"],
        )
        for (signal, client), of in sorted(found.items())
    ]


def unfrozen(connection: sqlite3.Connection) -> Iterator[tuple[str, str, int, int]]:
    yield from connection.execute("SELECT * FROM volatile.waiting")
