//! `store-accept`: messages a second that the message store takes, against SQLite taking the same rows in commits of the same size.

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use lockgate_floor::Rows;

use super::accepts;
use super::figures::{Row, median, readable};
use super::room::Room;
use super::stopwatch;
use super::workspace::Flow;
use crate::message_store::MessageStore;
use crate::message_store::sqlite::SqliteStore;
use crate::problem::{Code, Problem};

const GOAL: f64 = 0.80;
/// Messages on their way to the store at once: as many senders, each of which waits for its answer.
const SENDERS: usize = 256;

/// `store-accept`.
pub async fn accept(room: &Room<'_>) -> Result<Row, Problem> {
    let store = accepts::open(&room.folder.join("store"))?;
    let rows = Rows::create(&room.folder.join("rows")).map_err(|error| failed(&*error))?;
    let (mut ours, mut theirs, mut batches) = (Vec::new(), Vec::new(), Vec::new());
    let mut next = [0, 0];
    for round in 1..=room.size.rounds {
        let (rate, batch) = through_the_store(room, &store, &mut next[0]).await?;
        let raw = by_hand(room, &rows, &mut next[1], batch.round().max(1.0) as u64)?;
        room.say(format!("store, round {round} of {}: {rate:.0} accepts/s, {batch:.0} a commit; by hand {raw:.0}/s", room.size.rounds));
        ours.push(rate);
        theirs.push(raw);
        batches.push(batch);
    }
    store.close().await;
    let batch = readable(median(batches.into_iter()));
    let note = format!("{SENDERS} at once, {batch} a commit; by hand: the same rows in commits of the same size");
    let values = [median(ours.into_iter()), median(theirs.into_iter())];
    Ok(Row::at_least("store-accept", "msg/s", values, GOAL, note))
}

/// Gives the rate and how many a commit had.
async fn through_the_store(room: &Room<'_>, store: &SqliteStore, next: &mut u64) -> Result<(f64, f64), Problem> {
    let name = Flow::example().name;
    let (first, commits) = (*next, store.commits());
    let started = stopwatch::now();
    let mut taken = || {
        let number = *next;
        *next += 1;
        store.accept(accepts::accept(number, &name))
    };
    let mut under_way: FuturesUnordered<_> = (0..SENDERS).map(|_| taken()).collect();
    while let Some(accepted) = under_way.next().await {
        accepted.map_err(|error| failed(&error))?;
        if started.elapsed() < room.size.lasts {
            under_way.push(taken());
        }
    }
    let took = started.elapsed().as_secs_f64();
    let count = (*next - first) as f64;
    Ok((count / took, count / (store.commits() - commits).max(1) as f64))
}

/// Gives the rate. Blocks.
fn by_hand(room: &Room<'_>, rows: &Rows, next: &mut u64, batch: u64) -> Result<f64, Problem> {
    let first = *next;
    let started = stopwatch::now();
    while started.elapsed() < room.size.lasts {
        commit(rows, *next..*next + batch).map_err(|error| failed(&error))?;
        *next += batch;
    }
    Ok((*next - first) as f64 / started.elapsed().as_secs_f64())
}

fn commit(rows: &Rows, numbers: std::ops::Range<u64>) -> Result<(), rusqlite::Error> {
    rows.begin()?;
    for number in numbers {
        let order = accepts::floor_order(number);
        if rows.seen(&order)?.is_none() {
            rows.insert(&order, false)?;
        }
    }
    rows.commit()
}

fn failed(error: &dyn std::fmt::Display) -> Problem {
    Problem::new(Code::BenchFailed, format!("a store failed: {error}")).fix("look whether the disk is full, and run it again")
}
