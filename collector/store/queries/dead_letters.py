"""Items that were accepted and could not be stored, the newest first, page by page."""

from typing import NamedTuple

from collector.store.client import Store

# A letter has no id of its own. Two of the same bytes in one group are told apart by nothing, and
# are one line here.
SQL = """
SELECT
    toUnixTimestamp64Nano(time) AS time_ns,
    lower(hex(sipHash128(time, signal, reason, detail, identity, item, _group))) AS hash,
    signal,
    reason,
    any(detail) AS told,
    identity,
    any(base64Encode(item)) AS sent,
    any(base64Encode(head)) AS before_it,
    any(base64Encode(tail)) AS behind_it,
    any(replayable) AS can_be_replayed,
    count() AS copies
FROM dead_letters
WHERE time >= fromUnixTimestamp64Nano(%(start_ns)s) AND time < fromUnixTimestamp64Nano(%(end_ns)s)
    AND (%(signal)s = '' OR signal = %(signal)s)
    AND (%(reason)s = '' OR reason = %(reason)s)
    AND (%(client)s = '' OR identity = %(client)s)
    AND (%(hash)s = '' OR hash = %(hash)s)
GROUP BY time, hash, signal, reason, identity
HAVING (time_ns, hash) < (%(before_ns)s, %(before_hash)s)
ORDER BY time_ns DESC, hash DESC
LIMIT %(limit)s
"""

Asked = dict[str, str | int]
NEWEST = (2**62, "g")  # before any letter


class Letter(NamedTuple):
    """`time_ns`: when its request was accepted. `item`: in base64, at most 64 KiB of it, as are
    `head` and `tail`, which make a report of it."""

    time_ns: int
    hash: str
    signal: str
    reason: str
    detail: str
    client: str
    item: str
    head: str
    tail: str
    replayable: int
    copies: int


def dead_letters(
    store: Store,
    start_ns: int,
    end_ns: int,
    *,
    signal: str = "",
    reason: str = "",
    client: str = "",
    limit: int = 100,
    before: tuple[int, str] = NEWEST,
) -> list[Letter]:
    """Of [start_ns, end_ns), those after the place `before`. Raises StoreDown, StoreError."""
    asked: Asked = {
        "signal": signal,
        "reason": reason,
        "client": client,
        "hash": "",
        "limit": limit,
    }
    return ask(store, start_ns, end_ns, asked, before)


def dead_letter(store: Store, time_ns: int, hash_: str) -> Letter | None:
    """Raises StoreDown, StoreError."""
    asked: Asked = {"signal": "", "reason": "", "client": "", "hash": hash_, "limit": 1}
    found = ask(store, time_ns, time_ns + 1, asked, NEWEST)
    return found[0] if found else None


def ask(
    store: Store, start_ns: int, end_ns: int, asked: Asked, before: tuple[int, str]
) -> list[Letter]:
    window = {"start_ns": start_ns, "end_ns": end_ns}
    place = {"before_ns": before[0], "before_hash": before[1]}
    rows = store.rows(SQL, asked | window | place)
    return [Letter(*row) for row in rows]
