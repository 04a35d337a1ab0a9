//! Orders as they reach a store, without a listener: what intake would hand to the message store, and what the floor's rows are.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::orders::{body, customer, order_number};
use super::workspace::PATH;
use crate::clock::{SystemClock, Timestamp};
use crate::message::{Headers, Key, Message, MessageId, Tracked};
use crate::message_store::sqlite::{Options, SqliteStore};
use crate::message_store::{Accept, Dedup, Lane, NewDelivery, WaitingMax};
use crate::problem::Problem;

const CONTENT_TYPE: &str = "application/json";
/// 2026-03-14T09:26:53Z; that a message is as old as that changes nothing of what it costs.
const ACCEPTED_AT: Timestamp = Timestamp(1_773_480_413_000);
/// Longer than any run, whatever the date: what has expired would be cleared away meanwhile.
const REMEMBERED: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// A message store as a host opens it.
pub fn open(data: &Path) -> Result<SqliteStore, Problem> {
    SqliteStore::open(data, Options::new(Arc::new(SystemClock::new())))
}

/// The order `number`, for `integration`, as intake hands it on.
pub fn accept(number: u64, integration: &str) -> Accept {
    let body = body(number);
    let headers = Headers(vec![("content-type".into(), CONTENT_TYPE.into())]);
    let origin = format!("webhook {PATH}");
    let key = customer(number).to_string();
    Accept {
        dedup: Some(Dedup { scope: origin.clone(), token: Sha256::digest(&body).into(), expires_at: ACCEPTED_AT.plus(REMEMBERED) }),
        deliveries: vec![NewDelivery {
            integration: integration.to_owned(),
            lane: Lane::Key(key.clone()),
            ordering: 0,
            due_at: ACCEPTED_AT,
            record: None,
        }],
        waiting_max: WaitingMax::each(u64::MAX),
        message: Arc::new(Message {
            id: MessageId(id(number)),
            parent: None,
            key: Some(Key(key)),
            content_type: CONTENT_TYPE.into(),
            headers,
            body: body.into(),
            tracked: vec![Tracked { name: "order".into(), value: order_number(number) }],
            origin,
            accepted_at: ACCEPTED_AT,
        }),
    }
}

/// The same order as the floor has it.
pub fn floor_order(number: u64) -> lockgate_floor::Order {
    let body = body(number);
    let name = order_number(number);
    lockgate_floor::Order {
        id: id(number).into_bytes(),
        token: Sha256::digest(&body).into(),
        key: customer(number).to_string(),
        tracked: format!("[{{\"name\":\"order\",\"value\":\"{name}\"}}]"),
        number: name,
        content_type: CONTENT_TYPE.into(),
        headers: format!("[[\"content-type\",\"{CONTENT_TYPE}\"]]"),
        body: body.into(),
        accepted_at: ACCEPTED_AT.0,
    }
}

/// As time goes on, ids of version 7 grow; what stands behind the time is chance, and no two are the same.
fn id(number: u64) -> Uuid {
    let mut chance = [0; 10];
    chance.copy_from_slice(&Sha256::digest(number.to_be_bytes())[..10]);
    uuid::Builder::from_unix_timestamp_millis(ACCEPTED_AT.0.unsigned_abs() + number / 10, &chance).into_uuid()
}
