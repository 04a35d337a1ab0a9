//! `growth-waiting`: throughput while a million messages of another integration wait for a target that is down. `growth-integrations` and
//! `growth-memory`: what a thousand integrations cost of which ten are busy.

use std::path::Path;

use futures_util::StreamExt;

use super::accepts;
use super::figures::Row;
use super::room::Room;
use super::round::{Bout, FULL_SPEED, cpu_us, in_turns, rate};
use super::workspace::Flow;
use crate::message_store::{Accepted, MessageStore, sqlite::SqliteStore};
use crate::problem::{Code, Problem};

const WAITING_GOAL: f64 = 0.90;
const INTEGRATIONS_GOAL: f64 = 0.95;
/// The most an integration may cost that does nothing.
const IDLE_KIB_MAX: f64 = 200.0;
/// Messages on their way to the store at once while it is filled.
const FILLING: usize = 2_048;

/// `growth-waiting`.
pub async fn waiting(room: &Room<'_>) -> Result<Row, Problem> {
    let flows = [Flow::example(), Flow::parked()];
    let full = room.workspace("waiting-full", &flows)?;
    room.say(format!("filling a store with {} messages", room.size.waiting));
    fill(&full.join("data"), room.size.waiting).await?;
    let mut empty = room.lockgate("waiting-empty", &flows).await?;
    let mut full = room.lockgate("waiting-full", &flows).await?;
    warm_up(room, [&mut empty, &mut full]).await?;
    let labels = ["none waiting", "many waiting"];
    let [empty, full] = in_turns(room, "growth", [&mut empty, &mut full], labels, FULL_SPEED).await?;
    let note = format!(
        "{} messages of another integration wait for a target that is down; processor time a message {:.0} µs, without them {:.0} µs",
        room.size.waiting,
        cpu_us(&full).0,
        cpu_us(&empty).0
    );
    Ok(Row::at_least("growth-waiting", "msg/s", [rate(&full), rate(&empty)], WAITING_GOAL, note))
}

/// `growth-integrations` and `growth-memory`.
pub async fn integrations(room: &Room<'_>) -> Result<[Row; 2], Problem> {
    let (count, busy) = (room.size.integrations, room.size.busy);
    let mut few = room.lockgate("integrations-few", &Flow::many(busy, busy)).await?;
    let mut many = room.lockgate("integrations-many", &Flow::many(count, busy)).await?;
    warm_up(room, [&mut few, &mut many]).await?;
    let idle = count.saturating_sub(busy).max(1) as f64;
    let more_bytes = many.subject.resident_bytes().saturating_sub(few.subject.resident_bytes());
    let labels = ["few loaded", "many loaded"];
    let [few, many] = in_turns(room, "growth", [&mut few, &mut many], labels, FULL_SPEED).await?;
    let note = format!("{count} integrations loaded and {busy} busy, against {busy} loaded");
    let memory = [more_bytes as f64 / 1024.0 / idle, IDLE_KIB_MAX];
    Ok([
        Row::at_least("growth-integrations", "msg/s", [rate(&many), rate(&few)], INTEGRATIONS_GOAL, note.clone()),
        Row::at_most("growth-memory", "KiB", memory, 1.0, format!("for each idle one: {note}")),
    ])
}

async fn warm_up(room: &Room<'_>, bouts: [&mut Bout; 2]) -> Result<(), Problem> {
    for bout in bouts {
        bout.round(room, FULL_SPEED, room.size.warm_up).await?;
    }
    Ok(())
}

/// Messages that wait, put there the way intake does it.
async fn fill(data: &Path, count: u64) -> Result<(), Problem> {
    let store = accepts::open(data)?;
    let taken = futures_util::stream::iter(0..count)
        .map(|number| store.accept(accepts::accept(number, &Flow::parked().name)))
        .buffer_unordered(FILLING)
        .filter(|accepted| std::future::ready(matches!(accepted, Ok(Accepted::New))))
        .count()
        .await;
    close(store).await;
    if taken as u64 == count {
        return Ok(());
    }
    Err(Problem::new(Code::BenchFailed, format!("{taken} of {count} messages could be stored")).fix("look whether the disk is full"))
}

async fn close(store: SqliteStore) {
    store.close().await;
}
