//! The floor is a fair measure only as long as it writes what the host writes: the same tables, and the same rows for one message.

use std::sync::Arc;

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use lockgate_floor::{Place, Rows, Settled};
use rusqlite::Connection;
use serde_json::json;

use super::accepts;
use super::workspace::Flow;
use crate::clock::Timestamp;
use crate::integration::ReleaseId;
use crate::message_store::exchange::{Exchange, KeptBody};
use crate::message_store::sqlite::DATABASE_FILE;
use crate::message_store::{Accepted, Attempt, Lease, MessageStore, Settle, Settlement};

/// For each table with rows: the columns that are not null in its rows, row by row.
type Written = BTreeMap<String, Vec<Vec<String>>>;

const LATER: Timestamp = Timestamp(i64::MAX / 2);

fn settled(place: Place) -> Settled {
    let text = || "{}".to_owned();
    Settled {
        place,
        key: "7300000000".into(),
        started_at: LATER.0,
        ended_at: LATER.0,
        trace: text(),
        receipt: text(),
        sent: sent(),
        answer: Bytes::new(),
    }
}

fn sent() -> Bytes {
    Bytes::from_static(b"{}")
}

fn json_type() -> [(String, String); 1] {
    [("content-type".into(), "application/json".into())]
}

/// The statements that make a database's tables, without what only looks different.
fn tables(database: &Path) -> BTreeMap<String, String> {
    let connection = Connection::open(database).unwrap();
    let mut find = connection.prepare("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL").unwrap();
    let found = find.query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?))).unwrap();
    let squeezed = |sql: String| sql.split_whitespace().collect::<Vec<_>>().join(" ");
    found.map(|found| found.map(|(name, sql)| (name, squeezed(sql))).unwrap()).collect()
}

fn written(database: &Path) -> Written {
    let connection = Connection::open(database).unwrap();
    let names = tables(database).into_iter().filter(|(name, sql)| sql.starts_with("CREATE TABLE") && name != "sqlite_sequence");
    let all = names.map(|(name, _)| {
        let mut find = connection.prepare(&format!("SELECT * FROM {name}")).unwrap();
        let columns: Vec<String> = find.column_names().map(str::to_owned).collect();
        let rows = find.query_map([], |row| {
            let filled = columns.iter().enumerate().filter(|(index, _)| row.get_ref(*index).unwrap() != rusqlite::types::ValueRef::Null);
            Ok(filled.map(|(_, column)| column.clone()).collect::<Vec<_>>())
        });
        let rows = rows.unwrap().collect::<Result<Vec<_>, _>>().unwrap();
        (name, rows)
    });
    all.filter(|(_, rows)| !rows.is_empty()).collect()
}

/// What the host has written when it has taken the message, when it has noted its start, and when it has settled it.
async fn by_the_host(folder: &Path) -> [Written; 3] {
    let database = folder.join(DATABASE_FILE);
    let store = accepts::open(folder).unwrap();
    let name = Flow::example().name;
    assert_eq!(store.accept(accepts::accept(0, &name)).await.unwrap(), Accepted::New);
    let taken = written(&database);
    let leased = store.lease(Lease { integration: name, now: LATER, limit: 1, bytes_max: usize::MAX }).await.unwrap();
    // Any other command waits for the commit that has the note.
    store.clean(Timestamp(0)).await.unwrap();
    let started = written(&database);
    let attempt = Attempt {
        release: ReleaseId("0".repeat(64)),
        started_at: LATER,
        ended_at: LATER,
        result: "delivered",
        code: None,
        detail: None,
        trace: "{}".into(),
        exchanges: vec![Exchange { sent: KeptBody::of(&json_type(), &sent()), answer: Some(KeptBody::default()) }],
    };
    let settlement = Settlement::Delivered { receipt: json!({}) };
    let settle = Settle { delivery: leased[0].id, attempt, settlement, appends: vec![], key_values: vec![], tracked: vec![] };
    store.settle(Arc::new(settle)).await.unwrap();
    [taken, started, written(&database)]
}

fn by_the_floor(folder: &Path) -> [Written; 3] {
    let database = folder.join(lockgate_floor::DATABASE_FILE);
    let rows = Rows::create(folder).unwrap();
    let commit = |work: &dyn Fn()| {
        rows.begin().unwrap();
        work();
        rows.commit().unwrap();
        written(&database)
    };
    let order = accepts::floor_order(0);
    let place = Place { message: 1, delivery: 1 };
    [
        commit(&|| assert_eq!(rows.insert(&order, false).unwrap(), place)),
        commit(&|| rows.start(place.delivery, LATER.0).unwrap()),
        commit(&|| rows.settle(&settled(place)).unwrap()),
    ]
}

#[tokio::test]
async fn the_floor_writes_the_rows_that_the_host_writes() {
    let (host, floor) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (ours, theirs) = (by_the_host(host.path()).await, by_the_floor(floor.path()));
    for (at, (ours, theirs)) in ["taken", "started", "settled"].iter().zip(ours.iter().zip(&theirs)) {
        assert_eq!(ours, theirs, "{at}");
    }
}

#[test]
fn the_floors_tables_are_the_hosts() {
    let (host, floor) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    drop(accepts::open(host.path()).unwrap());
    drop(Rows::create(floor.path()).unwrap());
    let (ours, theirs) = (tables(&host.path().join(DATABASE_FILE)), tables(&floor.path().join(lockgate_floor::DATABASE_FILE)));
    for (name, sql) in &theirs {
        assert_eq!(ours.get(name), Some(sql), "host/floor/src/schema.sql is not as the host's schema: {name}");
    }
    let indexes = ours.iter().filter(|(_, sql)| theirs.keys().any(|table| sql.contains(&format!(" ON {table} ("))));
    let missing: Vec<&String> = indexes.map(|(name, _)| name).filter(|name| !theirs.contains_key(*name)).collect();
    assert!(missing.is_empty(), "host/floor/src/schema.sql misses {missing:?}");
}

#[test]
fn an_order_is_the_same_for_both() {
    let (ours, theirs) = (accepts::accept(7, "x").message, accepts::floor_order(7));
    assert_eq!(serde_json::to_string(&ours.headers).unwrap(), theirs.headers);
    assert_eq!(serde_json::to_string(&ours.tracked).unwrap(), theirs.tracked);
    assert_eq!((ours.id.0.into_bytes(), ours.body.clone(), ours.key.clone().unwrap().0), (theirs.id, theirs.body, theirs.key));
}
