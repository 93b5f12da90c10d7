"""Two public ClickHouse schemas of spans, and the questions put to each as its own reader does.

Compared with what they publish: the OpenTelemetry Collector's ClickHouse exporter (templates
`internal/sqltemplates/traces*` at f92a576 of opentelemetry-collector-contrib, the lookup table's
at 61540ce) and Jaeger 2's ClickHouse storage (`internal/storage/v2/clickhouse/sql` at 8498073,
after 2.20.0). Columns that no span of the comparison would fill (events, links, scopes, and
Jaeger's attributes of other types than text) are left out of both, for they cost next to nothing
when they are empty. Searches are for the newest traces of each; Jaeger itself takes any.
"""

OTEL = (
    """
    CREATE TABLE otel_traces
    (
        Timestamp DateTime64(9) CODEC(Delta, ZSTD(1)),
        TraceId String CODEC(ZSTD(1)),
        SpanId String CODEC(ZSTD(1)),
        ParentSpanId String CODEC(ZSTD(1)),
        TraceState String CODEC(ZSTD(1)),
        SpanName LowCardinality(String) CODEC(ZSTD(1)),
        SpanKind LowCardinality(String) CODEC(ZSTD(1)),
        ServiceName LowCardinality(String) CODEC(ZSTD(1)),
        ResourceAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
        ScopeName String CODEC(ZSTD(1)),
        ScopeVersion String CODEC(ZSTD(1)),
        SpanAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
        Duration UInt64 CODEC(ZSTD(1)),
        StatusCode LowCardinality(String) CODEC(ZSTD(1)),
        StatusMessage String CODEC(ZSTD(1)),
        INDEX idx_trace_id TraceId TYPE bloom_filter(0.001) GRANULARITY 1,
        INDEX idx_res_attr_key mapKeys(ResourceAttributes) TYPE bloom_filter(0.01) GRANULARITY 1,
        INDEX idx_res_attr_value mapValues(ResourceAttributes)
            TYPE bloom_filter(0.01) GRANULARITY 1,
        INDEX idx_span_attr_key mapKeys(SpanAttributes) TYPE bloom_filter(0.01) GRANULARITY 1,
        INDEX idx_span_attr_value mapValues(SpanAttributes) TYPE bloom_filter(0.01) GRANULARITY 1,
        INDEX idx_duration Duration TYPE minmax GRANULARITY 1
    )
    ENGINE = MergeTree
    PARTITION BY toDate(Timestamp)
    ORDER BY (ServiceName, SpanName, toDateTime(Timestamp))
    SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1
    """,
    """
    CREATE TABLE otel_traces_trace_id_ts
    (
        TraceId String CODEC(ZSTD(1)),
        Start DateTime CODEC(Delta, ZSTD(1)),
        End DateTime CODEC(Delta, ZSTD(1)),
        INDEX idx_trace_id TraceId TYPE bloom_filter(0.01) GRANULARITY 1
    )
    ENGINE = MergeTree
    PARTITION BY toDate(Start)
    ORDER BY (TraceId, Start)
    """,
    """
    CREATE MATERIALIZED VIEW otel_traces_trace_id_ts_mv TO otel_traces_trace_id_ts AS
    SELECT TraceId, min(Timestamp) AS Start, max(Timestamp) AS End
    FROM otel_traces
    WHERE TraceId != ''
    GROUP BY TraceId
    """,
)

OTEL_INSERT = """
INSERT INTO otel_traces (
    Timestamp, TraceId, SpanId, ParentSpanId, SpanName, SpanKind, ServiceName, ResourceAttributes,
    SpanAttributes, Duration, StatusCode
)
SELECT
    time,
    lower(hex(trace_id)),
    leftPad(lower(hex(span_id)), 16, '0'),
    if(parent_id = 0, '', leftPad(lower(hex(parent_id)), 16, '0')),
    name,
    ['Unspecified', 'Internal', 'Server', 'Client', 'Producer', 'Consumer'][kind + 1],
    service,
    resource,
    attributes,
    duration_ns,
    ['Unset', 'Ok', 'Error'][status + 1]
FROM source.spans
"""

