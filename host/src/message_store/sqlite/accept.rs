//! Taking messages: from outside ([`accept`]) and onto channels ([`append`]).

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::OptionalExtension;

use super::backfill;
use super::barrier;
use super::failure::Done;
use super::lane;
use super::outcome::{self, Died, Place};
use super::retirements::is_retired;
use super::rows::{self, NewRow};
use super::writing::Writing;
use crate::clock::Timestamp;
use crate::integration::WaitingMax;
use crate::message::{FailureClass, Message, MessageId};
use crate::message_store::{Accept, Accepted, Append, AppendedMessage, Dedup, Lane, NewDelivery, Stage, StoreError, unkeyed_fingerprint};

/// See [`crate::message_store::MessageStore::accept`].
pub(super) fn accept(writing: &mut Writing<'_>, accept: &Accept) -> Done<Accepted> {
    // Before anything is answered: that a message is a duplicate says that the first one is on disk.
    writing.refuse_when_the_files_are_gone()?;
    let at = accept.message.accepted_at;
    let (known, deliveries) = apart(writing, accept, at)?;
    if let (true, true, Some(retired)) = (known.is_empty(), deliveries.is_empty(), accept.deliveries.first()) {
        return Err(StoreError::Retired(retired.integration.clone()).into());
    }
    if let (true, Some((_, first))) = (deliveries.is_empty(), known.first()) {
        // A sender is told the same id each time, whichever message brought the records.
        return Ok(Accepted::Duplicate(seen(writing, accept.dedup.as_ref(), at)?.unwrap_or(*first)));
    }
    if let Some(refusal) = refusal(writing, &deliveries, accept.waiting_max) {
        return seen(writing, accept.dedup.as_ref(), at)?.map_or(refusal, |first| Ok(Accepted::Duplicate(first)));
    }
    // The token first: writing it down says whether it is there, in one search of its tree.
    if let Some(first) = remember(writing, accept.dedup.as_ref(), accept.message.id, at)? {
        return Ok(Accepted::Duplicate(first));
    }
    let Some(seq) = rows::insert_message(writing, &accept.message)? else {
        return Ok(Accepted::Duplicate(accept.message.id));
    };
    for delivery in deliveries {
        remember(writing, delivery.record.as_ref(), accept.message.id, at)?;
        deliver(writing, seq, delivery, Some(&accept.message), at)?;
    }
    let known: Vec<String> = known.into_iter().map(|(integration, _)| integration).collect();
    Ok(if known.is_empty() { Accepted::New } else { Accepted::Partly(known) })
}

/// Appends a message to a channel, at the time `at`, for all its readers.
pub(super) fn append(writing: &mut Writing<'_>, append: &Append, at: Timestamp) -> Done<()> {
    if seen(writing, append.dedup.as_ref(), at)?.is_some() {
        return Ok(());
    }
    let (id, seq) = match &append.message {
        AppendedMessage::New(message) => (message.id, rows::insert_message(writing, message)?),
        AppendedMessage::Existing(id) => (*id, rows::seq_of(writing, *id)?),
    };
    let Some(seq) = seq else { return Ok(()) };
    remember(writing, append.dedup.as_ref(), id, at)?;
    let taking_over = backfill::appended(writing, append, seq)?;
    let message = match &append.message {
        AppendedMessage::New(message) => Some(message),
        AppendedMessage::Existing(_) => None,
    };
    for delivery in &append.deliveries {
        // One whose reader was retired while it was on its way here goes to nobody, as all that follow it. A reader that began at the
        // channel's beginning and is not here yet finds it when it comes.
        if is_retired(writing, &delivery.integration)? || taking_over.contains(&delivery.integration) {
            continue;
        }
        deliver(writing, seq, delivery, message, at)?;
    }
    Ok(())
}

/// An integration, and the message by which it knows the record already.
type Known = (String, MessageId);

/// The integrations that know the record already, and the deliveries of the others, but for what was retired since the message was read.
fn apart<'a>(writing: &Writing<'_>, accept: &'a Accept, at: Timestamp) -> Done<(Vec<Known>, Vec<&'a NewDelivery>)> {
    let (mut known, mut deliveries) = (Vec::new(), Vec::with_capacity(accept.deliveries.len()));
    for delivery in &accept.deliveries {
        match seen(writing, delivery.record.as_ref(), at)? {
            Some(first) => known.push((delivery.integration.clone(), first)),
            None if is_retired(writing, &delivery.integration)? => {}
            None => deliveries.push(delivery),
        }
    }
    Ok((known, deliveries))
}

