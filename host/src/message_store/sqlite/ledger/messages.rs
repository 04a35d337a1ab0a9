//! Lists of messages: [`find`]. What each filter asks for is a list that an index keeps; `search` leaps through them.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension};

use super::rows::{MessagePage, MessageRow, StandingRow, State};
use super::search::{Filter, List, Next, Search};
use super::when::{self, Span};
use super::{MessageQuery, ROWS_MAX, page, prepared, time, word};
use crate::clock::Timestamp;
use crate::message::MessageId;
use crate::message_store::sqlite::failure::Done;
use crate::message_store::sqlite::rows::{count, maybe_message_id, message_id, tracked};

/// The columns of [`row`], of `message`.
macro_rules! columns {
    () => {
        "seq, id, parent, key, origin, content_type, octet_length(body), accepted_at"
    };
}

const ANY: &str = "SELECT max(seq) FROM message WHERE seq <= ?1";
const BY_PARENT: &str = "SELECT max(seq) FROM message WHERE seq <= ?1 AND parent = ?2";
const BY_KEY: &str = "SELECT max(seq) FROM message WHERE seq <= ?1 AND key = ?2";
const BY_TRACKED: &str = "SELECT max(message) FROM tracked WHERE message <= ?1 AND name = ?2 AND value = ?3";
const BY_STANDING: &str = "SELECT max(message) FROM standing WHERE message <= ?1 AND integration = ?2 AND state = ?3";
const OF_INTEGRATION: &str = "SELECT max(message) FROM standing WHERE message = ?1 AND integration = ?2";
const IN_STATE: &str = "SELECT max(message) FROM standing WHERE message = ?1 AND state = ?2";

/// A page of messages, newest first.
pub(super) fn find(connection: &Connection, query: &MessageQuery) -> Done<MessagePage> {
    let mut filters = filters(connection, query)?;
    let span = Span::find(connection, when::MESSAGES, query.since, query.until)?;
    let mut most = query.before_seq.map_or(i64::MAX, |before| before.saturating_sub(1)).min(span.most);
    let mut search = Search::new(connection);
    let mut found: Vec<MessageRow> = Vec::new();
    let stopped = loop {
        let seq = match search.next(&mut filters, most, span.least)? {
            Next::Row(seq) => seq,
            Next::End => return page_of(connection, found, None),
            Next::Stopped(at) => break at,
        };
        most = seq.saturating_sub(1);
        match one_within(connection, seq, query)? {
            None => search.step(),
            Some(_) if found.len() >= query.limit.min(ROWS_MAX) => {
                let last = found.last().map(|last| last.seq);
                return Ok(MessagePage { next: last, ..page_of(connection, found, None)? });
            }
            Some(message) => found.push(message),
        }
    };
    page_of(connection, found, Some(stopped))
}

/// `found` as a page; `stopped`: where the search was given up.
fn page_of(connection: &Connection, found: Vec<MessageRow>, stopped: Option<i64>) -> Done<MessagePage> {
    let searched_to = stopped.map(|at| time_at(connection, at)).transpose()?.flatten();
    Ok(MessagePage { messages: whole(connection, found)?, next: stopped.map(|at| at.saturating_add(1)), searched_to })
}

/// When the message was accepted that is at `seq`, or the one before it.
fn time_at(connection: &Connection, seq: i64) -> Done<Option<String>> {
    let mut find = prepared(connection, "SELECT accepted_at FROM message WHERE seq <= ?1 ORDER BY seq DESC LIMIT 1")?;
    Ok(find.query_row([seq], |row| time(row, 0)).optional()?)
}

fn filters(connection: &Connection, query: &MessageQuery) -> Done<Vec<Filter>> {
    let mut filters = Vec::new();
    if let Some(ids) = &query.ids {
        filters.push(Filter::These(seqs(connection, ids)?));
    }
    if let Some((name, value)) = &query.tracked {
        filters.push(Filter::In(List::new(BY_TRACKED, [name.clone(), value.clone()])));
    }
    if let Some(key) = &query.key {
        filters.push(Filter::In(List::new(BY_KEY, [key.clone()])));
    }
    if let Some(parent) = query.parent {
        filters.push(Filter::In(List::new(BY_PARENT, [parent.0.as_bytes().to_vec()])));
    }
    filters.extend(by_standing(connection, query)?);
    if filters.is_empty() {
        filters.push(Filter::In(List::new(ANY, [] as [Value; 0])));
    }
    Ok(filters)
}

/// How messages stand: a list for every integration and state that is meant.
fn by_standing(connection: &Connection, query: &MessageQuery) -> Done<Option<Filter>> {
    let list = |integration: &str, state: State| List::new(BY_STANDING, [integration.to_owned(), state.as_str().to_owned()]);
    Ok(match (&query.integration, query.state) {
        (None, None) => None,
        (Some(integration), Some(state)) => Some(Filter::In(list(integration, state))),
        (Some(integration), None) => {
            let lists = State::ALL.iter().map(|state| list(integration, *state)).collect();
            Some(Filter::InAny(List::new(OF_INTEGRATION, [integration.clone()]), lists))
        }
        (None, Some(state)) => {
            let lists = integrations(connection)?.iter().map(|integration| list(integration, state)).collect();
            Some(Filter::InAny(List::new(IN_STATE, [state.as_str().to_owned()]), lists))
        }
    })
}

