-- Who called whom, per second, minute and hour. `latency` counts requests by logarithmic bucket:
-- bucket b holds durations of [2^(b/8), 2^((b+1)/8)) microseconds, 0 to 255, so that a percentile
-- read from it is at most 4.5 % off, and rows of any two periods add up.

CREATE TABLE IF NOT EXISTS edges_1s
(
    time DateTime CODEC(Delta(4), ZSTD(1)),
    source LowCardinality(String) CODEC(ZSTD(1)),
    destination LowCardinality(String) CODEC(ZSTD(1)),
    reporter Enum8('source' = 1, 'destination' = 2) CODEC(ZSTD(1)),
    requests SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
    errors SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
    denied SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
    duration_ns SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
    latency SimpleAggregateFunction(sumMap, Map(UInt8, UInt64)) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toDate(time)
ORDER BY (toStartOfHour(time), source, destination, reporter, time)
TTL time + INTERVAL 1 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000,
    fsync_after_insert = 1, fsync_part_directory = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS edges_1s_from_requests TO edges_1s AS
SELECT
    toDateTime(r.time) AS time,
    r.source AS source,
    r.destination AS destination,
    r.reporter AS reporter,
    sum(r.weight) AS requests,
    sum(r.weight * r.error) AS errors,
    sum(r.weight * r.denied) AS denied,
    sum(r.weight * r.duration_ns) AS duration_ns,
    sumMap(map(
        toUInt8(least(255, greatest(0, toInt64(floor(log2(greatest(r.duration_ns, 1000) / 1000.) * 8))))),
        toUInt64(round(r.weight))
    )) AS latency
FROM requests AS r
GROUP BY time, source, destination, reporter;

CREATE TABLE IF NOT EXISTS edges_1m AS edges_1s
ENGINE = AggregatingMergeTree
PARTITION BY toDate(time)
ORDER BY (toStartOfHour(time), source, destination, reporter, time)
TTL time + INTERVAL 30 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000,
    fsync_after_insert = 1, fsync_part_directory = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS edges_1m_from_edges_1s TO edges_1m AS
SELECT
    toStartOfMinute(time) AS time,
    source,
    destination,
    reporter,
    sum(requests) AS requests,
    sum(errors) AS errors,
    sum(denied) AS denied,
    sum(duration_ns) AS duration_ns,
    sumMap(latency) AS latency
FROM edges_1s
GROUP BY time, source, destination, reporter;

CREATE TABLE IF NOT EXISTS edges_1h AS edges_1s
ENGINE = AggregatingMergeTree
PARTITION BY toStartOfMonth(time)
ORDER BY (source, destination, reporter, time)
TTL time + INTERVAL 400 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000,
    fsync_after_insert = 1, fsync_part_directory = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS edges_1h_from_edges_1m TO edges_1h AS
SELECT
    toStartOfHour(time) AS time,
    source,
    destination,
    reporter,
    sum(requests) AS requests,
    sum(errors) AS errors,
    sum(denied) AS denied,
    sum(duration_ns) AS duration_ns,
    sumMap(latency) AS latency
FROM edges_1m
GROUP BY time, source, destination, reporter;
