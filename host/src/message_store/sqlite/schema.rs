//! The tables of the message store and how an older file becomes the newest: [`migrate`].
//!
//! Words, not numbers, stand in the columns `stage`, `state`, `class` and the like: the file explains itself.
//! Times are milliseconds since 1970 (UTC).

use rusqlite::{Connection, TransactionBehavior};

use crate::crash_point::{CrashPoint, reached};
use crate::problem::{Code, Problem};

/// One entry for every version; `user_version` counts those that were applied. Never change one that was released.
const MIGRATIONS: &[&str] = &[
    VERSION_1, VERSION_2, VERSION_3, VERSION_4, VERSION_5, VERSION_6, VERSION_7, VERSION_8, VERSION_9, VERSION_10, VERSION_11, VERSION_12,
    VERSION_13, VERSION_14,
];

/// The version this program writes.
pub(super) const NEWEST: i64 = 14;
/// The first version that has an audit trail.
pub(super) const WITH_AUDIT: i64 = 13;
const _: () = assert!(MIGRATIONS.len() == 14, "NEWEST counts the migrations");

/// The version of the file.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// The triggers that there are, as SQLite keeps them: see [`VERSION_13`].
const OWN_TRIGGERS: [&str; 2] = [
    "CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'entries are never changed'); END",
    "CREATE TRIGGER audit_is_not_shortened BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'entries are never removed'); END",
];

/// A trigger or a view in the file that is not ours: it may turn what is written or read into something else, and leave one person's entries
/// out of the audit trail. None if there is none.
pub(super) fn foreign(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let mut find = connection.prepare("SELECT type, name, sql FROM sqlite_schema WHERE type IN ('trigger', 'view')")?;
    let mut rows = find.query([])?;
    while let Some(row) = rows.next()? {
        let sql: Option<String> = row.get(2)?;
        if !OWN_TRIGGERS.contains(&sql.unwrap_or_default().as_str()) {
            let (kind, name): (String, String) = (row.get(0)?, row.get(1)?);
            return Ok(Some(format!("the {kind} {name:?}")));
        }
    }
    Ok(None)
}

/// What a person is told who has one in `database`.
pub(super) fn refuse_foreign(database: &str, connection: &Connection) -> Result<(), Problem> {
    let Some(found) = foreign(connection).map_err(|error| super::failure::problem(&error))? else { return Ok(()) };
    Err(Problem::new(Code::StoreDamaged, format!("{database} has {found}, which Lockgate did not make: somebody changed the database"))
        .fix("keep a copy of the data folder, find out who it was, and restore the last backup from before"))
}

/// Brings the file to [`NEWEST`] in one transaction. Foreign keys must be off on `connection`.
pub(super) fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    migrate_to(connection, NEWEST)
}

/// Brings the file to version `to`, if it is older.
pub(super) fn migrate_to(connection: &mut Connection, to: i64) -> rusqlite::Result<()> {
    let from = version(connection)?;
    if from >= to {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for (migration, version) in MIGRATIONS.iter().zip(1..=to).filter(|(_, version)| *version > from) {
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "user_version", version)?;
        reached(CrashPoint::Migration);
    }
    transaction.commit()
}

/// In a file of its own, so that the kill test, too, can make a database as the first version left it.
const VERSION_1: &str = include_str!("version_1.sql");

/// Plugins find tracked values after a message is stored: how many it has is asked at each settlement that brings some.
const VERSION_2: &str = "CREATE INDEX tracked_message ON tracked (message);";

/// What was sent and answered is kept; and what people ask for costs the same however much is stored: children and open dead
/// letters are counted when they come and go, not when they are asked for.
const VERSION_3: &str = "
-- The bodies of the requests of an attempt, as far as they are kept (see `message_store::exchange`). `id` is the attempt's id times
-- 4096 plus the request's place in the attempt's trace: in order in one tree, with no index beside it.
CREATE TABLE exchange (
    id           INTEGER PRIMARY KEY,
    sent_type    TEXT,
    sent_bytes   INTEGER NOT NULL,
    sent         BLOB NOT NULL,
    answer_type  TEXT,
    answer_bytes INTEGER,
    answer       BLOB
) STRICT;

-- Of a message that was fanned out into children: how many. Of a child: the seq of the message it was made from.
ALTER TABLE standing ADD COLUMN children INTEGER NOT NULL DEFAULT 0;
ALTER TABLE standing ADD COLUMN parent INTEGER;
UPDATE standing SET parent = (
    SELECT p.seq FROM message c JOIN message p ON p.id = c.parent
    JOIN standing s ON s.message = p.seq AND s.integration = standing.integration AND s.state = 'fanned-out'
    WHERE c.seq = standing.message)
