-- The outbox file. Nothing is updated in `requests`: a row rewritten is a body written twice.

CREATE TABLE IF NOT EXISTS identity
(
    collector_id TEXT NOT NULL -- part of every deduplication token
);

CREATE TABLE IF NOT EXISTS requests
(
    id INTEGER PRIMARY KEY, -- ascending: a group is a range of them
    signal TEXT NOT NULL,
    identity TEXT NOT NULL,
    received_ns INTEGER NOT NULL,
    digest BLOB NOT NULL,
    size INTEGER NOT NULL,
    items INTEGER NOT NULL,
    body BLOB NOT NULL
);

CREATE TABLE IF NOT EXISTS groups
(
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again: part of the deduplication token
    first_request INTEGER NOT NULL,
    last_request INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    state INTEGER NOT NULL DEFAULT 0, -- 0 pending, 1 done, 2 quarantined
    sends INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    lease_until_s REAL NOT NULL DEFAULT 0,
    failure TEXT NOT NULL DEFAULT '', -- the last fault of its own
    done_s REAL NOT NULL DEFAULT 0,
    replays INTEGER NOT NULL DEFAULT 0, -- from quarantine
    begun INTEGER NOT NULL DEFAULT 0, -- attempts of any outcome
    quarantined_s REAL NOT NULL DEFAULT 0
);

CREATE INDEX IF NOT EXISTS groups_by_state ON groups (state, id);

-- Whose items a group holds, until what became of them is in `books`.
CREATE TABLE IF NOT EXISTS group_parts
(
    group_id INTEGER NOT NULL,
    signal TEXT NOT NULL,
    client TEXT NOT NULL,
    reports INTEGER NOT NULL,
    items INTEGER NOT NULL,
    PRIMARY KEY (group_id, signal, client)
) WITHOUT ROWID;

-- What became of all that was ever frozen. Written with the group it is about, in one transaction.
CREATE TABLE IF NOT EXISTS books
(
    signal TEXT NOT NULL,
    client TEXT NOT NULL,
    kind TEXT NOT NULL, -- reports, accepted, stored, skipped, refused, discarded
    reason TEXT NOT NULL, -- of what was refused, else ''
    total INTEGER NOT NULL,
    PRIMARY KEY (signal, client, kind, reason)
) WITHOUT ROWID;

-- The names of a group that are stored under another, as JSON: decided once.
CREATE TABLE IF NOT EXISTS verdicts
(
    group_id INTEGER PRIMARY KEY,
    over TEXT NOT NULL
);

-- Names that have a place in the budget.
CREATE TABLE IF NOT EXISTS names
(
    kind TEXT NOT NULL, -- service, operation
    owner TEXT NOT NULL, -- the sender that brought the service, the service that has the operation
    name TEXT NOT NULL,
    PRIMARY KEY (kind, owner, name)
) WITHOUT ROWID;

-- Digests of purged requests, so that a late retry is still known.
CREATE TABLE IF NOT EXISTS digests
(
    id INTEGER PRIMARY KEY,
    received_s INTEGER NOT NULL,
    digest BLOB NOT NULL
);

-- In memory, made anew at each start. On disk the digests' random order would dirty a page of
-- 64 KiB for every small report.
CREATE TABLE volatile.recent
(
    digest BLOB PRIMARY KEY
) WITHOUT ROWID;

CREATE TABLE volatile.unfrozen
(
    requests INTEGER NOT NULL,
    bytes INTEGER NOT NULL
);

-- Of whom that is.
CREATE TABLE volatile.waiting
(
    signal TEXT NOT NULL,
    client TEXT NOT NULL,
    reports INTEGER NOT NULL,
    items INTEGER NOT NULL,
    PRIMARY KEY (signal, client)
) WITHOUT ROWID;
