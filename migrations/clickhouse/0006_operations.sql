-- What each operation of each service did, per second, minute and hour, of spans. `latency` counts
-- spans by logarithmic bucket, as edges_1s does.

CREATE TABLE IF NOT EXISTS operations_1s
(
    time DateTime CODEC(Delta(4), ZSTD(1)),
    service LowCardinality(String) CODEC(ZSTD(1)),
    name LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'of the span',
    kind Int8 CODEC(ZSTD(1)) COMMENT 'OTLP SpanKind',
    spans SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
    errors SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
    duration_ns SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
    latency SimpleAggregateFunction(sumMap, Map(UInt8, UInt64)) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toDate(time)
ORDER BY (toStartOfHour(time), service, name, kind, time)
TTL time + INTERVAL 1 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000,
    fsync_after_insert = 1, fsync_part_directory = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS operations_1s_from_spans TO operations_1s AS
SELECT
    toDateTime(s.time) AS time,
    s.service AS service,
    s.name AS name,
    s.kind AS kind,
    sum(s.weight) AS spans,
    sum(s.weight * s.error) AS errors,
    sum(s.weight * s.duration_ns) AS duration_ns,
    sumMap(map(
        toUInt8(least(255, greatest(0, toInt64(floor(log2(greatest(s.duration_ns, 1000) / 1000.) * 8))))),
        toUInt64(round(s.weight))
    )) AS latency
FROM spans AS s
GROUP BY time, service, name, kind;

CREATE TABLE IF NOT EXISTS operations_1m AS operations_1s
ENGINE = AggregatingMergeTree
PARTITION BY toDate(time)
ORDER BY (toStartOfHour(time), service, name, kind, time)
TTL time + INTERVAL 30 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000,
    fsync_after_insert = 1, fsync_part_directory = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS operations_1m_from_operations_1s TO operations_1m AS
SELECT
    toStartOfMinute(time) AS time,
    service,
    name,
    kind,
    sum(spans) AS spans,
    sum(errors) AS errors,
    sum(duration_ns) AS duration_ns,
    sumMap(latency) AS latency
FROM operations_1s
GROUP BY time, service, name, kind;

CREATE TABLE IF NOT EXISTS operations_1h AS operations_1s
ENGINE = AggregatingMergeTree
PARTITION BY toStartOfMonth(time)
ORDER BY (service, name, kind, time)
TTL time + INTERVAL 400 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000,
    fsync_after_insert = 1, fsync_part_directory = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS operations_1h_from_operations_1m TO operations_1h AS
SELECT
    toStartOfHour(time) AS time,
    service,
    name,
    kind,
    sum(spans) AS spans,
    sum(errors) AS errors,
    sum(duration_ns) AS duration_ns,
    sumMap(latency) AS latency
FROM operations_1m
GROUP BY time, service, name, kind;