WHERE message IN (SELECT seq FROM message WHERE parent IS NOT NULL);
CREATE INDEX standing_parent ON standing (parent, integration, state) WHERE parent IS NOT NULL;
UPDATE standing SET children = (
    SELECT count(*) FROM standing c WHERE c.parent = standing.message AND c.integration = standing.integration)
WHERE state = 'fanned-out';

CREATE INDEX dead_letter_class ON dead_letter (status, class);

-- Open dead letters counted, by fingerprint and by integration. What has none has no row.
CREATE TABLE dead_letter_group (
    fingerprint TEXT PRIMARY KEY,
    integration TEXT NOT NULL,
    class       TEXT NOT NULL,
    code        TEXT NOT NULL,
    open        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX dead_letter_group_open ON dead_letter_group (open);
CREATE INDEX dead_letter_group_integration ON dead_letter_group (integration, open);
INSERT INTO dead_letter_group (fingerprint, integration, class, code, open)
    SELECT fingerprint, integration, class, code, count(*) FROM dead_letter WHERE status = 'open' GROUP BY fingerprint;
CREATE TABLE dead_letter_count (
    integration TEXT PRIMARY KEY,
    open        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO dead_letter_count (integration, open)
    SELECT integration, count(*) FROM dead_letter WHERE status = 'open' GROUP BY integration;
";

/// The oldest of what waits is found by integration, without a further index to write: a delivery of a message is found through the
/// integrations the message stands with. (Whoever deletes messages one day brings an index by message alone for the foreign key.)
const VERSION_4: &str = "
DROP INDEX delivery_message;
CREATE INDEX delivery_integration ON delivery (integration, message);
";

/// What is known of an alias's target outlives the host: a wait it asked for, an open breaker, how much of a day's rate is used.
const VERSION_5: &str = "
CREATE TABLE alias_state (
    alias    TEXT PRIMARY KEY,
    state    TEXT NOT NULL,
    noted_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

/// A dead letter that was edited names the message that took its place.
const VERSION_6: &str = "ALTER TABLE dead_letter ADD COLUMN edited_as BLOB;";

/// A dead letter of a strict lane keeps its delivery there, as `stopped`: what is behind it finds the lane's first not ready, and no
/// rule beside that of the lane is needed. (A column's CHECK cannot be changed: the table is made anew.) It no longer refers to `message`: whoever
/// forgets an old message would have SQLite look through all that waits; how the message stands says it with an index.
const VERSION_7: &str = "
CREATE TABLE delivery_7 (
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
) STRICT;
INSERT INTO delivery_7 SELECT id, integration, message, stage, lane, origin, ordinal, state, due_at, attempts, waits, replay,
    starts_unsettled, generation, first_started_at, failing_since FROM delivery;
-- An id that was given is never given again: attempts are told apart by it.
DELETE FROM sqlite_sequence WHERE name = 'delivery_7';
UPDATE sqlite_sequence SET name = 'delivery_7' WHERE name = 'delivery';
DROP TABLE delivery;
ALTER TABLE delivery_7 RENAME TO delivery;
CREATE INDEX delivery_ready ON delivery (integration, due_at, origin, ordinal) WHERE state = 'ready';
CREATE INDEX delivery_lane ON delivery (integration, lane, origin, ordinal) WHERE lane IS NOT NULL;
CREATE INDEX delivery_integration ON delivery (integration, message);
CREATE INDEX delivery_stopped ON delivery (integration, lane) WHERE state = 'stopped';
";

/// What people have paused stays so over a restart.
const VERSION_8: &str = "
CREATE TABLE pause (
    kind   TEXT NOT NULL CHECK (kind IN ('integration', 'alias')),
    name   TEXT NOT NULL,
    since  INTEGER NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;
";

/// The secrets store: what people set, and the tokens aliases hold. The key that opens them is not in the data folder.
const VERSION_9: &str = "
CREATE TABLE sealed (
    kind       TEXT NOT NULL,
    name       TEXT NOT NULL,
    sealed     BLOB NOT NULL,
    written_at INTEGER NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;
";

/// Where a source that the host asks itself goes on, and how it went the last time.
const VERSION_10: &str = "
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
";

/// Integrations that are retired, or drain for it: those have no `done_at`.
const VERSION_11: &str = "
CREATE TABLE retirement (
    integration TEXT PRIMARY KEY,
    since       INTEGER NOT NULL,
    reason      TEXT,
    done_at     INTEGER
) STRICT, WITHOUT ROWID;
";

/// What is on a channel, for readers that begin at its beginning, and how far those are. What came onto channels before this version is not
/// on them: nothing said where it went.
const VERSION_12: &str = "
-- AUTOINCREMENT: a position is never given twice, since a reader goes on behind the last one it had.
CREATE TABLE channel_message (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    channel  TEXT NOT NULL,
    message  INTEGER NOT NULL,
    due_at   INTEGER NOT NULL
) STRICT;
CREATE INDEX channel_message_channel ON channel_message (channel);
CREATE INDEX channel_message_message ON channel_message (message);
CREATE TABLE backfill (
    integration TEXT NOT NULL,
    channel     TEXT NOT NULL,
    position    INTEGER NOT NULL,
    live_from   INTEGER NOT NULL,
    until       INTEGER,
    key         TEXT,
    PRIMARY KEY (integration, channel)
) STRICT, WITHOUT ROWID;
";

/// Named tokens, and who changed what. `audit_head` is the last entry as the writer knows it. The triggers keep this program, and who
/// opens the file with a shell, from changing an entry by mistake; who means to can take them away, and the hashes show it.
const VERSION_13: &str = "
CREATE TABLE token (
    name       TEXT PRIMARY KEY,
    role       TEXT NOT NULL,
    hash       BLOB NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    expires_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    seq     INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    who     TEXT NOT NULL,
    way     TEXT NOT NULL,
    act     TEXT NOT NULL,
    came    TEXT NOT NULL,
    subject TEXT NOT NULL,
    before  TEXT,
    after   TEXT,
    hash    BLOB NOT NULL,
    version INTEGER NOT NULL
) STRICT;
CREATE INDEX audit_who ON audit (who);
CREATE INDEX audit_at ON audit (at);
CREATE TABLE audit_head (
    one  INTEGER PRIMARY KEY CHECK (one = 1),
    seq  INTEGER NOT NULL,
    at   INTEGER NOT NULL,
    hash BLOB NOT NULL
) STRICT;
INSERT INTO audit_head (one, seq, at, hash) VALUES (1, 0, 0, zeroblob(32));
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'entries are never changed'); END;
CREATE TRIGGER audit_is_not_shortened BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'entries are never removed'); END;
";

/// Releases change while messages flow: by which rule each delivery was put in order, who deployed what and when, what waits for approval, and
/// what is tried on a share of the keys.
const VERSION_14: &str = "
ALTER TABLE delivery ADD COLUMN ordering INTEGER NOT NULL DEFAULT 0;
ALTER TABLE active_release ADD COLUMN ordering INTEGER NOT NULL DEFAULT 0;
ALTER TABLE release ADD COLUMN author TEXT;
-- Deliveries of an integration that were put in order by a later rule than this are held until none of the others waits.
CREATE TABLE barrier (
    integration TEXT PRIMARY KEY,
    going       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- Which release was made the active one when, by whom and how.
CREATE TABLE activation (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    integration TEXT NOT NULL,
    release     TEXT NOT NULL,
    at          INTEGER NOT NULL,
    who         TEXT,
    how         TEXT NOT NULL
) STRICT;
CREATE INDEX activation_integration ON activation (integration, seq);
INSERT INTO activation (integration, release, at, how) SELECT integration, release, activated_at, 'start' FROM active_release;
-- The release of an integration that waits for approval, and why.
CREATE TABLE proposal (
    integration TEXT PRIMARY KEY,
    release     TEXT NOT NULL,
    at          INTEGER NOT NULL,
    who         TEXT NOT NULL,
    needed      INTEGER NOT NULL,
    not_author  INTEGER NOT NULL,
    asks        TEXT NOT NULL,
    share       INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE approval (
    integration TEXT NOT NULL,
    release     TEXT NOT NULL,
    who         TEXT NOT NULL,
    at          INTEGER NOT NULL,
    note        TEXT NOT NULL,
    PRIMARY KEY (integration, release, who)
) STRICT, WITHOUT ROWID;
-- The release that is tried on a share of the keys, in thousandths.
CREATE TABLE canary (
    integration TEXT PRIMARY KEY,
    release     TEXT NOT NULL,
    share       INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    who         TEXT NOT NULL
) STRICT, WITHOUT ROWID;
";
