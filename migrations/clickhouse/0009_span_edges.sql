-- Who called whom, as spans tell it. The two halves of a call come in any order and in inserts of
-- their own: they are matched where they are stored, a minute at a time, and the minute's edges are
-- written anew under a higher version when spans of it came late. See docs/adr/0006-span-edges.md.

-- Whom a span says it asks. A database is complete with that; a queue or a host is if nobody answers.

ALTER TABLE spans
    ADD COLUMN IF NOT EXISTS caller_id UInt64 ALIAS if(shared, span_id, parent_id) COMMENT 'the caller of what is called',
    ADD COLUMN IF NOT EXISTS peer_kind LowCardinality(String) ALIAS multiIf(
        kind NOT IN (3, 4, 5), '',
        kind = 3 AND (attributes['db.system.name'] != '' OR attributes['db.system'] != ''), 'database',
        attributes['messaging.system'] != '', 'queue',
        kind = 5, '',
        attributes['peer.service'] != '' OR attributes['server.address'] != '' OR attributes['net.peer.name'] != '', 'host',
        ''
    ) COMMENT 'database, queue or host; empty: not told',
    ADD COLUMN IF NOT EXISTS peer LowCardinality(String) ALIAS multiIf(
        peer_kind = '', '',
        peer_kind = 'queue', arrayStringConcat(arrayFilter(part -> part != '', [
            attributes['messaging.system'],
            if(
                attributes['messaging.destination.name'] != '',
                attributes['messaging.destination.name'],
                attributes['messaging.destination']
            )
        ]), ':'),
        attributes['peer.service'] != '', attributes['peer.service'],
        peer_kind = 'host', if(attributes['server.address'] != '', attributes['server.address'], attributes['net.peer.name']),
        arrayStringConcat(arrayFilter(part -> part != '', [
            if(attributes['db.system.name'] != '', attributes['db.system.name'], attributes['db.system']),
            if(attributes['server.address'] != '', attributes['server.address'], attributes['net.peer.name']),
            if(attributes['db.namespace'] != '', attributes['db.namespace'], attributes['db.name'])
        ]), ':')
    ) COMMENT 'peer.service, or system:queue, address, system:address:database';

-- What matching reads of a span. A minute that is older than these is matched from `spans`.

CREATE TABLE IF NOT EXISTS half_edges
(
    time DateTime64(9) CODEC(Delta(8), ZSTD(1)) COMMENT 'start of the span',
    trace_id FixedString(16) CODEC(ZSTD(1)),
    span_id UInt64 CODEC(NONE),
    caller_id UInt64 CODEC(NONE) COMMENT 'the span that called this one, if one did; 0: none',
    shared UInt8 CODEC(ZSTD(1)),
    service LowCardinality(String) CODEC(ZSTD(1)),
    kind Int8 CODEC(ZSTD(1)),
    error UInt8 CODEC(ZSTD(1)),
    duration_ns UInt64 CODEC(T64, ZSTD(1)),
    weight Float64 CODEC(ZSTD(1)),
    peer LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'whom a client or producer says it asks, and the queue of a consumer',
    peer_kind LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'database, queue or host; empty: not told'
)
ENGINE = MergeTree
PARTITION BY toStartOfInterval(time, INTERVAL 6 HOUR)
ORDER BY (toStartOfMinute(time), trace_id, span_id)
TTL toDateTime(time) + INTERVAL 6 HOUR
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000,
    fsync_after_insert = 1, fsync_part_directory = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS half_edges_from_spans TO half_edges AS
SELECT
    time,
    trace_id,
    span_id,
    caller_id,
    shared,
    service,
    kind,
    error,
    duration_ns,
    weight,
    peer,
    peer_kind
FROM spans;

-- How many spans each minute has. A minute whose edges were made of as many is settled.

