"""The two halves of each call, matched where they are stored.

`CALLS` is a subquery of the calls of some minutes. It reads of `{spans}`, which is `half_edges` or
`spans`, and is the same in whatever order, and however often, the spans came.
"""

from collections.abc import Sequence

# A span whose parent belongs to another service is a call between the two, but for the caller's own
# kinds, client and producer, and for checks, which weigh nothing. A shared span's caller has the
# same id, not the parent's; and what has a shared span for a parent was called by its server.
# A client or producer is answered by a child that is no mere step of its own; unanswered, it called
# whom it names. A database never answers, and a consumer without a caller was given by its queue.
# Callers begin up to an hour before, and for clocks that differ a minute after. GROUP BY and
# its min and max, because a span may be stored twice.
CALLS = """
SELECT
    callee.time AS time,
    if(callee.shared OR caller.server = '', caller.client, caller.server) AS caller_service,
    multiIf(
        caller_service != '', caller_service,
        callee.peer_kind = 'queue', callee.peer,
        ''
    ) AS source,
    callee.service AS destination,
    if(caller_service = '' AND callee.peer_kind = 'queue', 'from queue', '') AS peer_kind,
    toUInt8(source != destination AND (source != '' OR callee.kind IN (2, 5))) AS counted,
    if(source = '' AND callee.caller_id != 0 AND counted, 'caller_missing', '') AS reason,
    if(caller_service = '' AND callee.caller_id != 0, 'caller', '') AS wanted,
    callee.caller_id AS span_id,
    callee.error AS error,
    callee.weight AS weight,
    callee.duration_ns AS duration_ns
FROM
(
    SELECT
        trace_id,
        span_id,
        shared,
        service,
        min(half.time) AS time,
        max(half.caller_id) AS caller_id,
        max(half.kind) AS kind,
        max(half.peer) AS peer,
        max(half.peer_kind) AS peer_kind,
        max(half.error) AS error,
        max(half.weight) AS weight,
        max(half.duration_ns) AS duration_ns
    FROM {spans} AS half
    WHERE half.kind NOT IN (3, 4) AND half.weight > 0
        AND toStartOfMinute(half.time) IN %(minutes)s
        AND half.time >= toDateTime64(%(first_s)s, 9) AND half.time < toDateTime64(%(last_s)s, 9)
        AND (%(every)s = 1 OR sipHash64(trace_id) %% %(every)s = 0)
    GROUP BY trace_id, span_id, shared, service
) AS callee
LEFT ANY JOIN
(
    SELECT
        trace_id,
        span_id,
        minIf(service, kind IN (3, 4)) AS client,
        minIf(service, kind NOT IN (3, 4)) AS server
    FROM {spans} AS half
    PREWHERE span_id IN
        (
            SELECT half.caller_id
            FROM {spans} AS half
            WHERE half.kind NOT IN (3, 4) AND half.weight > 0
                AND toStartOfMinute(half.time) IN %(minutes)s
                AND half.time >= toDateTime64(%(first_s)s, 9)
                AND half.time < toDateTime64(%(last_s)s, 9)
                AND (%(every)s = 1 OR sipHash64(trace_id) %% %(every)s = 0)
        )
    WHERE half.time >= toDateTime64(%(near_s)s, 9)
        AND half.time < toDateTime64(%(last_s)s + 60, 9)
    GROUP BY trace_id, span_id
) AS caller
ON callee.trace_id = caller.trace_id AND callee.caller_id = caller.span_id
WHERE counted OR wanted != ''
UNION ALL
SELECT
    client.time AS time,
    '' AS caller_service,
    client.service AS source,
    client.peer AS destination,
    client.peer_kind AS peer_kind,
    toUInt8(destination != '' AND destination != source) AS counted,
    if(destination = '', 'no_peer', '') AS reason,
    if(peer_kind = 'database', '', 'callee') AS wanted,
    client.span_id AS span_id,
    client.error AS error,
    client.weight AS weight,
    client.duration_ns AS duration_ns
FROM
(
    SELECT
        trace_id,
        span_id,
        service,
        min(half.time) AS time,
        max(half.peer) AS peer,
        max(half.peer_kind) AS peer_kind,
        max(half.error) AS error,
        max(half.weight) AS weight,
        max(half.duration_ns) AS duration_ns
    FROM {spans} AS half
    WHERE half.kind IN (3, 4) AND half.weight > 0
        AND toStartOfMinute(half.time) IN %(minutes)s
        AND half.time >= toDateTime64(%(first_s)s, 9) AND half.time < toDateTime64(%(last_s)s, 9)
        AND (%(every)s = 1 OR sipHash64(trace_id) %% %(every)s = 0)
    GROUP BY trace_id, span_id, service
) AS client
LEFT ANY JOIN
(
    SELECT
        trace_id,
        caller_id,
        max(shared OR kind > 1) AS answers,
        min(service) AS first_service,
        max(service) AS last_service,
        1 AS found
    FROM {spans} AS half
    PREWHERE caller_id IN
        (
            SELECT half.span_id
            FROM {spans} AS half
            WHERE half.kind IN (3, 4) AND half.weight > 0 AND half.peer_kind != 'database'
                AND toStartOfMinute(half.time) IN %(minutes)s
                AND half.time >= toDateTime64(%(first_s)s, 9)
                AND half.time < toDateTime64(%(last_s)s, 9)
                AND (%(every)s = 1 OR sipHash64(trace_id) %% %(every)s = 0)
        )
    WHERE half.time >= toDateTime64(%(first_s)s - 60, 9)
        AND half.time < toDateTime64(%(after_s)s, 9)
    GROUP BY trace_id, caller_id
) AS child
ON client.trace_id = child.trace_id AND client.span_id = child.caller_id
WHERE peer_kind = 'database' OR NOT found
    OR (NOT answers AND first_service = client.service AND last_service = client.service)
"""

MINUTE_S = 60
LOOK_BACK = 60  # minutes


def matching(
    minutes: Sequence[int], every: int = 1, look_back: int = LOOK_BACK
) -> dict[str, object]:
    """Parameters of `CALLS` for minutes in seconds since 1970, ascending and at least one.

    Of more traces than one cares to read, one in `every` is.
    """
    last_s = minutes[-1] + MINUTE_S
    return {
        "every": every,
        "minutes": tuple(minutes),
        "first_s": minutes[0],
        "last_s": last_s,
        "near_s": minutes[0] - look_back * MINUTE_S,
        "after_s": last_s + look_back * MINUTE_S,
    }
