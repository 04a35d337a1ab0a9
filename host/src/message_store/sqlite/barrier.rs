//! Barriers: where a release orders its integration's messages by another rule, what was put in order by the old one goes first.
//!
//! Each delivery has the number of the rule that put it in order (`ordering`). While an integration has a row in `barrier`, deliveries of
//! later rules than `going` are held: they stay `behind`, whatever lane they are in, and count for nothing in it. When nothing waits of the
//! rules that go, the next one's deliveries go. Depends on `lane`'s queries for what a lane is.

use rusqlite::OptionalExtension;

use super::failure::Done;
use super::lane;
use super::writing::Writing;
use crate::clock::Timestamp;

/// Every rule: no barrier stands.
pub(super) const ALL: i64 = i64::MAX;

/// The last rule of `integration` whose deliveries go.
pub(super) fn going(writing: &Writing<'_>, integration: &str) -> Done<i64> {
    if !writing.may_be_barred(integration) {
        return Ok(ALL);
    }
    let mut find = writing.connection.prepare_cached("SELECT going FROM barrier WHERE integration = ?1")?;
    Ok(find.query_row([integration], |row| row.get(0)).optional()?.unwrap_or(ALL))
}

/// From now on messages of `integration` are put in order by the rule after `before`: what waits by that or an earlier one goes first. Where
/// a barrier stands already, it stays: its rules are earlier ones.
pub(super) fn raise(writing: &mut Writing<'_>, integration: &str, before: u32) -> Done<()> {
    writing.bar(integration);
    writing
        .connection
        .prepare_cached("INSERT INTO barrier (integration, going) VALUES (?1, ?2) ON CONFLICT (integration) DO NOTHING")?
        .execute((integration, before))?;
    lift_where_done(writing, integration)
}

/// A delivery of `integration` waits no more: if it was the last of the rules that go, the next one's go.
pub(super) fn lift_where_done(writing: &mut Writing<'_>, integration: &str) -> Done<()> {
    let going = going(writing, integration)?;
    if going == ALL || is_waiting(writing, integration, going)? {
        return Ok(());
    }
    let mut next = writing
        .connection
        .prepare_cached("SELECT min(ordering) FROM delivery WHERE integration = ?1 AND state = 'behind' AND ordering > ?2")?;
    let next: Option<i64> = next.query_row((integration, going), |row| row.get(0))?;
    // Where nothing is held behind the next rule either, nothing stands in the way of anything.
    let Some(next) = next else { return fall(writing, integration) };
    if has_later(writing, integration, next)? {
        writing.connection.prepare_cached("UPDATE barrier SET going = ?2 WHERE integration = ?1")?.execute((integration, next))?;
    } else {
        fall(writing, integration)?;
    }
    let_go(writing, integration, next)
}

fn fall(writing: &Writing<'_>, integration: &str) -> Done<()> {
    writing.connection.prepare_cached("DELETE FROM barrier WHERE integration = ?1")?.execute([integration])?;
    Ok(())
}

/// Whether something waits of the rules up to `going`. Those that came first are looked at first: while there are any, that is quick.
fn is_waiting(writing: &Writing<'_>, integration: &str, going: i64) -> Done<bool> {
    let mut find = writing.connection.prepare_cached(
        "SELECT 1 FROM delivery WHERE integration = ?1 AND ordering <= ?2 AND state <> 'stopped' ORDER BY message LIMIT 1",
    )?;
    Ok(find.exists((integration, going))?)
}

fn has_later(writing: &Writing<'_>, integration: &str, ordering: i64) -> Done<bool> {
    let mut find = writing.connection.prepare_cached("SELECT 1 FROM delivery WHERE integration = ?1 AND ordering > ?2 LIMIT 1")?;
    Ok(find.exists((integration, ordering))?)
}

/// What was held of the rule `ordering` goes: what is in no lane, and the first of each lane.
fn let_go(writing: &mut Writing<'_>, integration: &str, ordering: i64) -> Done<()> {
    let free = writing
        .connection
        .prepare_cached(
            "UPDATE delivery SET state = 'ready' WHERE integration = ?1 AND state = 'behind' AND lane IS NULL AND ordering <= ?2",
        )?
        .execute((integration, ordering))?;
    if free > 0 {
        // Whenever they are due: who hands out looks.
        writing.ready(integration, Timestamp(0));
    }
    let mut find = writing.connection.prepare_cached(
        "SELECT DISTINCT lane FROM delivery WHERE integration = ?1 AND state = 'behind' AND lane IS NOT NULL AND ordering <= ?2",
    )?;
    let lanes: Vec<String> = find.query_map((integration, ordering), |row| row.get(0))?.collect::<Result<_, _>>()?;
    for lane in lanes {
        lane::arrange(writing, integration, Some(&lane))?;
    }
    Ok(())
}
