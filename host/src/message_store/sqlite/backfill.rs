//! Readers that begin at a channel's beginning, over restarts: [`Backfills`].
//!
//! What is on a channel is written down with its position ([`appended`]). A reader that begins gets its deliveries from there, in
//! order, a chunk at a time. As long as it is not at the end, what comes live makes no delivery for it: it is on the channel, so its turn
//! comes, behind all that was there before. It counts as waiting from the start on, so that a reader that lags makes the channel's
//! writers wait as any other does. That nothing is left and that it reads live from now on are one transaction.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension};

use super::Inner;
use super::accept;
use super::failure::Done;
use super::rows;
use super::writing::Writing;
use crate::clock::Timestamp;
use crate::message::Message;
use crate::message_store::{Append, NewDelivery, StoreError};

/// Messages that one chunk has at most: some milliseconds of the writer's time.
const CHUNK_MESSAGES: u64 = 256;
/// Bytes of bodies after which a chunk ends.
const CHUNK_BYTES: usize = 8 * 1024 * 1024;
/// What is left is counted up to this.
pub const LEFT_COUNTED_MAX: u64 = 100_000;

/// Reads and writes how far readers are that began at a channel's beginning.
#[derive(Clone, Debug)]
pub struct Backfills {
    pub(super) inner: Arc<Inner>,
}

/// A reader that is not at the end yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backfill {
    pub integration: String,
    pub channel: String,
    /// Messages still to come, those counted that came live meanwhile: up to [`LEFT_COUNTED_MAX`].
    pub left: u64,
    /// The rule of its source, as it was when it began: what is ordered by where the source is no more.
    pub key: Option<String>,
}

/// How many deliveries of a reader may be made ahead: a key that is stopped keeps what is behind it, and should not keep the other keys.
#[derive(Clone, Copy, Debug)]
pub struct Ahead {
    /// Of those that could go.
    pub ready: u64,
    /// Of all that wait.
    pub waiting: u64,
}

/// The next of what a reader takes over.
#[derive(Debug)]
pub struct Chunk {
    /// Where it was read from.
    after: i64,
    /// Where the next one begins.
    up_to: i64,
    /// In order.
    messages: Vec<OnChannel>,
}

impl Chunk {
    /// The messages, and before when nobody gets them.
    pub fn messages(&self) -> impl Iterator<Item = (&Message, Timestamp)> {
        self.messages.iter().map(|one| (&one.message, one.due_at))
    }
}

#[derive(Debug)]
struct OnChannel {
    position: i64,
    seq: i64,
    due_at: Timestamp,
    message: Message,
}

/// What became of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filled {
    /// There is more.
    More,
    /// It reads live from now on, or no more where it was ended.
    Done,
    /// It stands elsewhere by now: read again.
    Moved,
}

/// A row of `backfill`.
struct Standing {
    position: i64,
    /// What is behind this came after it had begun, and is counted as waiting.
    live_from: i64,
    /// Nothing behind this is for it: it does not read the channel any more, or is being retired.
    until: Option<i64>,
}

