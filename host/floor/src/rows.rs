//! The rows of a message, and how they change: what the host's `message_store/sqlite` writes, statement by statement.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Result};

use crate::record::{self, INTEGRATION, ORIGIN, Order, Settled};

/// The database in the data folder.
pub const DATABASE_FILE: &str = "floor.db";
/// The tables.
const SCHEMA: &str = include_str!("schema.sql");
/// Pages of the write-ahead log after which SQLite checkpoints it.
const LOG_PAGES: i64 = 8192;
const CACHE_KIB: i64 = 64 * 1024;
/// More than there are statements here.
const STATEMENTS_KEPT: usize = 32;
/// How long a duplicate is recognised.
const REMEMBERED_MS: i64 = 7 * 24 * 60 * 60 * 1000;
/// What an attempt's id is multiplied by to give the ids of its exchanges.
const EXCHANGES_PER_ATTEMPT: i64 = 4096;
/// What stands where the host names the release.
const RELEASE: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The database.
#[derive(Debug)]
pub struct Rows {
    connection: Connection,
}

/// Where an order is in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub message: i64,
    pub delivery: i64,
}

impl Rows {
    /// Makes a database in `folder`, which is made if need be.
    ///
    /// # Errors
    /// What SQLite says; also where there is one already.
    pub fn create(folder: &Path) -> Result<Self, crate::Error> {
        std::fs::create_dir_all(folder)?;
        let connection = Connection::open(folder.join(DATABASE_FILE))?;
        connection.pragma_update(None, "page_size", 4096)?;
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update_and_check(None, "wal_autocheckpoint", LOG_PAGES, |_| Ok(()))?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
        connection.execute_batch(SCHEMA)?;
        Ok(Self { connection })
    }

    /// What follows is committed together.
    pub fn begin(&self) -> Result<()> {
        self.run("BEGIN IMMEDIATE")
    }

    /// On disk when this returns.
    pub fn commit(&self) -> Result<()> {
        self.connection.prepare_cached("UPDATE meta SET value = ?1 WHERE name = 'last-seen-time'")?.execute([record::now()])?;
        self.run("COMMIT")
    }

    fn run(&self, sql: &str) -> Result<()> {
        self.connection.prepare_cached(sql)?.execute([]).map(|_| ())
    }

    /// The id under which the same order was taken before.
    pub fn seen(&self, order: &Order) -> Result<Option<[u8; 16]>> {
        let mut find = self.connection.prepare_cached("SELECT message FROM dedup WHERE scope = ?1 AND token = ?2 AND expires_at > ?3")?;
        find.query_row((ORIGIN, &order.token, order.accepted_at), |row| row.get(0)).optional()
    }

    /// An order that was not seen. `behind`: another one of its customer is on its way.
    pub fn insert(&self, order: &Order, behind: bool) -> Result<Place> {
        let message = self.insert_message(order)?;
        self.connection
            .prepare_cached("INSERT OR REPLACE INTO dedup (scope, token, message, expires_at) VALUES (?1, ?2, ?3, ?4)")?
            .execute((ORIGIN, &order.token, &order.id, order.accepted_at + REMEMBERED_MS))?;
        self.connection
            .prepare_cached(
                "INSERT INTO delivery (integration, message, stage, lane, origin, ordinal, state, due_at, replay)
                 VALUES (?1, ?2, 'steps', ?3, ?2, 0, ?4, ?5, 0)",
            )?
            .execute((INTEGRATION, message, &order.key, if behind { "behind" } else { "ready" }, order.accepted_at))?;
        let delivery = self.connection.last_insert_rowid();
        self.stands(message, "waiting")?;
        Ok(Place { message, delivery })
    }

    fn insert_message(&self, order: &Order) -> Result<i64> {
        let Order { id, key, content_type, headers, tracked, accepted_at, body, .. } = order;
        self.connection
            .prepare_cached(
                "INSERT INTO message (id, key, content_type, headers, tracked, origin, accepted_at, body)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute((id, key, content_type, headers, tracked, ORIGIN, accepted_at, &body[..]))?;
        let message = self.connection.last_insert_rowid();
        self.connection
            .prepare_cached("INSERT INTO tracked (name, value, message) VALUES ('order', ?1, ?2)")?
            .execute((&order.number, message))?;
        Ok(message)
    }

    /// A delivery is on its way.
    pub fn start(&self, delivery: i64, at: i64) -> Result<()> {
        self.connection
            .prepare_cached(
                "UPDATE delivery SET starts_unsettled = starts_unsettled + 1, generation = 1, first_started_at = ?2 WHERE id = ?1",
            )?
            .execute((delivery, at))?;
        Ok(())
    }

    /// A delivery has arrived.
    pub fn settle(&self, settled: &Settled) -> Result<()> {
        let Settled { place: Place { message, delivery }, key, started_at, ended_at, trace, receipt, sent, answer } = settled;
        self.connection
            .prepare_cached(
                "INSERT INTO attempt (message, integration, delivery, stage, replay, release, started_at, ended_at, result, trace)
                 VALUES (?1, ?2, ?3, 'steps', 0, ?4, ?5, ?6, 'delivered', ?7)",
            )?
            .execute((message, INTEGRATION, delivery, RELEASE, started_at, ended_at, trace))?;
        let exchange = self.connection.last_insert_rowid() * EXCHANGES_PER_ATTEMPT;
        self.connection
            .prepare_cached(
                "INSERT INTO exchange (id, sent_type, sent_bytes, sent, answer_bytes, answer) VALUES (?1, 'application/json', ?2, ?3, ?4, ?5)",
            )?
            .execute((exchange, bytes(sent), &sent[..], bytes(answer), &answer[..]))?;
        self.connection.prepare_cached("DELETE FROM delivery WHERE id = ?1")?.execute([delivery])?;
        self.connection
            .prepare_cached(
                "INSERT INTO outcome (message, integration, stage, lane, origin, replay, outcome, receipt, settled_at)
                 VALUES (?1, ?2, 'steps', ?3, ?1, 0, 'delivered', ?4, ?5)",
            )?
            .execute((message, INTEGRATION, key, receipt, ended_at))?;
        self.connection
            .prepare_cached(
                "INSERT INTO tally (integration, outcome, minute, count) VALUES (?1, 'delivered', ?2, 1)
                 ON CONFLICT (minute, integration, outcome) DO UPDATE SET count = count + 1",
            )?
            .execute((INTEGRATION, ended_at / 60_000))?;
        self.stands(*message, "delivered")
    }

    /// A delivery that was behind another is the first of its customer.
    pub fn promote(&self, delivery: i64) -> Result<()> {
        self.connection.prepare_cached("UPDATE delivery SET state = 'ready' WHERE id = ?1")?.execute([delivery])?;
        Ok(())
    }

    fn stands(&self, message: i64, state: &str) -> Result<()> {
        self.connection
            .prepare_cached(
                "INSERT INTO standing (message, integration, state) VALUES (?1, ?2, ?3)
                 ON CONFLICT (message, integration) DO UPDATE SET state = excluded.state",
            )?
            .execute((message, INTEGRATION, state))?;
        Ok(())
    }
}

fn bytes(body: &[u8]) -> i64 {
    i64::try_from(body.len()).unwrap_or(i64::MAX)
}
