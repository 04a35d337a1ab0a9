//! What people's questions cost where much is stored: counted in instructions of SQLite, so that no test measures time.

use rusqlite::Connection;

use crate::clock::Timestamp;
use crate::message::{FailureClass, MessageId};
use crate::message_store::DeadLetterId;
use crate::message_store::sqlite::ledger::steps::{self, Question};
use crate::message_store::sqlite::ledger::{DeadLetterQuery, GroupQuery, MessageQuery, State};
use crate::message_store::sqlite::{DATABASE_FILE, SqliteStore};
use crate::message_store::suite::world::options;

const MESSAGES: i64 = 200_000;
/// Milliseconds between two messages.
const BETWEEN_MS: i64 = 10;
/// Where an index leads: some hundred leaps, and a page of rows with how they stand. A look at every message takes over a million.
const LED: i64 = 15_000;
/// The same by time, with the messages looked at on either side of a time.
const SPAN: i64 = 200_000;
/// Where the search gives up.
const GIVEN_UP: i64 = 600_000;

/// Many messages of one hot key and one hot tracked value, read by two integrations in turns and delivered, but for the first three, which
/// are dead letters; and as many dead letters, of one cause but for the first.
fn filled() -> (tempfile::TempDir, Connection) {
    let folder = tempfile::tempdir().unwrap();
    drop(SqliteStore::open(folder.path(), options()).unwrap());
    let connection = Connection::open(folder.path().join(DATABASE_FILE)).unwrap();
    connection.pragma_update(None, "synchronous", "OFF").unwrap();
    let n = format!("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {MESSAGES}) INSERT INTO");
    let statements = [
        format!(
            "{n} message (id, key, content_type, headers, tracked, origin, accepted_at, body)
             SELECT randomblob(16), CASE WHEN i % 1000 = 0 THEN 'rare' ELSE 'hot' END, 'text/plain', '[]', '[]', 'send', i * {BETWEEN_MS}, x'00' FROM n"
        ),
        format!("{n} tracked (name, value, message) SELECT 'shop', 'berlin', i FROM n"),
        format!(
            "{n} standing (message, integration, state)
             SELECT i, CASE WHEN i % 2 = 0 THEN 'crm' ELSE 'erp' END, CASE WHEN i <= 3 THEN 'dead-lettered' ELSE 'delivered' END FROM n"
        ),
        format!(
            "{n} dead_letter (message, integration, stage, origin, ordinal, replay, attempts, waits, class, code, detail, fingerprint, died_at, status)
             SELECT i, 'crm', 'sink', i, 0, 0, 1, 0, CASE WHEN i = 1 THEN 'gave-up' ELSE 'permanent' END, 'x', 'y',
                    CASE WHEN i = 1 THEN 'one' ELSE 'many' END, i, 'open' FROM n"
        ),
        "INSERT INTO dead_letter_group SELECT fingerprint, integration, class, code, count(*) FROM dead_letter GROUP BY fingerprint".into(),
    ];
    for statement in statements {
        connection.execute_batch(&statement).unwrap();
    }
    (folder, connection)
}

fn at(message: i64) -> Option<Timestamp> {
    Some(Timestamp(message * BETWEEN_MS))
}

