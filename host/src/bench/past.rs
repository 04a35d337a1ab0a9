//! A store with a past, as people look at it: very many messages that were settled, by many integrations in each minute of the last hour, and
//! some that wait or are dead. Put there the way a host does it, in batches.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::accepts;
use super::orders::{number_in, order_number};
use super::workspace::Flow;
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::integration::ReleaseId;
use crate::message::{FailureClass, Key, Tracked};
use crate::message_store::exchange::{Exchange, KeptBody};
use crate::message_store::sqlite::SqliteStore;
use crate::message_store::{Accept, Attempt, Lease, Leased, MessageStore, Settle, Settlement, StoreError};
use crate::problem::{Code, Problem};

/// Commands on their way to the store at once.
const AT_ONCE: usize = 2_048;
/// Messages accepted before they are settled.
const BATCH: u64 = 10_000;
/// From the first message to the last.
const LASTED: Duration = Duration::from_secs(24 * 60 * 60);
/// Of a hundred messages one is skipped, and one becomes a dead letter: those whose numbers end so.
const SKIPPED: u64 = 7;
const DEAD: u64 = 13;
/// Of the body of the largest message: just under 4 MiB.
const LARGE_BYTES: usize = 4 * 1024 * 1024 - 16;
/// What dead letters died of.
const CAUSES: [(FailureClass, &str); 4] = [
    (FailureClass::Permanent, "no such customer"),
    (FailureClass::Permanent, "the period is closed"),
    (FailureClass::GaveUp, "500 Internal Server Error"),
    (FailureClass::Trapped, "unreachable"),
];

/// A past of `count` messages, read in turns by all but the last of `flows`, in which a `count / 200`th more wait.
#[derive(Debug)]
pub struct Past<'a> {
    pub flows: &'a [Flow],
    pub count: u64,
}

impl Past<'_> {
    /// Puts it into the data folder.
    pub async fn write(&self, data: &Path, say: &dyn Fn(String)) -> Result<(), Problem> {
        let store = accepts::open(data)?;
        let done = self.fill(&store, say).await;
        store.close().await;
        done.map_err(|error| {
            Problem::new(Code::BenchFailed, format!("a store could not be filled: {error}")).fix("look whether the disk is full")
        })
    }

    async fn fill(&self, store: &SqliteStore, say: &dyn Fn(String)) -> Result<(), StoreError> {
        let now = SystemClock::new().now();
        for first in (0..self.count).step_by(BATCH as usize) {
            let batch = first..self.count.min(first + BATCH);
            accept_all(store, batch.clone().map(|number| self.settled(number, now))).await?;
            self.settle_all(store, now).await?;
            if first % (BATCH * 10) == 0 {
                say(format!("stored {} of {}", batch.end, self.count));
            }
        }
        let waiting = self.count..self.count + self.count / 200;
        accept_all(store, waiting.clone().map(|number| self.waiting(number, now)).chain([large(self.waiting(waiting.end, now))])).await
    }

    /// The integration that reads the message `number`.
    fn reader(&self, number: u64) -> &str {
        let readers = self.flows.len().saturating_sub(1).max(1) as u64;
        &self.flows[(number % readers) as usize].name
    }

    /// An integration that has dead letters.
    pub fn one_with_dead_letters(&self) -> &str {
        self.reader(DEAD)
    }

    /// One that is settled later.
    fn settled(&self, number: u64, now: Timestamp) -> Accept {
        let before_ms = (LASTED.as_millis() as u64).saturating_mul(self.count - number) / self.count;
        known_as(number, Timestamp(now.0.saturating_sub_unsigned(before_ms)), accepts::accept(number, self.reader(number)))
    }

    /// One whose target is down.
    fn waiting(&self, number: u64, now: Timestamp) -> Accept {
        let parked = self.flows.last().map(|flow| flow.name.as_str()).unwrap_or_default();
        known_as(number, now, accepts::accept(number, parked))
    }

    async fn settle_all(&self, store: &SqliteStore, now: Timestamp) -> Result<(), StoreError> {
        loop {
            let lease =
                |flow: &Flow| store.lease(Lease { integration: flow.name.clone(), now, limit: BATCH as usize, bytes_max: usize::MAX });
            let mut leasing = futures_util::stream::iter(self.flows.iter().map(lease)).buffer_unordered(AT_ONCE);
            let mut leased = Vec::new();
            while let Some(more) = leasing.next().await {
                leased.extend(more?);
            }
            if leased.is_empty() {
                return Ok(());
            }
            // All at once, so that they share commits.
            let settle = |leased| store.settle(Arc::new(settle(leased, now)));
            let mut settling = futures_util::stream::iter(leased.iter().map(settle)).buffer_unordered(AT_ONCE);
            while let Some(done) = settling.next().await {
                done?;
            }
        }
    }
}

