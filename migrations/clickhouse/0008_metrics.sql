-- Data points of metrics, as they were sent: a cumulative one is differenced when it is asked for,
-- so that neither the order in which points come nor a repetition changes an answer.

CREATE TABLE IF NOT EXISTS metric_points
(
    time DateTime64(9) CODEC(DoubleDelta, ZSTD(1)),
    start DateTime64(9) CODEC(DoubleDelta, ZSTD(1)) COMMENT 'when the run began that a cumulative point counts from, or a delta''s interval; 1970: not told',
    metric LowCardinality(String) CODEC(ZSTD(1)),
    kind Enum8('gauge' = 1, 'sum' = 2, 'histogram' = 3, 'exponential_histogram' = 4, 'summary' = 5) CODEC(ZSTD(1)),
    temporality Enum8('none' = 0, 'delta' = 1, 'cumulative' = 2) CODEC(ZSTD(1)),
    monotonic UInt8 CODEC(ZSTD(1)) COMMENT '1: never falls but where a run begins',
    unit LowCardinality(String) CODEC(ZSTD(1)),
    service LowCardinality(String) CODEC(ZSTD(1)),
    node LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'who sent it',
    sender UInt64 CODEC(ZSTD(1)) COMMENT 'hash of what measured: the resource, and the node if no instance is named in it',
    series UInt64 CODEC(ZSTD(1)) COMMENT 'hash of all that must agree for two points to be of one series',
    scope LowCardinality(String) CODEC(ZSTD(1)),
    attributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    resource Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    integer Int64 CODEC(T64, ZSTD(1)) COMMENT 'of a gauge or a sum that was sent as an integer; else 0',
    double Float64 CODEC(ZSTD(1)) COMMENT 'of one that was not; else 0',
    value Float64 ALIAS integer + double,
    non_finite Enum8('' = 0, 'nan' = 1, 'inf' = 2, '-inf' = 3) CODEC(ZSTD(1)) COMMENT 'what the value was when it was no number: it is 0 then, and counts nowhere',
    observations UInt64 CODEC(T64, ZSTD(1)) COMMENT 'that a histogram or summary is of',
    sum Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'of the values observed',
    min Nullable(Float64) CODEC(ZSTD(1)),
    max Nullable(Float64) CODEC(ZSTD(1)),
    bounds Array(Float64) CODEC(ZSTD(1)) COMMENT 'upper bounds, inclusive, of all buckets of a histogram but the last',
    buckets Array(UInt64) CODEC(ZSTD(1)) COMMENT 'counts of its buckets',
    scale Int8 CODEC(ZSTD(1)) COMMENT 'of an exponential histogram: bucket i ends at 2^((i + 1) / 2^scale)',
    zero_count UInt64 CODEC(ZSTD(1)),
    zero_threshold Float64 CODEC(ZSTD(1)),
    positive_offset Int32 CODEC(ZSTD(1)) COMMENT 'i of the first of the buckets',
    positive Array(UInt64) CODEC(ZSTD(1)),
    negative_offset Int32 CODEC(ZSTD(1)),
    negative Array(UInt64) CODEC(ZSTD(1)),
    quantiles Array(Tuple(quantile Float64, value Float64)) CODEC(ZSTD(1)) COMMENT 'of a summary',
    _group UInt64 CODEC(ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toDate(time)
ORDER BY (metric, toStartOfHour(time), service, series, time)
TTL toDateTime(time) + INTERVAL 30 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000,
    fsync_after_insert = 1, fsync_part_directory = 1;

-- When each sender told anything at all. A series that appears was at 0 when its sender told last.

CREATE TABLE IF NOT EXISTS metric_exports
(
    sender UInt64 CODEC(ZSTD(1)),
    time DateTime64(9) CODEC(DoubleDelta, ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toDate(time)
ORDER BY (toStartOfHour(time), sender, time)
TTL toDateTime(time) + INTERVAL 30 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000,
    fsync_after_insert = 1, fsync_part_directory = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS metric_exports_from_metric_points TO metric_exports AS
SELECT DISTINCT sender, time
FROM metric_points;
