-- Spans in less room, and found by the values of their attributes. Rows that are there keep their
-- codecs until their part is merged; the index is made of them now. Spans of a trace that one
-- service has lie close to each other, so that ids they share compress.

ALTER TABLE spans
    MODIFY COLUMN trace_id FixedString(16) CODEC(ZSTD(1)),
    MODIFY COLUMN parent_id UInt64 CODEC(ZSTD(1)),
    MODIFY COLUMN attributes Map(LowCardinality(String), String) CODEC(ZSTD(3)),
    MODIFY COLUMN resource Map(LowCardinality(String), String) CODEC(ZSTD(3));

ALTER TABLE spans
    ADD INDEX IF NOT EXISTS attribute_values arrayConcat(mapValues(attributes), mapValues(resource)) TYPE bloom_filter(0.05) GRANULARITY 1;

ALTER TABLE spans MATERIALIZE INDEX attribute_values;