/// The integrations that have read anything, found by leaping through the index.
fn integrations(connection: &Connection) -> Done<Vec<String>> {
    let mut next = prepared(connection, "SELECT min(integration) FROM standing WHERE integration > ?1")?;
    let mut found = Vec::new();
    let mut last = String::new();
    while let Some(integration) = next.query_row([&last], |row| row.get::<_, Option<String>>(0))? {
        found.push(integration.clone());
        last = integration;
    }
    Ok(found)
}

/// Where these messages are, newest first; unknown ones are nowhere.
fn seqs(connection: &Connection, ids: &[MessageId]) -> Done<Vec<i64>> {
    let mut find = prepared(connection, "SELECT seq FROM message WHERE id = ?1")?;
    let mut seqs = Vec::with_capacity(ids.len());
    for id in ids {
        seqs.extend(find.query_row([id.0.as_bytes()], |row| row.get::<_, i64>(0)).optional()?);
    }
    seqs.sort_unstable_by(|one, other| other.cmp(one));
    Ok(seqs)
}

/// The first children of a message, in the order in which they were made, and whether there are more.
pub(super) fn children(connection: &Connection, parent: MessageId, limit: usize) -> Done<(Vec<MessageRow>, bool)> {
    let mut find = prepared(connection, concat!("SELECT ", columns!(), " FROM message WHERE parent = ?1 ORDER BY seq LIMIT ?2"))?;
    let mut found: Vec<MessageRow> = find.query_map((parent.0.as_bytes(), page(limit) + 1), row)?.collect::<Result<_, _>>()?;
    let more = found.len() > limit;
    found.truncate(limit);
    Ok((whole(connection, found)?, more))
}

/// One message.
pub(super) fn one(connection: &Connection, seq: i64) -> Done<Option<MessageRow>> {
    let found = one_within(connection, seq, &MessageQuery::default())?;
    Ok(whole(connection, found.into_iter().collect())?.pop())
}

/// A message that is to be made [`whole`], if it was accepted in the time that is meant.
fn one_within(connection: &Connection, seq: i64, query: &MessageQuery) -> Done<Option<MessageRow>> {
    let mut find = prepared(
        connection,
        concat!("SELECT ", columns!(), " FROM message WHERE seq = ?1 AND accepted_at >= ?2 AND (?3 IS NULL OR accepted_at < ?3)"),
    )?;
    let since = query.since.unwrap_or(Timestamp(i64::MIN));
    Ok(find.query_row((seq, since.0, query.until.map(|until| until.0)), row).optional()?)
}

/// A row of [`columns`], which is to be made [`whole`].
fn row(row: &rusqlite::Row<'_>) -> rusqlite::Result<MessageRow> {
    Ok(MessageRow {
        seq: row.get(0)?,
        id: message_id(row, 1)?,
        parent: maybe_message_id(row, 2)?,
        key: row.get(3)?,
        origin: row.get(4)?,
        content_type: row.get(5)?,
        body_bytes: count(row, 6)?,
        accepted_at: time(row, 7)?,
        tracked: Vec::new(),
        integrations: Vec::new(),
    })
}

/// With what people know messages by, and how they stand.
fn whole(connection: &Connection, mut messages: Vec<MessageRow>) -> Done<Vec<MessageRow>> {
    for message in &mut messages {
        message.tracked = tracked(connection, message.seq)?;
        message.integrations = standings(connection, message.seq)?;
    }
    Ok(messages)
}

/// How a message stands with all that read it; where it was fanned out, its children say.
fn standings(connection: &Connection, seq: i64) -> Done<Vec<StandingRow>> {
    let mut find = prepared(connection, "SELECT integration, state, children FROM standing WHERE message = ?1 ORDER BY integration")?;
    let stored = find.query_map([seq], |row| {
        Ok(StandingRow { integration: row.get(0)?, state: word(row, 1, State::parse)?, children: count(row, 2)? })
    })?;
    let mut standings = stored.collect::<Result<Vec<_>, _>>()?;
    for standing in standings.iter_mut().filter(|standing| standing.state == State::FannedOut) {
        standing.state = of_children(connection, seq, &standing.integration)?;
    }
    Ok(standings)
}

/// What the children that `integration` made of a message make of it: the state that asks most of people.
fn of_children(connection: &Connection, parent: i64, integration: &str) -> Done<State> {
    let mut any = prepared(connection, "SELECT 1 FROM standing WHERE parent = ?1 AND integration = ?2 AND state = ?3 LIMIT 1")?;
    for state in State::BY_URGENCY {
        if any.exists((parent, integration, state.as_str()))? {
            return Ok(*state);
        }
    }
    Ok(State::FannedOut)
}
