-- Decisions are found by their ids: about two granules are read in place of all. And whom a shadow
-- rule or a draft would have refused is told.

ALTER TABLE decisions
    ADD COLUMN IF NOT EXISTS beside_key Array(String) CODEC(ZSTD(1)) COMMENT 'the values of its dimensions, of a quota' AFTER beside_live,
    ADD INDEX IF NOT EXISTS id id TYPE bloom_filter(0.01) GRANULARITY 1,
    ADD INDEX IF NOT EXISTS request request_id TYPE bloom_filter(0.01) GRANULARITY 1,
    ADD INDEX IF NOT EXISTS trace trace_id TYPE bloom_filter(0.01) GRANULARITY 1;

ALTER TABLE decisions MATERIALIZE INDEX id;

ALTER TABLE decisions MATERIALIZE INDEX request;

ALTER TABLE decisions MATERIALIZE INDEX trace;
