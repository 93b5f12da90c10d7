-- Zipkin's client and server may report one span: two rows of one id, of which the server's says so.

ALTER TABLE spans
    ADD COLUMN IF NOT EXISTS shared UInt8 CODEC(ZSTD(1)) COMMENT '1: the caller''s span has the same span_id' AFTER weight;
