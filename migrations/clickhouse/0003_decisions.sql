-- What a decision says since rules have overrides, shadows and drafts.

ALTER TABLE decisions
    ADD COLUMN IF NOT EXISTS http_status UInt16 CODEC(ZSTD(1)) COMMENT 'of a denial; 0: allowed' AFTER reason,
    ADD COLUMN IF NOT EXISTS quota_granted Int64 DEFAULT -1 CODEC(ZSTD(1)) COMMENT 'charged; -1: no quota' AFTER quota_remaining,
    ADD COLUMN IF NOT EXISTS quota_override LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'name of the override that decided' AFTER quota_key,
    ADD COLUMN IF NOT EXISTS beside_rule Array(LowCardinality(String)) CODEC(ZSTD(1)) COMMENT 'shadow rules and drafts that matched' AFTER attributes,
    ADD COLUMN IF NOT EXISTS beside_version Array(UInt32) CODEC(ZSTD(1)) AFTER beside_rule,
    ADD COLUMN IF NOT EXISTS beside_allowed Array(UInt8) CODEC(ZSTD(1)) COMMENT 'what each would have said' AFTER beside_version,
    ADD COLUMN IF NOT EXISTS beside_live Array(Int8) CODEC(ZSTD(1)) COMMENT 'of a draft, what the limit in force said; -1: a shadow rule' AFTER beside_allowed;
