//! Readers that begin at a channel's beginning: what was there before is given to them, chunk by chunk, until they read live.
//!
//! No more than a part of what may wait of an integration is made at once, so that its own caps, and the channel's writers, hardly
//! notice. A paused one is given that much too, and has it waiting.

use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use crate::clock::Clock;
use crate::delivery::Catalog;
use crate::integration::{Source, WaitingMax};
use crate::message_store::routing::delivery_for;
use crate::message_store::sqlite::{Backfill, Backfills, Filled};
use crate::message_store::{NewDelivery, StoreError};
use crate::telemetry::events::{Event, Events, Kind, Level};

/// How long it is until a reader is given more where enough of it waits, or the store refused.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Of what may wait of an integration, this part is made ahead.
const AHEAD: u64 = 4;

/// What it works with.
#[derive(Clone, Debug)]
pub struct TakeOver {
    pub backfills: Backfills,
    pub catalog: Arc<Catalog>,
    pub clock: Arc<dyn Clock>,
    pub events: Arc<Events>,
    pub waiting_max: WaitingMax,
}

impl TakeOver {
    /// Gives every reader that is not at the end what it lacks, all side by side, until none is left or it is dropped.
    pub async fn run(self) {
        let all = loop {
            match self.backfills.all().await {
                Ok(all) => break all,
                Err(StoreError::Closed) => return,
                Err(why) => {
                    warn!(%why, "who begins at a channel's beginning could not be read; trying again");
                    self.clock.sleep(AGAIN_AFTER).await;
                }
            }
        };
        futures_util::future::join_all(all.iter().map(|backfill| self.one(backfill))).await;
    }

    async fn one(&self, Backfill { integration, channel, left }: &Backfill) {
        self.tell(integration, channel, "takes over what was on the channel before it came", Some(*left));
        loop {
            match self.chunk(integration, channel).await {
                Ok(Some(Filled::More | Filled::Moved)) => {}
                Ok(Some(Filled::Done)) => break,
                Ok(None) => self.clock.sleep(AGAIN_AFTER).await,
                Err(StoreError::Closed) => return,
                Err(why) => {
                    warn!(%why, integration, channel, "what was on the channel could not be taken over; trying again");
                    self.clock.sleep(AGAIN_AFTER).await;
                }
            }
        }
        self.tell(integration, channel, "has taken over the channel, and reads what comes", None);
    }

    /// None where enough waits.
    async fn chunk(&self, integration: &str, channel: &str) -> Result<Option<Filled>, StoreError> {
        let ahead = (self.waiting_max.integration / AHEAD).max(1);
        let Some(chunk) = self.backfills.next(integration, channel, ahead).await? else { return Ok(None) };
        let now = self.clock.now();
        let Some(runnable) = self.catalog.get(integration) else { return Ok(Some(Filled::Done)) };
        // One that does not read it any more still gets what came while it did.
        let gone = Source::channel(channel);
        let source = runnable.integration.reads(channel).unwrap_or(&gone);
        let deliveries: Vec<NewDelivery> =
            chunk.messages().map(|(message, due_at)| delivery_for(&runnable.integration, source, message, due_at.max(now))).collect();
        self.backfills.fill(integration, channel, chunk, deliveries, now).await.map(Some)
    }

    fn tell(&self, integration: &str, channel: &str, what: &'static str, left: Option<u64>) {
        info!(integration, channel, left, "{what}");
        let event = Event::new(Kind::Source, Level::Info, what).of(integration).with("channel", channel.to_owned());
        self.events.tell(match left {
            Some(left) => event.with("left", left),
            None => event,
        });
    }
}
