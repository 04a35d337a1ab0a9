//! The one connection to the database, on a thread of its own: commits take all that waited while the last one ran.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rusqlite::{Connection, OptionalExtension, Result};
use tokio::sync::{mpsc, oneshot};

use crate::delivery::Dealer;
use crate::record::{self, Accepted, Command, Delivery, INTEGRATION, ORIGIN, Order, Settled};
use crate::{Counts, Error, SCHEMA, give_up};

/// Commands that wait at most.
const QUEUED_MAX: usize = 4096;
/// Commands in a commit at most.
const GROUP_MAX: usize = 1024;
/// Pages of the write-ahead log after which SQLite checkpoints it.
const LOG_PAGES: i64 = 8192;
/// How long a duplicate is recognised.
const REMEMBERED_MS: i64 = 7 * 24 * 60 * 60 * 1000;
/// What stands where the host names the release.
const RELEASE: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Starts the thread.
pub fn start(data: &Path, dealer: Dealer, counts: Arc<Counts>) -> Result<mpsc::Sender<Command>, Error> {
    std::fs::create_dir_all(data)?;
    let connection = open(&data.join("floor.db"))?;
    let (sender, receiver) = mpsc::channel(QUEUED_MAX);
    let mut writer = Writer { connection, dealer, counts, lanes: HashMap::new() };
    std::thread::Builder::new().name("floor-writer".into()).spawn(move || {
        if let Err(error) = writer.serve(receiver) {
            give_up("writing", &error);
        }
    })?;
    Ok(sender)
}

fn open(file: &Path) -> Result<Connection> {
    let connection = Connection::open(file)?;
    connection.pragma_update(None, "page_size", 4096)?;
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update_and_check(None, "wal_autocheckpoint", LOG_PAGES, |_| Ok(()))?;
    connection.pragma_update(None, "cache_size", -64 * 1024)?;
    connection.set_prepared_statement_cache_capacity(32);
    connection.execute_batch(SCHEMA)?;
    Ok(connection)
}

struct Writer {
    connection: Connection,
    dealer: Dealer,
    counts: Arc<Counts>,
    /// For each customer with a delivery in the database: those behind the one that is on its way.
    lanes: HashMap<String, VecDeque<Delivery>>,
}

/// What is done once the commit has returned.
#[derive(Default)]
struct Afterwards {
    answers: Vec<(oneshot::Sender<Accepted>, Accepted)>,
    ready: Vec<Delivery>,
    accepted: u64,
    settled: u64,
}

impl Writer {
    fn serve(&mut self, mut receiver: mpsc::Receiver<Command>) -> Result<()> {
        let mut group = Vec::with_capacity(GROUP_MAX);
        while receiver.blocking_recv_many(&mut group, GROUP_MAX) > 0 {
            let afterwards = self.commit(group.drain(..))?;
            self.counts.accepted.fetch_add(afterwards.accepted, Ordering::Relaxed);
            self.counts.settled.fetch_add(afterwards.settled, Ordering::Relaxed);
            afterwards.ready.into_iter().for_each(|delivery| self.dealer.deal(delivery));
            for (sender, answer) in afterwards.answers {
                // A sender that went away has its order on disk all the same.
                let _ = sender.send(answer);
            }
        }
        Ok(())
    }

    fn commit(&mut self, group: impl Iterator<Item = Command>) -> Result<Afterwards> {
        let mut afterwards = Afterwards::default();
        let mut starts = Vec::new();
        let mut settled = HashSet::new();
        self.run("BEGIN IMMEDIATE")?;
        for command in group {
            match command {
                Command::Accept(order, reply) => {
                    let accepted = self.accept(order, &mut afterwards)?;
                    afterwards.answers.push((reply, accepted));
                }
                Command::Start { delivery, at } => starts.push((delivery, at)),
                Command::Settle(settle) => {
                    settled.insert(settle.delivery);
                    self.settle(&settle, &mut afterwards)?;
                }
            }
        }
        // A start that settled in the same commit need not be noted.
        for (delivery, at) in starts.into_iter().filter(|(delivery, _)| !settled.contains(delivery)) {
            self.note_start(delivery, at)?;
        }
        self.connection.prepare_cached("UPDATE meta SET value = ?1 WHERE name = 'last-seen-time'")?.execute([record::now()])?;
        self.run("COMMIT")?;
        Ok(afterwards)
    }

    fn run(&self, sql: &str) -> Result<()> {
        self.connection.prepare_cached(sql)?.execute([]).map(|_| ())
    }

