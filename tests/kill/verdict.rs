//! [`Verdict`]: what senders, receivers and Lockgate's own ledger say, held together.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use lockgate::message_store::UNSETTLED_STARTS_MAX;
use rusqlite::{Connection, Row};

use super::flow::{INTAKE, TO_CAREFUL, TO_CARELESS};
use super::item::{Item, parts, sent};
use super::receiver::{Seen, World};
use super::sender::Book;
use crate::support::database::open;

/// What came of it.
#[derive(Debug, Default)]
pub struct Verdict {
    /// What must not be.
    pub complaints: Vec<String>,
    pub messages: u64,
    /// Acknowledged messages that were sent once more and recognised.
    pub recognised: u64,
    /// Requests that came to the receiver that knows keys more than once.
    pub repeats: u64,
    /// Effects that the receiver that ignores keys had more than once.
    pub duplicates: u64,
    /// Deliveries that were under way at three ends of the host and are dead letters for it.
    pub crashed: u64,
}

impl Verdict {
    /// Of a flow whose host has ended with nothing waiting, after so many kills.
    pub fn of(data: &Path, book: &Book, world: &World, kills: u64) -> Self {
        let ledger = Ledger::read(&open(data));
        let (careful, careless) = (&world.careful, &world.careless);
        let mut complaints = book.complaints.clone();
        complaints.extend(lost(book, &ledger, TO_CAREFUL, careful));
        complaints.extend(lost(book, &ledger, TO_CARELESS, careless));
        complaints.extend(poison(book, &ledger));
        complaints.extend(counters(book, &ledger));
        complaints.extend(inverted("careful", careful));
        complaints.extend(inverted("careless", careless));
        complaints.extend(careful.effects.iter().filter(|(_, times)| **times > 1).map(|(item, times)| format!("{item}: {times} effects")));
        complaints.extend(too_many(careless, kills));
        complaints.extend(too_many_crashed(&ledger, kills));
        complaints.extend(left_over(data));
        complaints.extend(unshown(&ledger, TO_CAREFUL, careful));
        complaints.extend(unshown(&ledger, TO_CARELESS, careless));
        if ledger.messages != book.acknowledged.len() as u64 {
            complaints.push(format!("{} messages were acknowledged, {} are stored", book.acknowledged.len(), ledger.messages));
        }
        let extra = |seen: &Seen| (seen.arrivals.len() - seen.effects.len()) as u64;
        Self {
            complaints,
            messages: book.acknowledged.len() as u64,
            recognised: book.recognised,
            repeats: extra(careful),
            duplicates: extra(careless),
            crashed: ledger.crashed.len() as u64,
        }
    }
}

/// What Lockgate has written down.
#[derive(Debug)]
struct Ledger {
    /// Messages that came from outside.
    messages: u64,
    /// Integration and body of what died as poison.
    poison: BTreeSet<(String, String)>,
    /// The same of what was under way at three ends of the host.
    crashed: BTreeSet<(String, String)>,
    /// The same of deliveries with an attempt that says that one before it may have been cut off.
    repeated: BTreeSet<(String, String)>,
    /// The step's counters.
    counted: BTreeMap<String, u64>,
}

impl Ledger {
    fn read(database: &Connection) -> Self {
        let pairs = |sql: &str| -> BTreeSet<(String, String)> {
            let mut find = database.prepare(sql).unwrap();
            find.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().collect::<Result<_, _>>().unwrap()
        };
        let dead = |class: &str| {
            pairs(&format!(
                "SELECT d.integration, CAST(m.body AS TEXT) FROM dead_letter d JOIN message m ON m.seq = d.message WHERE d.class = '{class}'"
            ))
        };
        let mut counters = database.prepare("SELECT key, CAST(CAST(value AS TEXT) AS INTEGER) FROM key_value").unwrap();
        Self {
            messages: database
                .query_row("SELECT count(*) FROM message WHERE origin = 'webhook /orders'", [], |row| number(row, 0))
                .unwrap(),
            poison: dead("permanent"),
            crashed: dead("host-crashed"),
            repeated: pairs(
                "SELECT a.integration, CAST(m.body AS TEXT) FROM attempt a JOIN message m ON m.seq = a.message
                 WHERE json_extract(a.trace, '$.\"may-repeat\"') = 1",
            ),
            counted: counters.query_map([], |row| Ok((row.get(0)?, number(row, 1)?))).unwrap().collect::<Result<_, _>>().unwrap(),
        }
    }

    fn has_crashed(&self, integration: &str, body: String) -> bool {
        self.crashed.contains(&(integration.to_owned(), body))
    }

    /// Whether an item need not arrive: it, or what it was made from, is a dead letter for having been under way too often.
    fn excuses(&self, item: &Item, reader: &str) -> bool {
        let made_from = self.has_crashed(INTAKE, sent(&item.key, item.number)) || self.has_crashed(INTAKE, item.to_string());
        made_from || self.has_crashed(reader, item.to_string())
    }
}

fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap())
}

/// Acknowledged, and neither arrived nor a dead letter.
fn lost(book: &Book, ledger: &Ledger, reader: &str, seen: &Seen) -> Vec<String> {
    let all =
        book.acknowledged.keys().flat_map(|(key, number)| (0..parts(*number)).map(|part| Item { key: key.clone(), number: *number, part }));
    let lost = all.filter(|item| !seen.effects.contains_key(item) && !ledger.excuses(item, reader));
    lost.map(|item| format!("lost on the way through {reader}: {item}")).collect()
}

/// Acknowledged poison that is no dead letter.
fn poison(book: &Book, ledger: &Ledger) -> Vec<String> {
    let all =
        book.acknowledged.keys().filter(|(_, number)| parts(*number) == 0).map(|(key, number)| (INTAKE.to_owned(), sent(key, *number)));
    let lost = all.filter(|letter| !ledger.poison.contains(letter) && !ledger.crashed.contains(letter));
    lost.map(|(_, body)| format!("lost, though poison: {body}")).collect()
}

/// Each message that went through the step is counted once, and one that failed is not.
fn counters(book: &Book, ledger: &Ledger) -> Vec<String> {
    let mut expected = BTreeMap::<String, u64>::new();
    for (key, number) in book.acknowledged.keys() {
        if parts(*number) > 0 && !ledger.has_crashed(INTAKE, sent(key, *number)) {
            *expected.entry(key.clone()).or_default() += 1;
        }
    }
    if expected == ledger.counted { Vec::new() } else { vec![format!("counted {:?}, and were {expected:?}", ledger.counted)] }
}

/// First arrivals of a key that are older than one before.
fn inverted(receiver: &str, seen: &Seen) -> Vec<String> {
    let mut latest = BTreeMap::<&str, &Item>::new();
    let mut known = BTreeSet::new();
    let mut inverted = Vec::new();
    for (item, _) in seen.arrivals.iter().filter(|(item, _)| known.insert(item.clone())) {
        if let Some(before) = latest.insert(&item.key, item).filter(|before| *before > item) {
            inverted.push(format!("{receiver}: {item} came after {before}"));
        }
    }
    inverted
}

/// Files in the data folder that somebody began to write.
fn left_over(data: &Path) -> Vec<String> {
    let entries = ["", "plugins", "cache/compiled"].iter().flat_map(|folder| std::fs::read_dir(data.join(folder)).unwrap());
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with('.') || name.ends_with(".partial")).map(|name| format!("left over: {name}")).collect()
}

/// One delivery of a key is in flight, so a kill repeats one of a key at most.
fn too_many(careless: &Seen, kills: u64) -> Vec<String> {
    let mut extra = BTreeMap::<&str, u64>::new();
    for (item, times) in &careless.effects {
        *extra.entry(&item.key).or_default() += times - 1;
    }
    extra
        .into_iter()
        .filter(|(_, extra)| *extra > kills)
        .map(|(key, extra)| format!("{key}: {extra} duplicates in {kills} kills"))
        .collect()
}

/// Each has been under way at three ends of the host, and of a key an integration has one under way at a time: three kills make one
/// such dead letter of a key in an integration at most. Every one beyond excuses a message that should have arrived.
fn too_many_crashed(ledger: &Ledger, kills: u64) -> Vec<String> {
    let most = kills / u64::from(UNSETTLED_STARTS_MAX);
    let mut crashed = BTreeMap::<(&str, &str), u64>::new();
    for (integration, body) in &ledger.crashed {
        *crashed.entry((integration, key_of(body))).or_default() += 1;
    }
    let too_many = crashed.into_iter().filter(|(_, letters)| *letters > most);
    too_many.map(|((integration, key), letters)| format!("{integration}: {letters} crashed of key {key} in {kills} kills")).collect()
}

/// The key of a message as it was sent, or of what was made from it.
fn key_of(body: &str) -> &str {
    body.strip_prefix("tally ").unwrap_or(body).split(' ').next().unwrap_or_default()
}

/// What came more than once, and of which the ledger does not say that it may have.
fn unshown(ledger: &Ledger, reader: &str, seen: &Seen) -> Vec<String> {
    let mut times = BTreeMap::<&Item, u64>::new();
    for (item, _) in &seen.arrivals {
        *times.entry(item).or_default() += 1;
    }
    let shown = |item: &Item| {
        let letter = (reader.to_owned(), item.to_string());
        ledger.repeated.contains(&letter) || ledger.crashed.contains(&letter)
    };
    let unshown = times.into_iter().filter(|(item, times)| *times > 1 && !shown(item));
    unshown.map(|(item, times)| format!("{reader}: {item} came {times} times, and the ledger does not show it")).collect()
}
