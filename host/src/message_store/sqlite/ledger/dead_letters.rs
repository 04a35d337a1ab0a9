//! Dead letters in lists, and one at a time. Their groups are in `groups`.

use rusqlite::{Connection, OptionalExtension, Row};

use super::lineage::Known;
use super::rows::{DeadLetterPage, DeadLetterRow, Status};
use super::search::{Filter, List, Next, Search};
use super::when::{self, Span};
use super::{DeadLetterQuery, ROWS_MAX, page, prepared, time, word};
use crate::clock::Timestamp;
use crate::message::FailureClass;
use crate::message_store::DeadLetterId;
use crate::message_store::sqlite::failure::Done;
use crate::message_store::sqlite::rows::{count, maybe_message_id, message_id, stage};

/// Up to WHERE; the columns of [`row`].
macro_rules! select {
    ($where:literal) => {
        concat!(
            "SELECT d.id, m.id, d.integration, d.lane, d.stage, d.class, d.code, d.detail, d.fingerprint, d.attempts, d.waits,
                    d.replay, d.died_at, d.status, d.closed_at, d.reason, d.edited_as
             FROM dead_letter d CROSS JOIN message m ON m.seq = d.message WHERE ",
            $where
        )
    };
}

/// A list for [`List`]: newest first, and oldest first, which is newest first among the ids negated.
macro_rules! lists {
    ($where:literal) => {
        [
            concat!("SELECT max(id) FROM dead_letter WHERE id <= ?1 AND status = ?2", $where),
            concat!("SELECT -min(id) FROM dead_letter WHERE id >= -?1 AND status = ?2", $where),
        ]
    };
}

const ANY: [&str; 2] = lists!("");
const BY_FINGERPRINT: [&str; 2] = lists!(" AND fingerprint = ?3");
const BY_INTEGRATION: [&str; 2] = lists!(" AND integration = ?3");
const BY_CLASS: [&str; 2] = lists!(" AND class = ?3");

/// A page of dead letters.
pub(super) fn find(connection: &Connection, query: &DeadLetterQuery) -> Done<DeadLetterPage> {
    let limit = query.limit.min(ROWS_MAX);
    let mut filters = filters(query);
    let sign = if query.oldest_first { -1 } else { 1 };
    let known = Known::asked(query);
    if let Some(mut letters) = known.map(|known| known.letters(connection)).transpose()?.flatten() {
        letters.iter_mut().for_each(|letter| *letter *= sign);
        letters.sort_unstable_by(|one, other| other.cmp(one));
        filters.push(Filter::These(letters));
    }
    let span = Span::find(connection, when::DEAD_LETTERS, query.since, query.until)?;
    let span = if query.oldest_first { span.turned() } else { span };
    let mut most = query.beyond.map_or(i64::MAX, |beyond| (sign * beyond.0).saturating_sub(1)).min(span.most);
    let mut search = Search::new(connection);
    let mut found: Vec<DeadLetterRow> = Vec::new();
    let (next, stopped) = loop {
        let at = match search.next(&mut filters, most, span.least)? {
            Next::Row(at) => at,
            Next::End => break (None, None),
            Next::Stopped(at) => break (Some(sign * at.saturating_add(1)), Some(sign * at)),
        };
        most = at.saturating_sub(1);
        let id = DeadLetterId(sign * at);
        if !fits(connection, id, query, known)? {
            search.step();
        } else if found.len() >= limit {
            break (found.last().map(|last| last.id.0), None);
        } else {
            found.extend(one(connection, id)?);
        }
    };
    let searched_to = stopped.map(|id| died_by(connection, id)).transpose()?.flatten();
    Ok(DeadLetterPage { dead_letters: found, next: next.map(DeadLetterId), searched_to })
}

/// Whether a dead letter is what no list says of it: of this time, and of a message known so.
fn fits(connection: &Connection, id: DeadLetterId, query: &DeadLetterQuery, known: Option<Known<'_>>) -> Done<bool> {
    if known.is_none() && query.since.is_none() && query.until.is_none() {
        return Ok(true);
    }
    let mut find = prepared(connection, "SELECT message, died_at FROM dead_letter WHERE id = ?1")?;
    let (message, died_at) = find.query_row([id.0], |row| Ok((row.get(0)?, Timestamp(row.get(1)?))))?;
    let in_time = query.since.is_none_or(|since| died_at >= since) && query.until.is_none_or(|until| died_at < until);
    match known {
        Some(known) if in_time => known.fits(connection, message),
        _ => Ok(in_time),
    }
}

/// When the dead letter died that is at `id`, or the one before it.
fn died_by(connection: &Connection, id: i64) -> Done<Option<String>> {
    let mut find = prepared(connection, "SELECT died_at FROM dead_letter WHERE id <= ?1 ORDER BY id DESC LIMIT 1")?;
    Ok(find.query_row([id], |row| time(row, 0)).optional()?)
}

fn filters(query: &DeadLetterQuery) -> Vec<Filter> {
    let status = || query.status.as_str().to_owned();
    let list = |[newest, oldest]: [&'static str; 2]| if query.oldest_first { oldest } else { newest };
    let filter = |lists, value: &String| Filter::In(List::new(list(lists), [status(), value.clone()]));
    let class = query.class.map(|class| class.as_str().to_owned());
    let asked = [(BY_FINGERPRINT, query.fingerprint.as_ref()), (BY_INTEGRATION, query.integration.as_ref()), (BY_CLASS, class.as_ref())];
    let mut filters: Vec<Filter> = asked.into_iter().filter_map(|(lists, value)| Some(filter(lists, value?))).collect();
    if filters.is_empty() {
        filters.push(Filter::In(List::new(list(ANY), [status()])));
    }
    filters
}

pub(super) fn one(connection: &Connection, id: DeadLetterId) -> Done<Option<DeadLetterRow>> {
    let mut find = prepared(connection, select!("d.id = ?1"))?;
    Ok(find.query_row([id.0], row).optional()?)
}

/// Those a message has, oldest first.
pub(super) fn of_message(connection: &Connection, seq: i64) -> Done<Vec<DeadLetterRow>> {
    let mut find = prepared(connection, select!("d.message = ?1 ORDER BY d.id LIMIT ?2"))?;
    Ok(find.query_map((seq, page(ROWS_MAX)), row)?.collect::<Result<_, _>>()?)
}

fn row(row: &Row<'_>) -> rusqlite::Result<DeadLetterRow> {
    Ok(DeadLetterRow {
        id: DeadLetterId(row.get(0)?),
        message: message_id(row, 1)?,
        integration: row.get(2)?,
        lane: row.get(3)?,
        stage: stage(row, 4)?,
        class: word(row, 5, FailureClass::parse)?,
        code: row.get(6)?,
        detail: row.get(7)?,
        fingerprint: row.get(8)?,
        attempts: count(row, 9)?,
        waits: count(row, 10)?,
        replay: count(row, 11)?,
        died_at: time(row, 12)?,
        status: word(row, 13, Status::parse)?,
        closed_at: row.get::<_, Option<i64>>(14)?.map(|at| crate::clock::Timestamp(at).to_string()),
        reason: row.get(15)?,
        edited_as: maybe_message_id(row, 16)?,
    })
}
