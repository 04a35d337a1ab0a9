//! Dead letters by what people know their messages by, a key or a tracked value: [`Known`]. What a plugin makes of a message has tracked values of
//! its own, so those count, too, that the message was made from.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension};

use super::{DeadLetterQuery, page, prepared};
use crate::message_store::sqlite::failure::Done;

/// Messages, and dead letters of them, that a value may lead to. What more messages have leads nowhere: dead letters are looked through.
const LED_MAX: usize = 300;
/// How far back what a message was made from counts.
const FOREBEARS_MAX: usize = 8;

const BY_TRACKED: &str = "SELECT message FROM tracked WHERE name = ?1 AND value = ?2 LIMIT ?3";
const BY_KEY: &str = "SELECT seq FROM message WHERE key = ?1 LIMIT ?2";
const MADE_OF: &str = "SELECT seq FROM message WHERE parent = (SELECT id FROM message WHERE seq = ?1) LIMIT ?2";
const LETTERS: &str = "SELECT id FROM dead_letter WHERE message = ?1 LIMIT ?2";
const HAS_TRACKED: &str = "SELECT 1 FROM tracked WHERE name = ?1 AND value = ?2 AND message = ?3";
const HAS_KEY: &str = "SELECT 1 FROM message WHERE seq = ?1 AND key = ?2";
const MADE_FROM: &str = "SELECT seq FROM message WHERE id = (SELECT parent FROM message WHERE seq = ?1)";

/// What a message is known by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'q> {
    key: Option<&'q str>,
    tracked: Option<&'q (String, String)>,
}

impl<'q> Known<'q> {
    /// None where nothing of that is asked for.
    pub(super) fn asked(query: &'q DeadLetterQuery) -> Option<Self> {
        let known = Self { key: query.key.as_deref(), tracked: query.tracked.as_ref() };
        (known.key.is_some() || known.tracked.is_some()).then_some(known)
    }

    /// The dead letters that may fit, in no order; none where they are too many to be led to.
    pub(super) fn letters(self, connection: &Connection) -> Done<Option<Vec<i64>>> {
        let Some(messages) = self.messages(connection)? else { return Ok(None) };
        let mut of_message = prepared(connection, LETTERS)?;
        let mut letters = Vec::new();
        for message in messages {
            let found = of_message.query_map((message, page(LED_MAX)), |row| row.get::<_, i64>(0))?;
            letters.extend(found.collect::<Result<Vec<_>, _>>()?);
            if letters.len() >= LED_MAX {
                return Ok(None);
            }
        }
        Ok(Some(letters))
    }

    /// The messages that have one of the values, and those that were made of them.
    fn messages(self, connection: &Connection) -> Done<Option<BTreeSet<i64>>> {
        let mut left: Vec<i64> = Vec::new();
        if let Some((name, value)) = self.tracked {
            let mut find = prepared(connection, BY_TRACKED)?;
            left = find.query_map((name, value, page(LED_MAX)), |row| row.get(0))?.collect::<Result<_, _>>()?;
        }
        if let Some(key) = self.key
            && (self.tracked.is_none() || left.len() >= LED_MAX)
        {
            let mut find = prepared(connection, BY_KEY)?;
            left = find.query_map((key, page(LED_MAX)), |row| row.get(0))?.collect::<Result<_, _>>()?;
        }
        let mut made = prepared(connection, MADE_OF)?;
        let mut all = BTreeSet::new();
        loop {
            if all.len() + left.len() >= LED_MAX {
                return Ok(None);
            }
            let Some(seq) = left.pop() else { return Ok(Some(all)) };
            if all.insert(seq) {
                left.extend(made.query_map((seq, page(LED_MAX)), |row| row.get::<_, i64>(0))?.collect::<Result<Vec<_>, _>>()?);
            }
        }
    }

    /// Whether the message at `seq` is known by all of it, itself or by what it was made from.
    pub(super) fn fits(self, connection: &Connection, seq: i64) -> Done<bool> {
        let (mut key, mut tracked) = (self.key, self.tracked);
        let mut made_from = prepared(connection, MADE_FROM)?;
        let mut at = Some(seq);
        for _ in 0..=FOREBEARS_MAX {
            let Some(seq) = at else { break };
            if let Some((name, value)) = tracked
                && prepared(connection, HAS_TRACKED)?.exists((name, value, seq))?
            {
                tracked = None;
            }
            if let Some(wanted) = key
                && prepared(connection, HAS_KEY)?.exists((seq, wanted))?
            {
                key = None;
            }
            if key.is_none() && tracked.is_none() {
                return Ok(true);
            }
            at = made_from.query_row([seq], |row| row.get(0)).optional()?;
        }
        Ok(false)
    }
}