impl Backfills {
    /// Those that are not at the end, by integration and channel.
    pub async fn all(&self) -> Result<Vec<Backfill>, StoreError> {
        let read = |connection: &Connection| {
            let mut find = connection.prepare_cached(
                "SELECT integration, channel, (SELECT count(*) FROM (SELECT 1 FROM channel_message c WHERE c.channel = b.channel
                        AND c.position > b.position AND c.position <= coalesce(b.until, c.position) LIMIT ?1)), key
                 FROM backfill b ORDER BY integration, channel",
            )?;
            let limit = i64::try_from(LEFT_COUNTED_MAX).unwrap_or(i64::MAX);
            let found = find.query_map([limit], |row| {
                Ok(Backfill { integration: row.get(0)?, channel: row.get(1)?, left: rows::count(row, 2)?, key: row.get(3)? })
            })?;
            Ok(found.collect::<Result<Vec<_>, _>>()?)
        };
        self.inner.people.read(read).await
    }

    /// The next messages of `channel` for `integration`; none while as many deliveries wait of it as `ahead` says.
    /// An empty chunk where nothing is left, which [`Backfills::fill`] is to be told all the same.
    pub async fn next(&self, integration: &str, channel: &str, ahead: Ahead) -> Result<Option<Chunk>, StoreError> {
        let (integration, channel) = (integration.to_owned(), channel.to_owned());
        let read = move |connection: &Connection| {
            let room = ahead.room(connection, &integration)?.min(CHUNK_MESSAGES);
            if room == 0 {
                return Ok(None);
            }
            let Some(Standing { position, until, .. }) = standing(connection, &integration, &channel)? else {
                return Ok(Some(Chunk { after: 0, up_to: 0, messages: Vec::new() }));
            };
            chunk(connection, &channel, (position, until), room).map(Some)
        };
        self.inner.people.read_snapshot(read).await
    }

    /// Makes the deliveries of `chunk`'s messages, one for each in its order, of which none are made that were there before the reader
    /// began and that it has had already.
    pub async fn fill(
        &self,
        integration: &str,
        channel: &str,
        chunk: Chunk,
        deliveries: Vec<NewDelivery>,
        at: Timestamp,
    ) -> Result<Filled, StoreError> {
        let (integration, channel) = (integration.to_owned(), channel.to_owned());
        let write = move |writing: &mut Writing<'_>| {
            // What is there already must still find room to be settled.
            writing.refuse_when_the_disk_is_low()?;
            let Some(standing) = standing(writing.connection, &integration, &channel)? else { return Ok(Filled::Done) };
            if standing.position != chunk.after {
                return Ok(Filled::Moved);
            }
            for (one, delivery) in chunk.messages.iter().zip(&deliveries) {
                if standing.until.is_some_and(|until| one.position > until) {
                    break;
                }
                take_over(writing, one, delivery, &standing, at)?;
            }
            go_on(writing, &integration, &channel, chunk.up_to)
        };
        self.inner.writer.run(0, write).await
    }
}

impl Ahead {
    /// How many more may be made.
    fn room(self, connection: &Connection, integration: &str) -> Done<u64> {
        const READY: &str = "SELECT count(*) FROM (SELECT 1 FROM delivery WHERE integration = ?1 AND state = 'ready' LIMIT ?2)";
        const WAITING: &str = "SELECT count(*) FROM (SELECT 1 FROM delivery WHERE integration = ?1 AND state <> 'stopped' LIMIT ?2)";
        let room = |most: u64, sql| -> Done<u64> {
            let limit = i64::try_from(most).unwrap_or(i64::MAX);
            let there: u64 = connection.prepare_cached(sql)?.query_row((integration, limit), |row| rows::count(row, 0))?;
            Ok(most.saturating_sub(there))
        };
        Ok(room(self.ready, READY)?.min(room(self.waiting, WAITING)?))
    }
}

fn standing(connection: &Connection, integration: &str, channel: &str) -> Done<Option<Standing>> {
    let mut find = connection.prepare_cached("SELECT position, live_from, until FROM backfill WHERE integration = ?1 AND channel = ?2")?;
    let found =
        find.query_row((integration, channel), |row| Ok(Standing { position: row.get(0)?, live_from: row.get(1)?, until: row.get(2)? }));
    Ok(found.optional()?)
}

fn chunk(connection: &Connection, channel: &str, (after, until): (i64, Option<i64>), room: u64) -> Done<Chunk> {
    let sql = format!(
        "SELECT c.position, m.seq, c.due_at, {} FROM channel_message c JOIN message m ON m.seq = c.message
         WHERE c.channel = ?1 AND c.position > ?2 AND c.position <= ?3 ORDER BY c.position LIMIT ?4",
        rows::MESSAGE_COLUMNS
    );
    let mut find = connection.prepare_cached(&sql)?;
    let limit = i64::try_from(room).unwrap_or(i64::MAX);
    let mut found = find.query((channel, after, until.unwrap_or(i64::MAX), limit))?;
    let (mut chunk, mut bytes) = (Chunk { after, up_to: after, messages: Vec::new() }, 0);
    while let Some(row) = found.next()? {
        let message = rows::message(row, 3)?;
        bytes += message.body.len();
        chunk.up_to = row.get(0)?;
        chunk.messages.push(OnChannel { position: chunk.up_to, seq: row.get(1)?, due_at: Timestamp(row.get(2)?), message });
        if bytes > CHUNK_BYTES {
            break;
        }
    }
    Ok(chunk)
}

