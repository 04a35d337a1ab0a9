//! Readers that begin at a channel's beginning: what was there before is given to them, chunk by chunk, until they read live.
//!
//! No more than a part of what may wait of an integration is made at once, so that its own caps, and the channel's writers, hardly
//! notice; one that is paused is given nothing more. What has no key is given slowly: each is a dead letter, and somebody should see it
//! before there are a million.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Notify;
use tracing::{info, warn};

use crate::clock::Clock;
use crate::delivery::{Catalog, Pauses};
use crate::integration::{Source, WaitingMax};
use crate::message_store::routing::delivery_for;
use crate::message_store::sqlite::{Ahead, Backfill, Backfills, Filled};
use crate::message_store::{Lane, NewDelivery, StoreError};
use crate::telemetry::events::{Event, Events, Kind, Level};

/// How long it is until a reader is given more where enough of it waits, or the store refused.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Of what may wait of an integration, this part is made ahead of what could go, and this of all that waits.
const READY: u64 = 4;
const WAITING: u64 = 2;

/// What it works with.
#[derive(Clone, Debug)]
pub struct TakeOver {
    pub backfills: Backfills,
    pub catalog: Arc<Catalog>,
    pub clock: Arc<dyn Clock>,
    pub events: Arc<Events>,
    pub pauses: Arc<Pauses>,
    pub waiting_max: WaitingMax,
    /// Rung when a reader may have come that begins at a channel's beginning.
    pub bell: Arc<Notify>,
}

/// What a reader was given.
enum Given {
    /// Something, and there is more.
    More,
    /// The last of it.
    All,
    /// Nothing that it could be given more of at once.
    Nothing,
}

impl TakeOver {
    /// Gives every reader that is not at the end what it lacks, all side by side, and those that come later. Until it is dropped, or the
    /// store is closed.
    pub async fn run(self) {
        let mut under_way = FuturesUnordered::new();
        let mut known = BTreeSet::new();
        loop {
            let Some(all) = self.all().await else { return };
            for backfill in all {
                let reader = (backfill.integration.clone(), backfill.channel.clone());
                if known.insert(reader.clone()) {
                    let this = &self;
                    under_way.push(async move {
                        this.one(&backfill).await;
                        reader
                    });
                }
            }
            loop {
                tokio::select! {
                    () = self.bell.notified() => break,
                    Some(done) = under_way.next() => drop(known.remove(&done)),
                }
            }
        }
    }

    /// Those that are not at the end; none where the store is closed.
    async fn all(&self) -> Option<Vec<Backfill>> {
        loop {
            match self.backfills.all().await {
                Ok(all) => return Some(all),
                Err(StoreError::Closed) => return None,
                Err(why) => {
                    warn!(%why, "who begins at a channel's beginning could not be read; trying again");
                    self.clock.sleep(AGAIN_AFTER).await;
                }
            }
        }
    }

    async fn one(&self, backfill: &Backfill) {
        let Backfill { integration, channel, left, .. } = backfill;
        self.tell(integration, channel, "takes over what was on the channel before it came", Some(*left));
        let mut is_refused = false;
        loop {
            let given = match self.chunk(backfill).await {
                Err(StoreError::Closed) => return,
                Err(why) => {
                    if !std::mem::replace(&mut is_refused, true) {
                        warn!(%why, integration, channel, "what was on the channel cannot be taken over for now; trying again");
                    }
                    Given::Nothing
                }
                Ok(given) => {
                    is_refused = false;
                    given
                }
            };
            match given {
                Given::More => {}
                Given::All => break,
                Given::Nothing => self.clock.sleep(AGAIN_AFTER).await,
            }
        }
        self.tell(integration, channel, "has taken over the channel", None);
    }

    async fn chunk(&self, Backfill { integration, channel, key, .. }: &Backfill) -> Result<Given, StoreError> {
        if self.pauses.of(integration).is_some() {
            return Ok(Given::Nothing);
        }
        let most = self.waiting_max.integration;
        let ahead = Ahead { ready: (most / READY).max(1), waiting: (most / WAITING).max(1) };
        let Some(chunk) = self.backfills.next(integration, channel, ahead).await? else { return Ok(Given::Nothing) };
        let now = self.clock.now();
        let Some(runnable) = self.catalog.get(integration) else { return Ok(Given::All) };
        // One that does not read it any more still gets what came while it did, ordered as it was then.
        let gone = Source { key: key.as_ref().and_then(|key| key.parse().ok()), ..Source::channel(channel) };
        let source = runnable.integration.reads(channel).unwrap_or(&gone);
        let deliveries: Vec<NewDelivery> =
            chunk.messages().map(|(message, due_at)| delivery_for(&runnable.integration, source, message, due_at.max(now))).collect();
        let is_unkeyed = deliveries.iter().any(|delivery| matches!(delivery.lane, Lane::Unkeyed(_)));
        Ok(match self.backfills.fill(integration, channel, chunk, deliveries, now).await? {
            Filled::Done => Given::All,
            Filled::More if is_unkeyed => Given::Nothing,
            Filled::More | Filled::Moved => Given::More,
        })
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
