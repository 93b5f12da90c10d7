-- What makes an item a request of its own again: the bytes before and behind it.

ALTER TABLE dead_letters
    ADD COLUMN IF NOT EXISTS head String CODEC(ZSTD(1)) COMMENT 'what goes before the item' AFTER item,
    ADD COLUMN IF NOT EXISTS tail String CODEC(ZSTD(1)) COMMENT 'what goes behind it' AFTER head,
    ADD COLUMN IF NOT EXISTS replayable UInt8 CODEC(ZSTD(1)) COMMENT '0: the item is cut, or is of an older version' AFTER tail;
