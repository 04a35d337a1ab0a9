//! [`Clockwork`]: one schedule, which makes a message when it is time.
//!
//! Its cursor is the last time it made one for, in milliseconds, committed with the message: no time comes twice, and of those that
//! passed while the host was down the last comes late.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tracing::warn;

use super::Around;
use super::poller::{LOOK_AGAIN_AFTER, LOOK_AT_LEAST_EVERY, LOOK_FOR_ROOM_EVERY, NOT_ASKED, POLLED, Round, THIS_HOST};
use super::telling::Told;
use crate::clock::Timestamp;
use crate::delivery::Runnable;
use crate::integration::{Schedule, Source};
use crate::message::{Headers, Message, MessageId};
use crate::message_store::{Advance, Advanced, SourceResult, SourceState, StoreError, routing};

/// A message that is made so long after its time says that it is late.
const LATE_AFTER: Duration = Duration::from_secs(60);

/// One schedule's loop and what it needs.
pub struct Clockwork {
    around: Around,
    runnable: Arc<Runnable>,
    source: Source,
    schedule: Schedule,
    name: String,
    stop: watch::Receiver<bool>,
    told: Told,
}

impl Clockwork {
    pub fn new(around: Around, runnable: Arc<Runnable>, source: Source, schedule: Schedule, stop: watch::Receiver<bool>) -> Self {
        let name = source.entry.name();
        Self { around, runnable, source, schedule, name, stop, told: Told::default() }
    }

    /// Makes messages until the host stops.
    pub async fn run(mut self) {
        // Whoever could say so may be gone, too.
        while !*self.stop.borrow() && self.stop.has_changed().is_ok() {
            match self.round().await {
                Ok(rest) => self.rest(rest).await,
                Err(StoreError::Closed) => return,
                Err(why) => {
                    let integration = &self.runnable.integration.name;
                    warn!(code = "LG-3005", %why, integration, source = self.name, "a scheduled message could not be stored; trying again");
                    self.rest(LOOK_AGAIN_AFTER).await;
                }
            }
        }
    }

    /// Makes the message of a time that has come. Gives how long to rest.
    async fn round(&mut self) -> Result<Duration, StoreError> {
        let integration = &self.runnable.integration.name;
        if self.around.keeps_still(integration) {
            return Ok(LOOK_FOR_ROOM_EVERY);
        }
        let state = self.around.store.source(integration, &self.name).await?;
        let now = self.around.clock.now();
        let Some(cursor) = state.and_then(|state| state.cursor) else {
            // It counts from the first time it is seen.
            self.advance(None, now, NOT_ASKED, None).await?;
            return Ok(Duration::ZERO);
        };
        let since = Timestamp(cursor.parse().unwrap_or(now.0));
        let Some(next) = self.schedule.after(since) else { return Ok(LOOK_AT_LEAST_EVERY) };
        if next > now {
            return Ok(next.since(now));
        }
        let (store, most) = (&self.around.store, self.around.limits.waiting);
        if store.waiting(integration) >= most.integration {
            let name = integration.clone();
            self.hold(&name);
            return Ok(LOOK_FOR_ROOM_EVERY);
        }
        if store.waiting_in_all() >= most.host {
            self.hold(THIS_HOST);
            return Ok(LOOK_FOR_ROOM_EVERY);
        }
        let time = self.schedule.not_after(now).unwrap_or(next).max(next);
        let message = Arc::new(self.message(time, now));
        match self.advance(Some(cursor), time, POLLED, Some(message)).await? {
            Advanced::Done(_) | Advanced::Moved => Ok(Duration::ZERO),
            Advanced::Full => {
                self.hold(THIS_HOST);
                Ok(LOOK_FOR_ROOM_EVERY)
            }
        }
    }

    fn message(&self, time: Timestamp, now: Timestamp) -> Message {
        let late = now.since(time) > LATE_AFTER;
        let body = serde_json::json!({ "schedule": self.name, "scheduled-for": self.schedule.shown(time), "late": late });
        let body = Bytes::from(body.to_string());
        let headers = Headers::default();
        Message {
            id: MessageId::new(now, &*self.around.random),
            parent: None,
            key: self.source.key.as_ref().and_then(|rule| rule.find_key(&headers, &body).ok()),
            content_type: "application/json".to_owned(),
            tracked: self.source.tracked(&headers, &body).collect(),
            headers,
            body,
            origin: self.source.entry.origin(),
            accepted_at: now,
        }
    }

    /// Goes on from `to`, with the message of that time if there is one.
    async fn advance(
        &mut self,
        from: Option<String>,
        to: Timestamp,
        result: &str,
        message: Option<Arc<Message>>,
    ) -> Result<Advanced, StoreError> {
        let (now, integration) = (self.around.clock.now(), &self.runnable.integration);
        let found: Vec<_> = message
            .into_iter()
            .map(|message| {
                let delivery = routing::delivery_for(integration, &self.source, &message, now);
                (message, delivery)
            })
            .collect();
        let last = SourceResult { at: now, result: result.to_owned(), code: None, detail: None, items: found.len() as u64, fresh: 0 };
        let due_at = self.schedule.after(to).unwrap_or(Timestamp(i64::MAX));
        let advance = Arc::new(Advance {
            integration: integration.name.clone(),
            source: self.name.clone(),
            from,
            to: SourceState { cursor: Some(to.0.to_string()), due_at, last },
            found,
            appends: Vec::new(),
            key_values: Vec::new(),
            waiting_max: self.around.limits.waiting,
            now,
        });
        let advanced = self.around.store.advance(advance.clone()).await?;
        if let (Advanced::Done(fresh), false) = (&advanced, advance.found.is_empty()) {
            let round = Round { integration: &integration.name, source: &self.name };
            self.told.page(&self.around, round, &advance.found, fresh);
            self.told.well(&self.around, round);
        }
        Ok(advanced)
    }

    fn hold(&mut self, by: &str) {
        let round = Round { integration: &self.runnable.integration.name, source: &self.name };
        self.told.held(&self.around, round, by);
    }

    /// Until `at_most` has passed or the host stops.
    async fn rest(&mut self, at_most: Duration) {
        if at_most.is_zero() {
            return;
        }
        tokio::select! {
            biased;
            _ = self.stop.wait_for(|stop| *stop) => {}
            () = self.around.clock.sleep(at_most.min(LOOK_AT_LEAST_EVERY)) => {}
        }
    }
}
