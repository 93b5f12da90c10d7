"""Which minutes' edges are not, or no longer, what their spans say."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from collector.store.client import Store
from collector.store.matching import LOOK_BACK, MINUTE_S

HALVES_KEPT_S = 5 * 3600  # `half_edges` has every span that is not older
NONE = (0,)  # no minute: a list cannot be empty in SQL
UNSETTLED = 1  # the version of a minute whose spans were there before there were settlements

# A minute is open while it has more spans than its edges were made of. On a cluster each shard has
# spans and settlements of its own; one that has no cluster is number 0.
OPEN = """
SELECT
    minute_s,
    sum(of_shard.spans) AS spans,
    max(of_shard.shared) AS shared,
    minIf(of_shard.version, is_open) AS version,
    sum(of_shard.basis) AS basis
FROM
(
    SELECT
        toUnixTimestamp(minute) AS minute_s,
        shard,
        sum(told.spans) AS spans,
        max(told.shared) AS shared,
        max(told.version) AS version,
        argMax(told.basis, told.version) AS basis,
        spans != basis AND spans > 0 AS is_open
    FROM
    (
        SELECT
            minute,
            shardNum() AS shard,
            sum(m.spans) AS spans,
            max(m.shared) AS shared,
            toUInt64(0) AS version,
            toUInt64(0) AS basis
        FROM span_minutes AS m
        WHERE minute >= toDateTime(%(first_s)s) AND minute < toDateTime(%(end_s)s)
        GROUP BY minute, shard
        UNION ALL
        SELECT time AS minute, shardNum() AS shard, 0 AS spans, 0 AS shared, version, basis
        FROM edge_settlements
        WHERE grain = '1m' AND time >= toDateTime(%(first_s)s) AND time < toDateTime(%(end_s)s)
    ) AS told
    GROUP BY minute, shard
) AS of_shard
GROUP BY minute_s
HAVING max(is_open)
ORDER BY minute_s
"""

# Settled minutes that want a span which is one of an open minute's.
WANTING = """
SELECT DISTINCT toUnixTimestamp(minute) AS minute_s
FROM wanted_spans
WHERE minute >= toDateTime(%(first_s)s) AND minute < toDateTime(%(end_s)s)
    AND minute NOT IN %(minutes)s
    AND (minute, version) IN
    (
        SELECT time, max(version)
        FROM edge_settlements
        WHERE grain = '1m' AND time >= toDateTime(%(first_s)s) AND time < toDateTime(%(end_s)s)
        GROUP BY time
    )
    AND (
        wanted = 'caller' AND span_id IN
        (
            SELECT span_id
            FROM half_edges
            WHERE toStartOfMinute(time) IN %(minutes)s
        )
        OR wanted = 'callee' AND span_id IN
        (
            SELECT caller_id
            FROM half_edges
            WHERE toStartOfMinute(time) IN %(minutes)s
        )
    )
"""

# Minutes with spans that are children or callers of an open minute's: of all its spans, or of those
# that are shared, whose children may be matched already with the caller's half.
RELATED = """
WITH related AS
(
    SELECT span_id, caller_id
    FROM {spans}
    WHERE toStartOfMinute(time) IN %(minutes)s AND (shared OR NOT %(only_shared)s)
        AND time >= toDateTime64(%(open_s)s, 9) AND time < toDateTime64(%(open_end_s)s, 9)
)
SELECT DISTINCT toUnixTimestamp(toStartOfMinute(time)) AS minute_s
FROM {spans}
WHERE toStartOfMinute(time) NOT IN %(minutes)s
    AND time >= toDateTime64(%(first_s)s, 9) AND time < toDateTime64(%(end_s)s, 9)
    AND (
        caller_id IN (SELECT span_id FROM related)
        OR span_id IN (SELECT span_id FROM related)
        OR span_id IN (SELECT caller_id FROM related)
    )
"""


class OpenMinute(NamedTuple):
    """`spans` it has; `basis` of which its edges in force, of `version`, were made (0: none).

    Of several shards' versions it is the oldest that is open."""

    minute_s: int
    spans: int
    shared: int
    version: int
    basis: int


def open_minutes(store: Store, first_s: int, end_s: int) -> list[OpenMinute]:
    """Those that begin in [first_s, end_s), in their order. Raises StoreDown."""
    return [OpenMinute(*row) for row in store.rows(OPEN, {"first_s": first_s, "end_s": end_s})]


def touched(store: Store, opened: Sequence[OpenMinute], first_s: int, end_s: int) -> set[int]:
    """Other minutes in [first_s, end_s) whose edges change by the spans of open ones.

    Open ones as `half_edges` has them; those of older ones: see `touched_long_ago`.
    """
    if not opened:
        return set()
    params = {"first_s": first_s, "end_s": end_s, **spanned(each.minute_s for each in opened)}
    found = {int(minute) for (minute,) in store.rows(WANTING, params)}
    shared = [each.minute_s for each in opened if each.shared]
    if shared:
        related = {**params, **spanned(shared), "only_shared": 1}
        rows = store.rows(RELATED.format(spans="half_edges"), related)
        found |= {int(minute) for (minute,) in rows}
    return found - {each.minute_s for each in opened}


def touched_long_ago(store: Store, minute_s: int) -> set[int]:
    """Minutes whose edges may change by the spans of one that is older than `HALVES_KEPT_S`."""
    around = {
        "first_s": minute_s - LOOK_BACK * MINUTE_S,
        "end_s": minute_s + (LOOK_BACK + 2) * MINUTE_S,
        **spanned([minute_s]),
        "only_shared": 0,
    }
    return {int(minute) for (minute,) in store.rows(RELATED.format(spans="spans"), around)}


def spanned(minutes: Iterable[int]) -> dict[str, object]:
    listed = tuple(sorted(minutes))
    return {"minutes": listed, "open_s": listed[0], "open_end_s": listed[-1] + MINUTE_S}
