-- Log records. Access logs that tell of a request are not here: they are rows of `requests`.

CREATE TABLE IF NOT EXISTS logs
(
    time DateTime64(9) CODEC(Delta(8), ZSTD(1)) COMMENT 'of the event; when it was observed or accepted, if it has none',
    observed DateTime64(9) CODEC(Delta(8), ZSTD(1)) COMMENT '1970: not told',
    service LowCardinality(String) CODEC(ZSTD(1)),
    severity UInt8 CODEC(ZSTD(1)) COMMENT 'OTLP SeverityNumber: 1 trace, 5 debug, 9 info, 13 warn, 17 error, 21 fatal and up; 0 not told',
    severity_text LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'as the sender calls it',
    body String CODEC(ZSTD(1)) COMMENT 'text, or JSON of what is none',
    event LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'event_name; empty: a log record',
    trace_id FixedString(16) CODEC(ZSTD(1)) COMMENT 'zeros: none',
    span_id UInt64 CODEC(ZSTD(1)) COMMENT '0: none',
    scope LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'the logger',
    attributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    resource Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    _group UInt64 CODEC(ZSTD(1)),
    INDEX trace trace_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX words lower(body) TYPE tokenbf_v1(16384, 3, 0) GRANULARITY 4
)
ENGINE = MergeTree
PARTITION BY toDate(time)
ORDER BY (service, toStartOfFiveMinutes(time), time)
TTL toDateTime(time) + INTERVAL 7 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000,
    fsync_after_insert = 1, fsync_part_directory = 1;