OTEL_QUESTIONS = {
    "graph of the hour": """
        SELECT caller.ServiceName, callee.ServiceName, count(),
            countIf(callee.StatusCode = 'Error'), quantiles(0.5, 0.95, 0.99)(callee.Duration)
        FROM otel_traces AS callee
        INNER JOIN otel_traces AS caller
        ON callee.TraceId = caller.TraceId AND callee.ParentSpanId = caller.SpanId
        WHERE callee.ServiceName != caller.ServiceName AND callee.SpanKind = 'Server'
        GROUP BY caller.ServiceName, callee.ServiceName
    """,
    "percentiles of an edge": """
        SELECT toStartOfMinute(callee.Timestamp) AS minute, count(),
            quantiles(0.5, 0.95, 0.99)(callee.Duration)
        FROM otel_traces AS callee
        INNER JOIN
            (SELECT TraceId, SpanId FROM otel_traces WHERE ServiceName = %(source)s) AS caller
        ON callee.TraceId = caller.TraceId AND callee.ParentSpanId = caller.SpanId
        WHERE callee.ServiceName = %(destination)s AND callee.SpanKind = 'Server'
        GROUP BY minute
    """,
    "trace by id": """
        WITH
        (SELECT min(Start) FROM otel_traces_trace_id_ts WHERE TraceId = %(trace_id)s) AS first,
        (SELECT max(End) + 1 FROM otel_traces_trace_id_ts WHERE TraceId = %(trace_id)s) AS last
        SELECT * FROM otel_traces
        WHERE TraceId = %(trace_id)s AND Timestamp >= first AND Timestamp <= last
    """,
    "service, duration, attribute": """
        SELECT TraceId, max(Timestamp) AS at FROM otel_traces
        WHERE ServiceName = %(service)s AND Duration >= %(min_ns)s
            AND SpanAttributes[%(key)s] = %(value)s
        GROUP BY TraceId ORDER BY at DESC LIMIT 20
    """,
    "attribute alone": """
        SELECT TraceId, max(Timestamp) AS at FROM otel_traces
        WHERE SpanAttributes[%(key)s] = %(value)s
        GROUP BY TraceId ORDER BY at DESC LIMIT 20
    """,
}

JAEGER = (
    """
    CREATE TABLE spans
    (
        id String,
        trace_id String,
        trace_state String,
        parent_span_id String,
        name String,
        kind String,
        start_time DateTime64(9),
        status_code String,
        status_message String,
        duration Int64,
        bool_attributes Nested(key String, value Bool),
        double_attributes Nested(key String, value Float64),
        int_attributes Nested(key String, value Int64),
        str_attributes Nested(key String, value String),
        complex_attributes Nested(key String, value String),
        service_name String,
        resource_str_attributes Nested(key String, value String),
        scope_name String,
        scope_version String,
        INDEX idx_trace_id trace_id TYPE bloom_filter GRANULARITY 1,
        INDEX idx_duration duration TYPE minmax GRANULARITY 1
    )
    ENGINE = MergeTree
    PARTITION BY toDate(start_time)
    ORDER BY (service_name, name, toDateTime(start_time))
    """,
    """
    CREATE TABLE trace_id_timestamps
    (
        trace_id String,
        start SimpleAggregateFunction(min, DateTime64(9)),
        end SimpleAggregateFunction(max, DateTime64(9))
    )
    ENGINE = AggregatingMergeTree
    ORDER BY trace_id
    """,
    """
    CREATE MATERIALIZED VIEW trace_id_timestamps_mv TO trace_id_timestamps AS
    SELECT trace_id, min(start_time) AS start, max(start_time) AS end
    FROM spans
    GROUP BY trace_id
    """,
    "CREATE TABLE services (name String) ENGINE = AggregatingMergeTree ORDER BY name",
    """
    CREATE MATERIALIZED VIEW services_mv TO services AS
    SELECT service_name AS name
    FROM spans
    GROUP BY service_name
    """,
    """
    CREATE TABLE operations (service_name String, name String, span_kind String)
    ENGINE = AggregatingMergeTree
    ORDER BY (service_name, span_kind)
    """,
    """
    CREATE MATERIALIZED VIEW operations_mv TO operations AS
    SELECT name, kind AS span_kind, service_name
    FROM spans
    """,
    """
    CREATE TABLE attribute_metadata (attribute_key String, type String, level String)
    ENGINE = AggregatingMergeTree
    ORDER BY (attribute_key, type, level)
    """,
    """
    CREATE MATERIALIZED VIEW attribute_metadata_mv TO attribute_metadata AS
    SELECT told.1 AS attribute_key, told.2 AS type, told.3 AS level
    FROM
    (
        SELECT arrayJoin(arrayConcat(
            arrayMap(k -> (k, 'str', 'span'), str_attributes.key),
            arrayMap(k -> (k, 'str', 'resource'), resource_str_attributes.key)
        )) AS told
        FROM spans
    )
    GROUP BY attribute_key, type, level
    """,
)

