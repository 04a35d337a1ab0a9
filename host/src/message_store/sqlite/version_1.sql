CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO meta (name, value) VALUES ('generation', 0), ('last-seen-time', 0);

-- Immutable. AUTOINCREMENT: a seq is an age, and is never given twice.
CREATE TABLE message (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    id           BLOB NOT NULL UNIQUE,
    parent       BLOB,
    key          TEXT,
    content_type TEXT NOT NULL,
    headers      TEXT NOT NULL,
    tracked      TEXT NOT NULL,
    origin       TEXT NOT NULL,
    accepted_at  INTEGER NOT NULL,
    body         BLOB NOT NULL
) STRICT;
CREATE INDEX message_parent ON message (parent) WHERE parent IS NOT NULL;
CREATE INDEX message_key ON message (key) WHERE key IS NOT NULL;

CREATE TABLE tracked (
    name    TEXT NOT NULL,
    value   TEXT NOT NULL,
    message INTEGER NOT NULL REFERENCES message (seq),
    PRIMARY KEY (name, value, message)
) STRICT, WITHOUT ROWID;

CREATE TABLE dedup (
    scope      TEXT NOT NULL,
    token      BLOB NOT NULL,
    message    BLOB NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (scope, token)
) STRICT, WITHOUT ROWID;
CREATE INDEX dedup_expiry ON dedup (expires_at);

-- Small, changes often, deleted when settled. `origin` is the seq of the message that took the place in the lane,
-- `ordinal` the place among its children.
CREATE TABLE delivery (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    integration      TEXT NOT NULL,
    message          INTEGER NOT NULL REFERENCES message (seq),
    stage            TEXT NOT NULL CHECK (stage IN ('steps', 'sink')),
    lane             TEXT,
    origin           INTEGER NOT NULL,
    ordinal          INTEGER NOT NULL DEFAULT 0,
    state            TEXT NOT NULL CHECK (state IN ('ready', 'behind')),
    due_at           INTEGER NOT NULL,
    attempts         INTEGER NOT NULL DEFAULT 0,
    waits            INTEGER NOT NULL DEFAULT 0,
    replay           INTEGER NOT NULL DEFAULT 0,
    starts_unsettled INTEGER NOT NULL DEFAULT 0,
    generation       INTEGER,
    first_started_at INTEGER,
    failing_since    INTEGER
) STRICT;
CREATE INDEX delivery_ready ON delivery (integration, due_at, origin, ordinal) WHERE state = 'ready';
CREATE INDEX delivery_lane ON delivery (integration, lane, origin, ordinal) WHERE lane IS NOT NULL;
CREATE INDEX delivery_message ON delivery (message);

-- How a message stands with each integration that reads it: `waiting`, or its last outcome.
CREATE TABLE standing (
    message     INTEGER NOT NULL REFERENCES message (seq),
    integration TEXT NOT NULL,
    state       TEXT NOT NULL,
    PRIMARY KEY (message, integration)
) STRICT, WITHOUT ROWID;
CREATE INDEX standing_state ON standing (integration, state, message);

-- Attempts that only waited, one after the other for the same reason, are one row: `times` counts them.
CREATE TABLE attempt (
    id          INTEGER PRIMARY KEY,
    message     INTEGER NOT NULL REFERENCES message (seq),
    integration TEXT NOT NULL,
    delivery    INTEGER NOT NULL,
    stage       TEXT NOT NULL,
    replay      INTEGER NOT NULL,
    release     TEXT NOT NULL,
    started_at  INTEGER NOT NULL,
    ended_at    INTEGER NOT NULL,
    times       INTEGER NOT NULL DEFAULT 1,
    result      TEXT NOT NULL,
    code        TEXT,
    detail      TEXT,
    trace       TEXT NOT NULL
) STRICT;
CREATE INDEX attempt_message ON attempt (message);

CREATE TABLE outcome (
    id          INTEGER PRIMARY KEY,
    message     INTEGER NOT NULL REFERENCES message (seq),
    integration TEXT NOT NULL,
    stage       TEXT NOT NULL,
    lane        TEXT,
    origin      INTEGER NOT NULL,
    replay      INTEGER NOT NULL,
    outcome     TEXT NOT NULL,
    code        TEXT,
    detail      TEXT,
    receipt     TEXT,
    settled_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX outcome_message ON outcome (message);
CREATE INDEX outcome_lane ON outcome (integration, lane, origin) WHERE lane IS NOT NULL AND outcome IN ('delivered', 'skipped');

-- Outcomes counted by minute, for rates.
CREATE TABLE tally (
    integration TEXT NOT NULL,
    outcome     TEXT NOT NULL,
    minute      INTEGER NOT NULL,
    count       INTEGER NOT NULL,
    PRIMARY KEY (minute, integration, outcome)
) STRICT, WITHOUT ROWID;

CREATE TABLE dead_letter (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    message     INTEGER NOT NULL REFERENCES message (seq),
    integration TEXT NOT NULL,
    stage       TEXT NOT NULL,
    lane        TEXT,
    origin      INTEGER NOT NULL,
    ordinal     INTEGER NOT NULL,
    replay      INTEGER NOT NULL,
    attempts    INTEGER NOT NULL,
    waits       INTEGER NOT NULL,
    class       TEXT NOT NULL,
    code        TEXT NOT NULL,
    detail      TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    died_at     INTEGER NOT NULL,
    status      TEXT NOT NULL CHECK (status IN ('open', 'replayed', 'discarded')),
    closed_at   INTEGER,
    reason      TEXT
) STRICT;
CREATE INDEX dead_letter_status ON dead_letter (status);
CREATE INDEX dead_letter_fingerprint ON dead_letter (status, fingerprint);
CREATE INDEX dead_letter_integration ON dead_letter (status, integration);
CREATE INDEX dead_letter_message ON dead_letter (message);

CREATE TABLE key_value (
    integration TEXT NOT NULL,
    key         TEXT NOT NULL,
    value       BLOB NOT NULL,
    expires_at  INTEGER,
    PRIMARY KEY (integration, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX key_value_expiry ON key_value (expires_at) WHERE expires_at IS NOT NULL;

-- Bytes of keys and values, so that a quota costs no sum.
CREATE TABLE key_value_used (
    integration TEXT PRIMARY KEY,
    bytes       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE release (
    id          TEXT PRIMARY KEY,
    integration TEXT NOT NULL,
    content     TEXT NOT NULL,
    stored_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE active_release (
    integration  TEXT PRIMARY KEY,
    release      TEXT NOT NULL REFERENCES release (id),
    activated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
