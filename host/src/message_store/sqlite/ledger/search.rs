//! Searching by several things at once: [`Search`]. Each thing asked for is a list of row ids that an index keeps in order; the rows
//! that are in all of them are found by leaping from the newest down: whichever list has nothing in between says where to go on.
//!
//! A leap is one seek in one index. However many rows there are, a search takes at most [`STEPS_MAX`] of them, and says how far it came.

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::prepared;
use crate::message_store::sqlite::failure::Done;

/// Leaps a search takes at most: some tens of milliseconds.
pub(super) const STEPS_MAX: u32 = 20_000;

/// One thing asked for.
#[derive(Debug)]
pub(super) enum Filter {
    /// Rows in one list.
    In(List),
    /// Rows in any of these lists. The statement of the first one tells whether a row is in one of them, which spares leaping through
    /// many lists where most rows are.
    InAny(List, Vec<List>),
    /// These rows, newest first.
    These(Vec<i64>),
}

/// Row ids in an index, by the columns before them.
#[derive(Debug)]
pub(super) struct List {
    /// Gives the greatest row id that is at most `?1` and has the values from `?2` on.
    sql: &'static str,
    values: Vec<Value>,
    /// What was asked last, and what was found.
    last: Option<(i64, Option<i64>)>,
}

impl List {
    pub(super) fn new(sql: &'static str, values: impl IntoIterator<Item = impl Into<Value>>) -> Self {
        Self { sql, values: values.into_iter().map(Into::into).collect(), last: None }
    }

    /// The newest row that is not newer than `most`.
    fn seek(&mut self, search: &mut Search<'_>, most: i64) -> Done<Option<i64>> {
        if let Some((asked, found)) = self.last
            && most <= asked
            && found.is_none_or(|found| found <= most)
        {
            return Ok(found);
        }
        let found = search.ask(self.sql, &self.values, most)?;
        self.last = Some((most, found));
        Ok(found)
    }
}

impl Filter {
    fn seek(&mut self, search: &mut Search<'_>, most: i64) -> Done<Option<i64>> {
        match self {
            Self::In(list) => list.seek(search, most),
            Self::These(rows) => Ok(rows.get(rows.partition_point(|row| *row > most)).copied()),
            Self::InAny(member, lists) => {
                if search.ask(member.sql, &member.values, most)? == Some(most) {
                    return Ok(Some(most));
                }
                let mut newest = None;
                for list in lists {
                    newest = newest.max(list.seek(search, most)?);
                }
                Ok(newest)
            }
        }
    }
}

/// What comes next in a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Row(i64),
    /// There is nothing more.
    End,
    /// The search was given up; nothing older than this place and nothing at it was searched.
    Stopped(i64),
}

/// A search under way.
#[derive(Debug)]
pub(super) struct Search<'c> {
    connection: &'c Connection,
    steps: u32,
}

impl<'c> Search<'c> {
    pub(super) fn new(connection: &'c Connection) -> Self {
        Self { connection, steps: 0 }
    }

    /// The newest row from `most` down to `least` that passes every one of `filters`, of which there is at least one.
    pub(super) fn next(&mut self, filters: &mut [Filter], mut most: i64, least: i64) -> Done<Next> {
        loop {
            if self.steps >= STEPS_MAX {
                return Ok(Next::Stopped(most));
            }
            let bound = most;
            for filter in &mut *filters {
                match filter.seek(self, most)? {
                    None => return Ok(Next::End),
                    Some(found) => most = found,
                }
            }
            if most < least {
                return Ok(Next::End);
            }
            if most == bound {
                return Ok(Next::Row(most));
            }
        }
    }

    /// Counts a row that was read for nothing.
    pub(super) fn step(&mut self) {
        self.steps += 1;
    }

    fn ask(&mut self, sql: &'static str, values: &[Value], most: i64) -> Done<Option<i64>> {
        self.step();
        let bound = Value::Integer(most);
        let mut find = prepared(self.connection, sql)?;
        Ok(find.query_row(params_from_iter(std::iter::once(&bound).chain(values)), |row| row.get(0))?)
    }
}