/// One delivery. What had come live was counted then.
fn take_over(
    writing: &mut Writing<'_>,
    OnChannel { position, seq, .. }: &OnChannel,
    delivery: &NewDelivery,
    standing: &Standing,
    at: Timestamp,
) -> Done<()> {
    let is_live = *position > standing.live_from;
    if is_live || !has_had(writing, *seq, &delivery.integration)? {
        accept::deliver(writing, *seq, delivery, None, at)?;
    }
    if is_live {
        writing.went(&delivery.integration);
    }
    Ok(())
}

/// It read the channel before, was retired, and has come again.
fn has_had(writing: &Writing<'_>, message: i64, integration: &str) -> Done<bool> {
    let mut find = writing.connection.prepare_cached("SELECT 1 FROM standing WHERE message = ?1 AND integration = ?2")?;
    Ok(find.query_row((message, integration), |_| Ok(())).optional()?.is_some())
}

/// To `position`; where nothing is behind it, to the end.
fn go_on(writing: &Writing<'_>, integration: &str, channel: &str, position: i64) -> Done<Filled> {
    const IS_LEFT: &str = "SELECT 1 FROM backfill b JOIN channel_message c ON c.channel = b.channel AND c.position > ?3
         AND c.position <= coalesce(b.until, c.position) WHERE b.integration = ?1 AND b.channel = ?2 LIMIT 1";
    let is_left = writing.connection.prepare_cached(IS_LEFT)?.query_row((integration, channel, position), |_| Ok(())).optional()?;
    if is_left.is_none() {
        let mut remove = writing.connection.prepare_cached("DELETE FROM backfill WHERE integration = ?1 AND channel = ?2")?;
        remove.execute((integration, channel))?;
        return Ok(Filled::Done);
    }
    let mut update = writing.connection.prepare_cached("UPDATE backfill SET position = ?3 WHERE integration = ?1 AND channel = ?2")?;
    update.execute((integration, channel, position))?;
    Ok(Filled::More)
}

/// A message came onto its channel. Gives the readers that take the channel over: they find it there when its turn comes, and it counts
/// as waiting for them, whoever whose message it was knew of them.
pub(super) fn appended(writing: &mut Writing<'_>, append: &Append, message: i64) -> Done<Vec<String>> {
    let channel = &append.channel;
    writing.connection.prepare_cached("INSERT INTO channel_message (channel, message, due_at) VALUES (?1, ?2, ?3)")?.execute((
        channel,
        message,
        append.due_at.0,
    ))?;
    let position = writing.connection.last_insert_rowid();
    let readers: Vec<(String, Option<i64>)> = {
        let mut find = writing.connection.prepare_cached("SELECT integration, until FROM backfill WHERE channel = ?1")?;
        let found = find.query_map([channel], |row| Ok((row.get(0)?, row.get(1)?)))?;
        found.collect::<Result<_, _>>()?
    };
    for (reader, until) in &readers {
        match until {
            None => writing.came(reader),
            // Of before it was being retired, or its own: behind what it has still to get.
            Some(until) if append.deliveries.iter().any(|delivery| delivery.integration == *reader) => {
                counts(writing, reader, channel, *until)?;
                let mut extend =
                    writing.connection.prepare_cached("UPDATE backfill SET until = ?3 WHERE integration = ?1 AND channel = ?2")?;
                extend.execute((reader, channel, position))?;
            }
            Some(_) => {}
        }
    }
    Ok(readers.into_iter().map(|(reader, _)| reader).collect())
}

