//! Filling a batch: what is due is leased until the batch is full, or its first message has waited long enough.
//!
//! While it waits, a batch holds a permit of its integration and the leases of its messages, and no seat at any gate. Where it cannot
//! go in the end, the leases are given back, as if they had never been.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use tracing::warn;

use super::Batch;
use super::divide::BATCH_BYTES_MAX;
use crate::alias::{Admission, Seat, Seats};
use crate::delivery::dispatcher::Lane;
use crate::delivery::pauses::Width;
use crate::integration::Batching;
use crate::message_store::Leased;

/// Deliveries leased by one question: their bodies are in memory before it is known whether the batch has room for them.
pub const LEASED_AT_ONCE: usize = 64;

impl Lane {
    /// Fills the batch that begins with `leased` and starts it, if it still may start then.
    pub(in crate::delivery) async fn start_batch(
        &mut self,
        batching: Batching,
        mut leased: Vec<Leased>,
        permits: Vec<OwnedSemaphorePermit>,
        mut seats: Seats,
    ) {
        let seat = if self.has_all(batching, &leased) {
            seats.next()
        } else {
            drop(seats);
            self.gather(batching, &mut leased).await;
            self.seat()
        };
        let Some(seat) = seat else { return self.give_back(&leased).await };
        // One that was under way when the host crashed may be why it did: it goes alone, so that the others do not crash with it.
        if leased.len() > 1
            && let Some(suspect) = leased.iter().position(|leased| leased.unsettled_starts > 0)
        {
            let alone = leased.swap_remove(suspect);
            self.give_back(&leased).await;
            leased = vec![alone];
        }
        self.start_together(leased, Arc::new((permits, seat)));
    }

    /// Leases more until the batch has all it is to have.
    async fn gather(&mut self, batching: Batching, leased: &mut Vec<Leased>) {
        let until = self.delivery.clock.now().plus(batching.within);
        while !self.has_all(batching, leased) {
            let wanted = batching.max.saturating_sub(leased.len()).min(LEASED_AT_ONCE);
            let more = match self.lease(wanted).await {
                Ok(more) => more,
                Err(why) => return warn!(%why, integration = self.runnable.integration.name, "a batch goes before it is full"),
            };
            let is_all = more.len() < wanted;
            leased.extend(more);
            let left = until.since(self.delivery.clock.now());
            if is_all && left.is_zero() {
                return;
            }
            if is_all && !self.has_all(batching, leased) {
                let due = self.until_due().await;
                self.wait(due.min(left)).await;
            }
        }
    }

    /// Whether nothing more is to be waited for.
    fn has_all(&self, batching: Batching, leased: &[Leased]) -> bool {
        let bytes = leased.iter().fold(0, |bytes: usize, leased| bytes.saturating_add(leased.message.body.len()));
        let has_suspect = leased.iter().any(|leased| leased.unsettled_starts > 0);
        leased.len() >= batching.max || bytes >= BATCH_BYTES_MAX || has_suspect || *self.stop.borrow()
    }

    /// A seat for a batch that has waited: meanwhile the host may have begun to stop, people may have paused the integration, and a
    /// gate may have closed.
    fn seat(&self) -> Option<Seat> {
        let is_paused = self.delivery.pauses.width(&self.runnable.integration.name, self.delivery.clock.now()) == Width::None;
        if is_paused || *self.stop.borrow() {
            return None;
        }
        match self.entrance.admit(1) {
            Admission::Seats(mut seats) => seats.next(),
            Admission::NotBefore(_) => None,
        }
    }

    /// Starts the deliveries of one batch, and the batch. They share a permit and a seat: they are one call.
    fn start_together(&self, leased: Vec<Leased>, held: Arc<(Vec<OwnedSemaphorePermit>, Seat)>) {
        let (batch, places) = Batch::of(leased.len(), &self.steps);
        self.loops.spawn(self.ends.cut.clone().run_until_cancelled_owned(batch.run(self.delivery.clone())));
        for (leased, place) in leased.into_iter().zip(places) {
            self.start(leased, Some(place), Arc::clone(&held));
        }
    }
}