    fn accept(&mut self, order: Box<Order>, afterwards: &mut Afterwards) -> Result<Accepted> {
        let mut seen = self.connection.prepare_cached("SELECT message FROM dedup WHERE scope = ?1 AND token = ?2 AND expires_at > ?3")?;
        let seen = seen.query_row((ORIGIN, &order.token, order.accepted_at), |row| row.get(0)).optional()?;
        if let Some(first) = seen {
            return Ok(Accepted::Duplicate(first));
        }
        let message = self.insert_message(&order)?;
        self.connection
            .prepare_cached("INSERT OR REPLACE INTO dedup (scope, token, message, expires_at) VALUES (?1, ?2, ?3, ?4)")?
            .execute((ORIGIN, &order.token, &order.id, order.accepted_at + REMEMBERED_MS))?;
        let behind = self.lanes.contains_key(&order.key);
        self.connection
            .prepare_cached(
                "INSERT INTO delivery (integration, message, stage, lane, origin, ordinal, state, due_at, replay)
                 VALUES (?1, ?2, 'steps', ?3, ?2, 0, ?4, ?5, 0)",
            )?
            .execute((INTEGRATION, message, &order.key, if behind { "behind" } else { "ready" }, order.accepted_at))?;
        let delivery = Delivery { id: self.connection.last_insert_rowid(), message, order };
        self.stands(message, "waiting")?;
        afterwards.accepted += 1;
        match self.lanes.get_mut(&delivery.order.key) {
            Some(lane) => lane.push_back(delivery),
            None => {
                self.lanes.insert(delivery.order.key.clone(), VecDeque::new());
                afterwards.ready.push(delivery);
            }
        }
        Ok(Accepted::New)
    }

    fn insert_message(&self, order: &Order) -> Result<i64> {
        let tracked = format!("[{{\"name\":\"order\",\"value\":\"{}\"}}]", order.number);
        self.connection
            .prepare_cached(
                "INSERT INTO message (id, key, content_type, headers, tracked, origin, accepted_at, body)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute((&order.id, &order.key, &order.content_type, &order.headers, tracked, ORIGIN, order.accepted_at, &order.body[..]))?;
        let message = self.connection.last_insert_rowid();
        self.connection
            .prepare_cached("INSERT INTO tracked (name, value, message) VALUES ('order', ?1, ?2)")?
            .execute((&order.number, message))?;
        Ok(message)
    }

    fn note_start(&self, delivery: i64, at: i64) -> Result<()> {
        self.connection
            .prepare_cached(
                "UPDATE delivery SET starts_unsettled = starts_unsettled + 1, generation = 1, first_started_at = ?2 WHERE id = ?1",
            )?
            .execute((delivery, at))?;
        Ok(())
    }

    fn settle(&mut self, settle: &Settled, afterwards: &mut Afterwards) -> Result<()> {
        self.connection
            .prepare_cached(
                "INSERT INTO attempt (message, integration, delivery, stage, replay, release, started_at, ended_at, result, trace)
                 VALUES (?1, ?2, ?3, 'steps', 0, ?4, ?5, ?6, 'delivered', ?7)",
            )?
            .execute((settle.message, INTEGRATION, settle.delivery, RELEASE, settle.started_at, settle.ended_at, &settle.trace))?;
        self.connection.prepare_cached("DELETE FROM delivery WHERE id = ?1")?.execute([settle.delivery])?;
        self.connection
            .prepare_cached(
                "INSERT INTO outcome (message, integration, stage, lane, origin, replay, outcome, receipt, settled_at)
                 VALUES (?1, ?2, 'steps', ?3, ?1, 0, 'delivered', ?4, ?5)",
            )?
            .execute((settle.message, INTEGRATION, &settle.key, &settle.receipt, settle.ended_at))?;
        self.connection
            .prepare_cached(
                "INSERT INTO tally (integration, outcome, minute, count) VALUES (?1, 'delivered', ?2, 1)
                 ON CONFLICT (minute, integration, outcome) DO UPDATE SET count = count + 1",
            )?
            .execute((INTEGRATION, settle.ended_at / 60_000))?;
        self.stands(settle.message, "delivered")?;
        afterwards.settled += 1;
        self.promote(&settle.key, afterwards)
    }

    /// The customer's next order goes on its way.
    fn promote(&mut self, key: &str, afterwards: &mut Afterwards) -> Result<()> {
        match self.lanes.get_mut(key).and_then(VecDeque::pop_front) {
            Some(next) => {
                self.connection.prepare_cached("UPDATE delivery SET state = 'ready' WHERE id = ?1")?.execute([next.id])?;
                afterwards.ready.push(next);
            }
            None => drop(self.lanes.remove(key)),
        }
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
