//! Open dead letters by fingerprint: [`find`]. The writer counts them (`open_letters`); the first and the last of a group are found
//! by index.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};

use super::rows::{DeadLetterGroupRow, GroupCursor, GroupPage};
use super::{GroupQuery, ROWS_MAX, prepared, time, word};
use crate::message::FailureClass;
use crate::message_store::DeadLetterId;
use crate::message_store::sqlite::failure::Done;
use crate::message_store::sqlite::rows::count;

/// Groups a page looks at, most of which may be of another class than is asked for.
const GROUPS_READ_MAX: usize = 5_000;

const ALL: &str = "SELECT fingerprint, integration, class, code, open FROM dead_letter_group
    WHERE (open, fingerprint) < (?1, ?2) ORDER BY open DESC, fingerprint DESC";
const OF_INTEGRATION: &str = "SELECT fingerprint, integration, class, code, open FROM dead_letter_group
    WHERE (open, fingerprint) < (?1, ?2) AND integration = ?3 ORDER BY open DESC, fingerprint DESC";
const ONE: &str = "SELECT fingerprint, integration, class, code, open FROM dead_letter_group
    WHERE (open, fingerprint) < (?1, ?2) AND fingerprint = ?3";

/// A group as the writer counts it.
struct Counted {
    fingerprint: String,
    integration: String,
    class: FailureClass,
    code: String,
    open: u64,
}

/// A page of groups, largest first.
pub(super) fn find(connection: &Connection, query: &GroupQuery) -> Done<GroupPage> {
    let start = match &query.before {
        Some(GroupCursor { open, fingerprint }) => {
            [Value::Integer(i64::try_from(*open).unwrap_or(i64::MAX)), Value::Text(fingerprint.clone())]
        }
        None => [Value::Integer(i64::MAX), Value::Text(String::new())],
    };
    let (sql, value) = match (&query.fingerprint, &query.integration) {
        (Some(fingerprint), _) => (ONE, Some(fingerprint)),
        (None, Some(integration)) => (OF_INTEGRATION, Some(integration)),
        (None, None) => (ALL, None),
    };
    let mut statement = prepared(connection, sql)?;
    let mut rows = statement.query(params_from_iter(start.into_iter().chain(value.cloned().map(Value::Text))))?;
    let mut found = GroupPage { groups: Vec::new(), next: None };
    let (mut read, mut last) = (0, None);
    while let Some(row) = rows.next()? {
        if found.groups.len() >= query.limit.min(ROWS_MAX) || read >= GROUPS_READ_MAX {
            found.next = last;
            break;
        }
        let group = counted(row)?;
        read += 1;
        last = Some(GroupCursor { open: group.open, fingerprint: group.fingerprint.clone() });
        if query.wants(&group.integration, group.class) {
            found.groups.extend(whole(connection, group)?);
        }
    }
    Ok(found)
}

fn counted(row: &Row<'_>) -> rusqlite::Result<Counted> {
    Ok(Counted {
        fingerprint: row.get(0)?,
        integration: row.get(1)?,
        class: word(row, 2, FailureClass::parse)?,
        code: row.get(3)?,
        open: count(row, 4)?,
    })
}

/// With the time of the first of the group, and the last as an example.
fn whole(connection: &Connection, group: Counted) -> Done<Option<DeadLetterGroupRow>> {
    let mut first = prepared(
        connection,
        "SELECT died_at FROM dead_letter WHERE id = (SELECT min(id) FROM dead_letter WHERE status = 'open' AND fingerprint = ?1)",
    )?;
    let mut last = prepared(
        connection,
        "SELECT died_at, id, detail FROM dead_letter
         WHERE id = (SELECT max(id) FROM dead_letter WHERE status = 'open' AND fingerprint = ?1)",
    )?;
    let Some(first_at) = first.query_row([&group.fingerprint], |row| time(row, 0)).optional()? else { return Ok(None) };
    let last = last.query_row([&group.fingerprint], |row| Ok((time(row, 0)?, row.get(1)?, row.get(2)?))).optional()?;
    let Counted { fingerprint, integration, class, code, open } = group;
    Ok(last.map(|(last_at, example, example_detail)| DeadLetterGroupRow {
        fingerprint,
        integration,
        class,
        code,
        count: open,
        first_at,
        last_at,
        example: DeadLetterId(example),
        example_detail,
    }))
}