#[test]
fn a_search_costs_no_more_where_everything_fits_or_nothing() {
    let (_folder, connection) = filled();
    let any = || MessageQuery { limit: 50, ..MessageQuery::default() };
    let crm = || MessageQuery { integration: Some("crm".into()), ..any() };
    let hot = || MessageQuery { key: Some("hot".into()), ..any() };
    let berlin = || Some(("shop".to_owned(), "berlin".to_owned()));
    // What is asked, how many of how many a page has, and what it may cost.
    let questions = [
        ("everything", any(), 50, LED),
        ("a hot key", hot(), 50, LED),
        ("a rare key", MessageQuery { key: Some("rare".into()), ..any() }, 50, LED),
        ("a key nobody has", MessageQuery { key: Some("none".into()), ..any() }, 0, LED),
        ("a hot value", MessageQuery { tracked: berlin(), ..any() }, 50, LED),
        ("a value nobody has", MessageQuery { tracked: Some(("shop".into(), "x".into())), ..any() }, 0, LED),
        ("an integration", crm(), 50, LED),
        ("an outcome everything has", MessageQuery { state: Some(State::Delivered), ..any() }, 50, LED),
        ("an outcome few have", MessageQuery { state: Some(State::DeadLettered), ..any() }, 3, LED),
        ("an outcome nothing has", MessageQuery { state: Some(State::Waiting), ..any() }, 0, LED),
        ("a hot key with an outcome few have", MessageQuery { state: Some(State::DeadLettered), ..hot() }, 3, LED),
        ("a hot key with an outcome nothing has", MessageQuery { state: Some(State::Waiting), ..hot() }, 0, LED),
        (
            "a hot value of an integration, in an outcome few have",
            MessageQuery { tracked: berlin(), state: Some(State::DeadLettered), ..crm() },
            1,
            LED,
        ),
        ("a hot key and a hot value", MessageQuery { tracked: berlin(), ..hot() }, 50, LED),
        ("a time long ago", MessageQuery { until: at(1000), ..any() }, 50, SPAN),
        ("a moment", MessageQuery { since: at(100_000), until: at(100_010), ..any() }, 10, SPAN),
        ("a moment of an integration", MessageQuery { since: at(100_000), until: at(100_010), ..crm() }, 5, SPAN),
        ("a time to come", MessageQuery { since: at(MESSAGES + 1), ..crm() }, 0, SPAN),
        ("a page after the last", MessageQuery { before_seq: Some(1), ..crm() }, 0, LED),
        // Two lists that both have half of everything and nothing in common: nothing leads.
        (
            "a rare key of an integration that never has it",
            MessageQuery { integration: Some("erp".into()), key: Some("rare".into()), ..any() },
            0,
            LED,
        ),
    ];
    for (name, query, rows, most) in questions {
        let (page, cost) = steps::count(&connection, Question::Messages(&query));
        assert_eq!(page.rows, rows, "{name}");
        assert!(cost <= most, "{name}: {cost} steps");
        assert!(!page.given_up, "{name}");
    }
}

#[test]
fn nothing_that_is_asked_of_a_message_or_of_how_all_stands_reads_a_whole_table() {
    let (_folder, connection) = filled();
    let id: [u8; 16] = connection.query_row("SELECT id FROM message WHERE seq = 5", [], |row| row.get(0)).unwrap();
    let id = MessageId(uuid::Uuid::from_bytes(id));
    let prefix = id.to_string()[..8].parse().unwrap();
    let plans = steps::plans(&connection, id, prefix, &[("crm".to_owned(), 1)]);
    assert!(plans.len() > 10, "{plans:#?}");
    for (step, sql) in plans {
        // One row for an integration; an index of those that stop their keys alone; and what a statement has already found.
        let is_small = step == "SCAN dead_letter_count"
            || step == "SCAN delivery USING COVERING INDEX delivery_stopped"
            || step.starts_with("SCAN (")
            || step == "SCAN CONSTANT ROW";
        assert!(!step.starts_with("SCAN ") || is_small, "{step}: {sql}");
    }
}

#[test]
fn a_search_that_nothing_leads_gives_up_says_so_and_goes_on_until_all_is_found() {
    let (_folder, connection) = filled();
    connection
        .execute_batch(
            "UPDATE message SET key = CASE WHEN seq % 2 = 0 THEN 'even' ELSE 'odd' END; UPDATE message SET key = 'even' WHERE seq = 5",
        )
        .unwrap();
    let mut query = MessageQuery { key: Some("even".into()), integration: Some("erp".into()), ..MessageQuery::default() };
    let (mut found, mut pages) = (0, 0);
    loop {
        let (page, cost) = steps::count(&connection, Question::Messages(&query));
        assert!(cost <= GIVEN_UP, "{cost} steps");
        assert_eq!(page.given_up, page.next.is_some());
        found += page.rows;
        pages += 1;
        assert!(page.next.is_none_or(|next| query.before_seq.is_none_or(|before| next < before)), "it comes further each time");
        query.before_seq = page.next;
        if page.next.is_none() {
            break;
        }
    }
    assert_eq!(found, 1);
    assert!(pages > 2, "{pages}");
}