JAEGER_INSERT = """
INSERT INTO spans (
    id, trace_id, parent_span_id, name, kind, start_time, status_code, duration,
    str_attributes.key, str_attributes.value, service_name, resource_str_attributes.key,
    resource_str_attributes.value
)
SELECT
    leftPad(lower(hex(span_id)), 16, '0'),
    lower(hex(trace_id)),
    if(parent_id = 0, '', leftPad(lower(hex(parent_id)), 16, '0')),
    name,
    ['unspecified', 'internal', 'server', 'client', 'producer', 'consumer'][kind + 1],
    time,
    ['Unset', 'Ok', 'Error'][status + 1],
    duration_ns,
    mapKeys(attributes),
    mapValues(attributes),
    service,
    mapKeys(resource),
    mapValues(resource)
FROM source.spans
"""

JAEGER_QUESTIONS = {
    "graph of the hour": """
        SELECT caller.service_name, callee.service_name, count(),
            countIf(callee.status_code = 'Error'), quantiles(0.5, 0.95, 0.99)(callee.duration)
        FROM spans AS callee
        INNER JOIN spans AS caller
        ON callee.trace_id = caller.trace_id AND callee.parent_span_id = caller.id
        WHERE callee.service_name != caller.service_name AND callee.kind = 'server'
        GROUP BY caller.service_name, callee.service_name
    """,
    "percentiles of an edge": """
        SELECT toStartOfMinute(callee.start_time) AS minute, count(),
            quantiles(0.5, 0.95, 0.99)(callee.duration)
        FROM spans AS callee
        INNER JOIN (SELECT trace_id, id FROM spans WHERE service_name = %(source)s) AS caller
        ON callee.trace_id = caller.trace_id AND callee.parent_span_id = caller.id
        WHERE callee.service_name = %(destination)s AND callee.kind = 'server'
        GROUP BY minute
    """,
    "trace by id": """
        SELECT * FROM spans WHERE trace_id = %(trace_id)s
    """,
    "service, duration, attribute": """
        SELECT trace_id, max(start_time) AS at FROM spans
        WHERE service_name = %(service)s AND duration >= %(min_ns)s
            AND arrayExists((k, v) -> k = %(key)s AND v = %(value)s,
                str_attributes.key, str_attributes.value)
        GROUP BY trace_id ORDER BY at DESC LIMIT 20
    """,
    "attribute alone": """
        SELECT trace_id, max(start_time) AS at FROM spans
        WHERE arrayExists((k, v) -> k = %(key)s AND v = %(value)s,
                str_attributes.key, str_attributes.value)
        GROUP BY trace_id ORDER BY at DESC LIMIT 20
    """,
}
