-- What is stored. Every table, and every target of a materialized view, keeps a deduplication
-- window and syncs to disk on insert: a retried insert with the same token adds nothing.

CREATE TABLE IF NOT EXISTS spans
(
    time DateTime64(9) CODEC(Delta(8), ZSTD(1)) COMMENT 'start of the span',
    trace_id FixedString(16) CODEC(NONE),
    span_id UInt64 CODEC(NONE),
    parent_id UInt64 CODEC(NONE) COMMENT '0: a root',
    service LowCardinality(String) CODEC(ZSTD(1)),
    name LowCardinality(String) CODEC(ZSTD(1)),
    kind Int8 CODEC(ZSTD(1)) COMMENT 'OTLP SpanKind: 1 internal, 2 server, 3 client, 4 producer, 5 consumer',
    status Int8 CODEC(ZSTD(1)) COMMENT 'OTLP StatusCode: 0 unset, 1 ok, 2 error',
    error UInt8 CODEC(ZSTD(1)),
    http_status UInt16 CODEC(ZSTD(1)) COMMENT '0: none',
    duration_ns UInt64 CODEC(T64, ZSTD(1)),
    attributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    resource Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    events Array(Tuple(time DateTime64(9), name String, attributes Map(String, String))) CODEC(ZSTD(1)),
    weight Float64 DEFAULT 1 CODEC(ZSTD(1)) COMMENT 'how many spans this one stands for',
    _group UInt64 CODEC(ZSTD(1)) COMMENT 'the outbox group it came with',
    INDEX duration duration_ns TYPE minmax GRANULARITY 1,
    INDEX trace trace_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toDate(time)
ORDER BY (service, toStartOfFiveMinutes(time), time)
TTL toDateTime(time) + INTERVAL 7 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000,
    fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS requests
(
    time DateTime64(9) CODEC(Delta(8), ZSTD(1)) COMMENT 'start of the request',
    source LowCardinality(String) CODEC(ZSTD(1)),
    destination LowCardinality(String) CODEC(ZSTD(1)),
    reporter Enum8('source' = 1, 'destination' = 2) CODEC(ZSTD(1)) COMMENT 'whose sidecar told',
    node LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'id of the sidecar that told',
    protocol LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'http or tcp',
    method LowCardinality(String) CODEC(ZSTD(1)),
    host LowCardinality(String) CODEC(ZSTD(1)),
    path String CODEC(ZSTD(1)),
    status UInt16 CODEC(ZSTD(1)) COMMENT '0: no response',
    error UInt8 CODEC(ZSTD(1)) COMMENT 'status of 500 or more, or none, and not denied',
    denied UInt8 CODEC(ZSTD(1)) COMMENT 'refused by policy or quota',
    flags LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'Envoy response flags, comma separated',
    details LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'Envoy response code details',
    rule LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'name@version of the denying rule, when told',
    duration_ns UInt64 CODEC(T64, ZSTD(1)),
    request_bytes UInt64 CODEC(T64, ZSTD(1)),
    response_bytes UInt64 CODEC(T64, ZSTD(1)),
    trace_id FixedString(16) CODEC(ZSTD(1)) COMMENT 'zeros: none',
    span_id UInt64 CODEC(ZSTD(1)),
    request_id String CODEC(ZSTD(1)),
    log_id String CODEC(ZSTD(1)) COMMENT 'the sidecar''s own id of this record',
    source_principal LowCardinality(String) CODEC(ZSTD(1)),
    destination_principal LowCardinality(String) CODEC(ZSTD(1)),
    source_address LowCardinality(String) CODEC(ZSTD(1)),
    tags Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    weight Float64 DEFAULT 1 CODEC(ZSTD(1)),
    _group UInt64 CODEC(ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toDate(time)
ORDER BY (destination, source, toStartOfFiveMinutes(time), time)
TTL toDateTime(time) + INTERVAL 7 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000,
    fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS decisions
(
    time DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    id String CODEC(ZSTD(1)) COMMENT 'returned to the sidecar with the answer',
    allowed UInt8 CODEC(ZSTD(1)),
    rule LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'the rule that decided; empty: none did',
    rule_version UInt32 CODEC(ZSTD(1)),
    snapshot_version UInt32 CODEC(ZSTD(1)),
    decided_by LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'deny, quota, fallback or default',
    reason String CODEC(ZSTD(1)),
    protocol LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'the front-end that asked',
    source LowCardinality(String) CODEC(ZSTD(1)),
    destination LowCardinality(String) CODEC(ZSTD(1)),
    source_principal LowCardinality(String) CODEC(ZSTD(1)),
    method LowCardinality(String) CODEC(ZSTD(1)),
    path String CODEC(ZSTD(1)),
    request_id String CODEC(ZSTD(1)),
    trace_id FixedString(16) CODEC(ZSTD(1)) COMMENT 'zeros: none',
    quota_limit Int64 CODEC(ZSTD(1)) COMMENT '-1: no quota',
    quota_remaining Int64 CODEC(ZSTD(1)) COMMENT '-1: no quota',
    quota_key String CODEC(ZSTD(1)) COMMENT 'the values of its dimensions',
    attributes Map(LowCardinality(String), String) CODEC(ZSTD(1)) COMMENT 'what the rule read',
    weight Float64 DEFAULT 1 CODEC(ZSTD(1)) COMMENT 'how many decisions this one stands for',
    _group UInt64 CODEC(ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toDate(time)
ORDER BY (allowed, toStartOfFiveMinutes(time), destination, source, time)
TTL toDateTime(time) + INTERVAL 30 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000,
    fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS dead_letters
(
    time DateTime64(9) CODEC(Delta(8), ZSTD(1)) COMMENT 'when the request was accepted',
    signal LowCardinality(String) CODEC(ZSTD(1)),
    reason LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'one of a fixed list',
    detail String CODEC(ZSTD(1)),
    identity LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'who sent it',
    item String CODEC(ZSTD(1)) COMMENT 'the refused item as received',
    _group UInt64 CODEC(ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toDate(time)
ORDER BY (signal, reason, time)
TTL toDateTime(time) + INTERVAL 30 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000,
    fsync_after_insert = 1, fsync_part_directory = 1;
