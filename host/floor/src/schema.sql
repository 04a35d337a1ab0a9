-- The tables of the host's message store that one message of order-to-invoice touches, as the host makes them
-- (host/src/message_store/sqlite/schema.rs). A test of the host holds the two together.

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO meta (name, value) VALUES ('generation', 1), ('last-seen-time', 0);

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
CREATE INDEX tracked_message ON tracked (message);

CREATE TABLE dedup (
    scope      TEXT NOT NULL,
    token      BLOB NOT NULL,
    message    BLOB NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (scope, token)
) STRICT, WITHOUT ROWID;
CREATE INDEX dedup_expiry ON dedup (expires_at);

CREATE TABLE "delivery" (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    integration      TEXT NOT NULL,
    message          INTEGER NOT NULL,
    stage            TEXT NOT NULL CHECK (stage IN ('steps', 'sink')),
    lane             TEXT,
    origin           INTEGER NOT NULL,
    ordinal          INTEGER NOT NULL DEFAULT 0,
    state            TEXT NOT NULL CHECK (state IN ('ready', 'behind', 'stopped')),
    due_at           INTEGER NOT NULL,
    attempts         INTEGER NOT NULL DEFAULT 0,
    waits            INTEGER NOT NULL DEFAULT 0,
    replay           INTEGER NOT NULL DEFAULT 0,
    starts_unsettled INTEGER NOT NULL DEFAULT 0,
    generation       INTEGER,
    first_started_at INTEGER,
    failing_since    INTEGER
, ordering INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE INDEX delivery_ready ON delivery (integration, due_at, origin, ordinal) WHERE state = 'ready';
CREATE INDEX delivery_lane ON delivery (integration, lane, origin, ordinal) WHERE lane IS NOT NULL;
CREATE INDEX delivery_integration ON delivery (integration, message);
CREATE INDEX delivery_stopped ON delivery (integration, lane) WHERE state = 'stopped';

CREATE TABLE standing (
    message     INTEGER NOT NULL REFERENCES message (seq),
    integration TEXT NOT NULL,
    state       TEXT NOT NULL, children INTEGER NOT NULL DEFAULT 0, parent INTEGER,
    PRIMARY KEY (message, integration)
) STRICT, WITHOUT ROWID;
CREATE INDEX standing_state ON standing (integration, state, message);
CREATE INDEX standing_parent ON standing (parent, integration, state) WHERE parent IS NOT NULL;

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

CREATE TABLE exchange (
    id           INTEGER PRIMARY KEY,
    sent_type    TEXT,
    sent_bytes   INTEGER NOT NULL,
    sent         BLOB NOT NULL,
    answer_type  TEXT,
    answer_bytes INTEGER,
    answer       BLOB
) STRICT;

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

CREATE TABLE tally (
    integration TEXT NOT NULL,
    outcome     TEXT NOT NULL,
    minute      INTEGER NOT NULL,
    count       INTEGER NOT NULL,
    PRIMARY KEY (minute, integration, outcome)
) STRICT, WITHOUT ROWID;

CREATE TABLE pause (
    kind   TEXT NOT NULL CHECK (kind IN ('integration', 'alias')),
    name   TEXT NOT NULL,
    since  INTEGER NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE sealed (
    kind       TEXT NOT NULL,
    name       TEXT NOT NULL,
    sealed     BLOB NOT NULL,
    written_at INTEGER NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE source (
    integration TEXT NOT NULL,
    source      TEXT NOT NULL,
    cursor      TEXT,
    due_at      INTEGER NOT NULL,
    asked_at    INTEGER NOT NULL,
    result      TEXT NOT NULL,
    code        TEXT,
    detail      TEXT,
    items       INTEGER NOT NULL,
    fresh       INTEGER NOT NULL,
    PRIMARY KEY (integration, source)
) STRICT, WITHOUT ROWID;

-- Not touched by a message; the host has a row in it from the beginning.
CREATE TABLE audit_head (
    one  INTEGER PRIMARY KEY CHECK (one = 1),
    seq  INTEGER NOT NULL,
    at   INTEGER NOT NULL,
    hash BLOB NOT NULL
) STRICT;
INSERT INTO audit_head (one, seq, at, hash) VALUES (1, 0, 0, zeroblob(32));