/// `integration` reads these channels from now on. Those that are `new` it reads from their beginning, each with the rule for its key. Of one
/// that it reads no more it gets what had come for it live.
pub(super) fn reads(writing: &mut Writing<'_>, integration: &str, channels: &[String], new: &[(String, Option<String>)]) -> Done<()> {
    for channel in of(writing, integration)? {
        if channels.contains(&channel) {
            reopen(writing, integration, &channel)?;
        } else {
            skip_to_live(writing, integration, &channel)?;
            end(writing, integration, &channel)?;
        }
    }
    for (channel, key) in new {
        // Nothing to take over where nothing is.
        if let Some(last) = last(writing, channel)? {
            writing
                .connection
                .prepare_cached(
                    "INSERT OR IGNORE INTO backfill (integration, channel, position, live_from, key) VALUES (?1, ?2, 0, ?3, ?4)",
                )?
                .execute((integration, channel, last, key))?;
        }
    }
    Ok(())
}

fn skip_to_live(writing: &Writing<'_>, integration: &str, channel: &str) -> Done<()> {
    let mut skip = writing
        .connection
        .prepare_cached("UPDATE backfill SET position = max(position, live_from) WHERE integration = ?1 AND channel = ?2")?;
    skip.execute((integration, channel))?;
    Ok(())
}

/// `integration` is being retired: it gets what is on its channels by now, and nothing that comes.
pub(super) fn is_leaving(writing: &Writing<'_>, integration: &str) -> Done<()> {
    of(writing, integration)?.iter().try_for_each(|channel| end(writing, integration, channel))
}

/// Whether it takes something over still.
pub(super) fn is_under_way(writing: &Writing<'_>, integration: &str) -> Done<bool> {
    Ok(!of(writing, integration)?.is_empty())
}

/// It is not retired after all. What came meanwhile is for it too.
pub(super) fn stays(writing: &mut Writing<'_>, integration: &str) -> Done<()> {
    of(writing, integration)?.iter().try_for_each(|channel| reopen(writing, integration, channel))
}

/// The channels that `integration` takes over.
fn of(writing: &Writing<'_>, integration: &str) -> Done<Vec<String>> {
    let mut find = writing.connection.prepare_cached("SELECT channel FROM backfill WHERE integration = ?1")?;
    let found = find.query_map([integration], |row| row.get(0))?;
    Ok(found.collect::<Result<_, _>>()?)
}

fn end(writing: &Writing<'_>, integration: &str, channel: &str) -> Done<()> {
    let last = last(writing, channel)?.unwrap_or(0);
    let mut end =
        writing.connection.prepare_cached("UPDATE backfill SET until = coalesce(until, ?3) WHERE integration = ?1 AND channel = ?2")?;
    end.execute((integration, channel, last))?;
    Ok(())
}

/// What is behind `until` counts as waiting for it.
fn counts(writing: &mut Writing<'_>, integration: &str, channel: &str, until: i64) -> Done<()> {
    let mut count = writing.connection.prepare_cached("SELECT count(*) FROM channel_message WHERE channel = ?1 AND position > ?2")?;
    let came: u64 = count.query_row((channel, until), |row| rows::count(row, 0))?;
    (0..came).for_each(|_| writing.came(integration));
    Ok(())
}

/// What came since it was ended is for it too.
fn reopen(writing: &mut Writing<'_>, integration: &str, channel: &str) -> Done<()> {
    let Some(Standing { until: Some(until), .. }) = standing(writing.connection, integration, channel)? else { return Ok(()) };
    counts(writing, integration, channel, until)?;
    let mut reopen = writing.connection.prepare_cached("UPDATE backfill SET until = NULL WHERE integration = ?1 AND channel = ?2")?;
    reopen.execute((integration, channel))?;
    Ok(())
}

/// The last position of `channel`.
fn last(writing: &Writing<'_>, channel: &str) -> Done<Option<i64>> {
    let mut find = writing.connection.prepare_cached("SELECT max(position) FROM channel_message WHERE channel = ?1")?;
    Ok(find.query_row([channel], |row| row.get(0))?)
}