async fn accept_all(store: &SqliteStore, accepts: impl Iterator<Item = Accept>) -> Result<(), StoreError> {
    let mut taken = futures_util::stream::iter(accepts.map(|accept| store.accept(accept))).buffer_unordered(AT_ONCE);
    while let Some(accepted) = taken.next().await {
        accepted?;
    }
    Ok(())
}

/// With values by which half of all are found, or all.
fn known_as(number: u64, accepted_at: Timestamp, mut accept: Accept) -> Accept {
    let half = if number.is_multiple_of(2) { "even" } else { "odd" };
    let message = Arc::make_mut(&mut accept.message);
    message.accepted_at = accepted_at;
    message.tracked.extend([("channel", "web"), ("half", half)].map(|(name, value)| Tracked { name: name.into(), value: value.into() }));
    accept
}

/// As large as one may be, under a key of its own.
fn large(mut accept: Accept) -> Accept {
    let message = Arc::make_mut(&mut accept.message);
    message.key = Some(Key("large".into()));
    message.body = format!("{{\"text\":\"{}\"}}", "x".repeat(LARGE_BYTES)).into();
    accept
}

/// How a message ended, in one of the minutes of the last hour.
fn settle(leased: &Leased, now: Timestamp) -> Settle {
    let message = &leased.message;
    let number = number_in(&message.body).unwrap_or_default();
    let minutes_ago = i64::try_from(number / 1_000 % 60).unwrap_or_default();
    let at = Timestamp(now.0 - minutes_ago * 60_000).max(message.accepted_at);
    let (result, settlement) = match number % 100 {
        DEAD => ("failed", dead(&leased.integration, CAUSES[(number / 100) as usize % CAUSES.len()])),
        SKIPPED => ("skipped", Settlement::Skipped { code: "test-order".into(), detail: "an order of the shop's own tests".into() }),
        _ => ("delivered", Settlement::Delivered { receipt: json!({ "remote-id": order_number(number) }) }),
    };
    let attempt = attempt(&message.body, at, result);
    Settle { delivery: leased.id, attempt, settlement, appends: Vec::new(), key_values: Vec::new(), tracked: Vec::new() }
}

fn dead(integration: &str, (class, detail): (FailureClass, &str)) -> Settlement {
    let code = class.as_str().to_owned();
    let hash = Sha256::digest(format!("{integration} {detail}"));
    Settlement::DeadLettered { class, code, detail: detail.into(), fingerprint: hex::encode(&hash[..8]), stops_lane: false }
}

/// One call of one plugin that sent one request.
fn attempt(body: &Bytes, at: Timestamp, result: &'static str) -> Attempt {
    let request = json!({
        "slot": "target", "alias": "billing", "method": "POST", "path": "/invoices", "idempotency-key": "0123456789abcdef",
        "body-sha256": "", "answer": "200", "answer-excerpt": null, "took-ms": 3,
    });
    let call = json!({
        "place": "sink", "plugin": "http-post", "version": "1.0.0", "digest": "", "result": result, "cpu-us": 40, "wall-us": 3_100,
        "requests": [request],
    });
    Attempt {
        release: ReleaseId("0".repeat(64)),
        started_at: at,
        ended_at: at,
        result,
        code: None,
        detail: None,
        trace: json!({ "calls": [call] }).to_string().into(),
        exchanges: vec![Exchange { sent: KeptBody::of(&[], body), answer: Some(KeptBody::default()) }],
    }
}