/// Why nothing new can be taken: a duplicate is one all the same.
fn refusal(writing: &mut Writing<'_>, deliveries: &[&NewDelivery], most: WaitingMax) -> Option<Done<Accepted>> {
    match full(writing, deliveries, most) {
        Some(full) => Some(Ok(full)),
        None => writing.refuse_when_the_disk_is_low().err().map(Err),
    }
}

/// The answer where as much waits as may.
fn full(writing: &Writing<'_>, deliveries: &[&NewDelivery], most: WaitingMax) -> Option<Accepted> {
    let mut coming = BTreeMap::<&str, u64>::new();
    for delivery in deliveries.iter().filter(|delivery| !matches!(delivery.lane, Lane::Unkeyed(_))) {
        *coming.entry(&delivery.integration).or_default() += 1;
    }
    let all = coming.values().sum::<u64>();
    let full = coming.into_iter().find(|(integration, more)| writing.waiting(integration) + more > most.integration);
    let host_full = || (all > 0 && writing.waiting_in_all() + all > most.host).then_some(Accepted::HostFull);
    full.map(|(integration, _)| Accepted::Full(integration.to_owned())).or_else(host_full)
}

/// The message that was taken before under this token, if the token still counts at `at`.
pub(super) fn seen(writing: &Writing<'_>, dedup: Option<&Dedup>, at: Timestamp) -> Done<Option<MessageId>> {
    let Some(dedup) = dedup else { return Ok(None) };
    let mut find = writing.connection.prepare_cached("SELECT message FROM dedup WHERE scope = ?1 AND token = ?2 AND expires_at > ?3")?;
    Ok(find.query_row((&dedup.scope, &dedup.token, at.0), |row| rows::message_id(row, 0)).optional()?)
}

/// Writes the token down, or gives the message that was taken before under it. One that expired by `at` and was not cleaned up yet is
/// taken over.
pub(super) fn remember(writing: &Writing<'_>, dedup: Option<&Dedup>, id: MessageId, at: Timestamp) -> Done<Option<MessageId>> {
    let Some(token) = dedup else { return Ok(None) };
    let written = writing
        .connection
        .prepare_cached(
            "INSERT INTO dedup (scope, token, message, expires_at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (scope, token) DO UPDATE SET message = excluded.message, expires_at = excluded.expires_at WHERE expires_at <= ?5",
        )?
        .execute((&token.scope, &token.token, id.0.as_bytes(), token.expires_at.0, at.0))?;
    if written == 0 { seen(writing, dedup, at) } else { Ok(None) }
}

/// The delivery at the end of its lane; or, without the key its integration orders by, among the dead letters.
pub(super) fn deliver(
    writing: &mut Writing<'_>,
    message: i64,
    delivery: &NewDelivery,
    whole: Option<&Arc<Message>>,
    at: Timestamp,
) -> Done<()> {
    let integration = delivery.integration.as_str();
    let going = barrier::going(writing, integration)?;
    let goes = i64::from(delivery.ordering) <= going;
    let (lane, ready) = match &delivery.lane {
        Lane::Free => (None, goes),
        Lane::Key(key) => (Some(key.as_str()), goes && !lane::is_taken(writing, integration, key, going)?),
        Lane::Unkeyed(detail) => return unkeyed(writing, message, integration, detail, at),
    };
    let row = NewRow {
        integration,
        message,
        stage: Stage::Steps,
        lane,
        origin: message,
        ordinal: 0,
        ready,
        due_at: delivery.due_at,
        replay: 0,
        ordering: delivery.ordering.into(),
        parent: None,
        fresh: whole.filter(|_| delivery.due_at <= at),
    };
    rows::insert_delivery(writing, &row)?;
    Ok(())
}

fn unkeyed(writing: &mut Writing<'_>, message: i64, integration: &str, detail: &str, at: Timestamp) -> Done<()> {
    let place = Place { integration, message, stage: Stage::Steps, lane: None, origin: message, ordinal: 0, replay: 0 };
    let died = Died {
        class: FailureClass::Unkeyed,
        code: FailureClass::Unkeyed.as_str(),
        detail,
        fingerprint: &unkeyed_fingerprint(integration),
        attempts: 0,
        waits: 0,
        at,
    };
    outcome::bury(writing, &place, &died)
}