CREATE TABLE IF NOT EXISTS span_minutes
(
    minute DateTime CODEC(Delta(4), ZSTD(1)),
    spans SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    shared SimpleAggregateFunction(max, UInt8) CODEC(ZSTD(1)) COMMENT '1: it has spans that are shared'
)
ENGINE = AggregatingMergeTree
PARTITION BY toDate(minute)
ORDER BY minute
TTL minute + INTERVAL 8 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000,
    fsync_after_insert = 1, fsync_part_directory = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS span_minutes_from_spans TO span_minutes AS
SELECT
    toStartOfMinute(s.time) AS minute,
    count() AS spans,
    max(s.shared) AS shared
FROM spans AS s
GROUP BY minute;

-- Which version of a period's rows is in force: the highest. Rows of others are of no account.

CREATE TABLE IF NOT EXISTS edge_settlements
(
    grain Enum8('1m' = 1, '1h' = 2) CODEC(ZSTD(1)),
    time DateTime CODEC(Delta(4), ZSTD(1)) COMMENT 'when the period begins',
    version UInt64 CODEC(ZSTD(1)),
    basis UInt64 CODEC(ZSTD(1)) COMMENT 'how many spans a minute was made of; sum of the versions of an hour''s minutes'
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toStartOfMonth(time)
ORDER BY (grain, time)
TTL time + INTERVAL 400 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000,
    fsync_after_insert = 1, fsync_part_directory = 1;

-- What matching finds goes through here and is kept in the tables below.

CREATE TABLE IF NOT EXISTS matched_calls
(
    version UInt64,
    time DateTime,
    source LowCardinality(String) COMMENT 'empty: not known',
    destination LowCardinality(String),
    peer_kind LowCardinality(String) COMMENT 'database, queue or host, when the destination is such; from queue, when the source is one',
    counted UInt8 COMMENT '0: no call, or none that one could be sure of',
    reason LowCardinality(String) COMMENT 'why an end is not known; empty: both are',
    wanted Enum8('' = 0, 'caller' = 1, 'callee' = 2) COMMENT 'which span may still come',
    span_id UInt64 COMMENT 'of the caller wanted, or of the one who wants a callee',
    error UInt8,
    weight Float64,
    duration_ns UInt64
)
ENGINE = Null;

CREATE TABLE IF NOT EXISTS span_edges_1s
(
    time DateTime CODEC(Delta(4), ZSTD(1)),
    version UInt64 CODEC(ZSTD(1)) COMMENT 'that of the minute it was settled in',
    source LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'empty: not known',
    destination LowCardinality(String) CODEC(ZSTD(1)),
    peer_kind LowCardinality(String) CODEC(ZSTD(1)),
    requests SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
    errors SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
    duration_ns SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
    latency SimpleAggregateFunction(sumMap, Map(UInt8, UInt64)) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toDate(time)
ORDER BY (toStartOfHour(time), source, destination, peer_kind, time, version)
TTL time + INTERVAL 1 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000,
    fsync_after_insert = 1, fsync_part_directory = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS span_edges_1s_from_matched_calls TO span_edges_1s AS
SELECT
    c.time AS time,
    c.version AS version,
    c.source AS source,
    c.destination AS destination,
    c.peer_kind AS peer_kind,
    sum(c.weight) AS requests,
    sum(c.weight * c.error) AS errors,
    sum(c.weight * c.duration_ns) AS duration_ns,
    sumMap(map(
        toUInt8(least(255, greatest(0, toInt64(floor(log2(greatest(c.duration_ns, 1000) / 1000.) * 8))))),
        toUInt64(round(c.weight))
    )) AS latency
FROM matched_calls AS c
WHERE c.counted
GROUP BY time, version, source, destination, peer_kind;

CREATE TABLE IF NOT EXISTS span_edges_1m AS span_edges_1s
ENGINE = AggregatingMergeTree
PARTITION BY toDate(time)
ORDER BY (toStartOfHour(time), source, destination, peer_kind, time, version)
TTL time + INTERVAL 30 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000,
    fsync_after_insert = 1, fsync_part_directory = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS span_edges_1m_from_span_edges_1s TO span_edges_1m AS
SELECT
    toStartOfMinute(time) AS time,
    version,
    source,
    destination,
    peer_kind,
    sum(requests) AS requests,
    sum(errors) AS errors,
    sum(duration_ns) AS duration_ns,
    sumMap(latency) AS latency
FROM span_edges_1s
GROUP BY time, version, source, destination, peer_kind;

-- Filled from the minutes of an hour that has passed.

CREATE TABLE IF NOT EXISTS span_edges_1h AS span_edges_1s
ENGINE = AggregatingMergeTree
PARTITION BY toStartOfMonth(time)
ORDER BY (source, destination, peer_kind, time, version)
TTL time + INTERVAL 400 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000,
    fsync_after_insert = 1, fsync_part_directory = 1;

-- Spans whose other half may still come: a minute that wants a span which arrives is settled anew.

CREATE TABLE IF NOT EXISTS wanted_spans
(
    minute DateTime CODEC(Delta(4), ZSTD(1)) COMMENT 'of the span that wants',
    version UInt64 CODEC(ZSTD(1)),
    wanted Enum8('' = 0, 'caller' = 1, 'callee' = 2) CODEC(ZSTD(1)) COMMENT 'a span of this id, or a child of it',
    span_id UInt64 CODEC(NONE)
)
ENGINE = MergeTree
PARTITION BY toStartOfInterval(minute, INTERVAL 6 HOUR)
ORDER BY (minute, version, wanted)
TTL minute + INTERVAL 6 HOUR
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000,
    fsync_after_insert = 1, fsync_part_directory = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS wanted_spans_from_matched_calls TO wanted_spans AS
SELECT
    toStartOfMinute(time) AS minute,
    version,
    wanted,
    span_id
FROM matched_calls
WHERE wanted != '';

-- Calls of which one end is not known, and why.

CREATE TABLE IF NOT EXISTS unpaired_spans
(
    time DateTime CODEC(Delta(4), ZSTD(1)) COMMENT 'a minute',
    version UInt64 CODEC(ZSTD(1)),
    service LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'whose span it is',
    reason LowCardinality(String) CODEC(ZSTD(1)),
    spans SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toDate(time)
ORDER BY (toStartOfHour(time), service, reason, time, version)
TTL time + INTERVAL 30 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000,
    fsync_after_insert = 1, fsync_part_directory = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS unpaired_spans_from_matched_calls TO unpaired_spans AS
SELECT
    toStartOfMinute(c.time) AS time,
    c.version AS version,
    if(c.destination = '', c.source, c.destination) AS service,
    c.reason AS reason,
    sum(c.weight) AS spans
FROM matched_calls AS c
WHERE c.reason != ''
GROUP BY time, version, service, reason;

-- Spans that were there before: those of the last hour, as callers of what comes, and how many there
-- are. Their minutes, of version 1 till then, are settled from `spans`. Twice is harmless, for the token.

INSERT INTO half_edges
SETTINGS insert_deduplication_token = '0009:half_edges', async_insert = 0
SELECT time, trace_id, span_id, caller_id, shared, service, kind, error, duration_ns, weight, peer, peer_kind
FROM spans
WHERE time > now() - INTERVAL 65 MINUTE;

INSERT INTO span_minutes
SETTINGS insert_deduplication_token = '0009:span_minutes', async_insert = 0
SELECT toStartOfMinute(s.time) AS minute, count() AS spans, max(s.shared) AS shared
FROM spans AS s
GROUP BY minute;

INSERT INTO edge_settlements
SETTINGS insert_deduplication_token = '0009:edge_settlements', async_insert = 0
SELECT DISTINCT '1m' AS grain, toStartOfMinute(time) AS time, 1 AS version, 0 AS basis
FROM spans;