#[test]
fn dead_letters_and_their_groups_cost_no_more_where_there_are_many() {
    let (_folder, connection) = filled();
    let letters = || DeadLetterQuery { limit: 50, ..DeadLetterQuery::default() };
    let berlin = || Some(("shop".to_owned(), "berlin".to_owned()));
    let class = Some(FailureClass::GaveUp);
    for (name, query, rows) in [
        ("all", letters(), 50),
        ("the oldest", DeadLetterQuery { oldest_first: true, ..letters() }, 50),
        ("of one cause", DeadLetterQuery { fingerprint: Some("many".into()), ..letters() }, 50),
        ("of a cause with one", DeadLetterQuery { fingerprint: Some("one".into()), integration: Some("crm".into()), ..letters() }, 1),
        ("of a class with one", DeadLetterQuery { class, integration: Some("crm".into()), ..letters() }, 1),
        ("of a class with none", DeadLetterQuery { class: Some(FailureClass::Unkeyed), ..letters() }, 0),
        ("of a rare key", DeadLetterQuery { key: Some("rare".into()), ..letters() }, 50),
        ("of a key nobody has", DeadLetterQuery { key: Some("none".into()), ..letters() }, 0),
        ("of a hot key and a hot value", DeadLetterQuery { key: Some("hot".into()), tracked: berlin(), ..letters() }, 50),
        ("of a value nobody has", DeadLetterQuery { tracked: Some(("shop".into(), "x".into())), ..letters() }, 0),
        ("of a hot value and a cause with one", DeadLetterQuery { tracked: berlin(), fingerprint: Some("one".into()), ..letters() }, 1),
    ] {
        let (page, cost) = steps::count(&connection, Question::DeadLetters(&query));
        assert_eq!(page.rows, rows, "{name}");
        assert!(!page.given_up, "{name}");
        assert!(cost <= LED, "{name}: {cost} steps");
    }
    let died = |since, until| DeadLetterQuery { since: Some(Timestamp(since)), until: Some(Timestamp(until)), ..letters() };
    for (name, query, rows) in [("a moment", died(100_000, 100_010), 10), ("a time to come", died(MESSAGES + 1, i64::MAX), 0)] {
        let (page, cost) = steps::count(&connection, Question::DeadLetters(&query));
        assert_eq!(page.rows, rows, "{name}");
        assert!(cost <= SPAN, "{name}: {cost} steps");
    }
    for (query, rows) in [(GroupQuery::default(), 2), (GroupQuery { class, ..GroupQuery::default() }, 1)] {
        let (page, cost) = steps::count(&connection, Question::Groups(&query));
        assert_eq!(page.rows, rows);
        assert!(cost <= LED, "{cost} steps");
    }
}

#[test]
fn a_search_for_dead_letters_that_nothing_leads_gives_up_says_so_and_goes_on() {
    let (_folder, connection) = filled();
    connection
        .execute_batch(
            "UPDATE message SET key = 'closed' WHERE seq BETWEEN 2 AND 2000;
             UPDATE dead_letter SET status = 'discarded' WHERE message BETWEEN 2 AND 2000;
             UPDATE message SET key = 'closed' WHERE seq = 1",
        )
        .unwrap();
    let mut query = DeadLetterQuery { key: Some("closed".into()), ..DeadLetterQuery::default() };
    let (mut found, mut pages) = (0, 0);
    loop {
        let (page, cost) = steps::count(&connection, Question::DeadLetters(&query));
        assert!(cost <= GIVEN_UP, "{cost} steps");
        assert_eq!(page.given_up, page.next.is_some());
        (found, pages) = (found + page.rows, pages + 1);
        let Some(next) = page.next.map(DeadLetterId) else { break };
        assert!(query.beyond.is_none_or(|beyond| next.0 < beyond.0), "it comes further each time");
        query.beyond = Some(next);
    }
    assert_eq!(found, 1);
    assert!(pages > 2, "{pages}");
}
