//! What the ledger's questions cost, for tests: [`count`].

use std::cell::RefCell;
use std::collections::BTreeSet;

use rusqlite::{Connection, StatementStatus};

use super::{DeadLetterQuery, GroupQuery, MessageQuery, TimelineQuery, curves, dead_letters, groups, ids, messages, queue, timeline};
use crate::clock::Timestamp;
use crate::message::{IdPrefix, MessageId};
use crate::message_store::AttemptId;

thread_local! {
    static ASKED: RefCell<BTreeSet<String>> = const { RefCell::new(BTreeSet::new()) };
}

/// A statement was prepared on this thread.
pub fn asked(sql: &str) {
    ASKED.with_borrow_mut(|asked| asked.insert(sql.to_owned()));
}

#[derive(Clone, Copy, Debug)]
pub enum Question<'q> {
    Messages(&'q MessageQuery),
    DeadLetters(&'q DeadLetterQuery),
    Groups(&'q GroupQuery),
}

/// What a page has.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    pub rows: usize,
    pub next: Option<i64>,
    pub given_up: bool,
}

/// How SQLite goes about everything that is asked of one message, of ids, and of how all stands: a line for each step of each statement,
/// with the statement.
pub fn plans(connection: &Connection, message: MessageId, prefix: IdPrefix, waiting: &[(String, u64)]) -> Vec<(String, String)> {
    ASKED.with_borrow_mut(BTreeSet::clear);
    timeline::find(connection, &TimelineQuery::of(message)).unwrap().unwrap();
    timeline::exchanges(connection, message, AttemptId(1)).unwrap();
    ids::find(connection, prefix).unwrap();
    queue::find(connection, waiting, Timestamp(0)).unwrap();
    curves::Hour::default().look(connection, Timestamp(0)).unwrap();
    let asked = ASKED.with_borrow(Clone::clone);
    let plan = |sql: String| {
        let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let given = vec![1_i64; explain.parameter_count()];
        let steps = explain.query_map(rusqlite::params_from_iter(given), |row| row.get::<_, String>(3)).unwrap();
        steps.map(|step| (step.unwrap(), sql.clone())).collect::<Vec<_>>()
    };
    asked.into_iter().flat_map(plan).collect()
}

/// What a question gives, and how many instructions of SQLite's virtual machine its statements took on `connection`.
pub fn count(connection: &Connection, question: Question<'_>) -> (Page, i64) {
    ASKED.with_borrow_mut(BTreeSet::clear);
    connection.set_prepared_statement_cache_capacity(1000);
    connection.flush_prepared_statement_cache();
    let page = match question {
        Question::Messages(query) => {
            let page = messages::find(connection, query).unwrap();
            Page { rows: page.messages.len(), next: page.next, given_up: page.searched_to.is_some() }
        }
        Question::DeadLetters(query) => {
            let page = dead_letters::find(connection, query).unwrap();
            Page { rows: page.dead_letters.len(), next: page.next.map(|next| next.0), given_up: page.searched_to.is_some() }
        }
        Question::Groups(query) => Page { rows: groups::find(connection, query).unwrap().groups.len(), next: None, given_up: false },
    };
    let asked = ASKED.with_borrow(Clone::clone);
    let steps = asked.iter().map(|sql| i64::from(connection.prepare_cached(sql).unwrap().get_status(StatementStatus::VmStep)));
    (page, steps.sum())
}
