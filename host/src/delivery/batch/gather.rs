//! Filling a batch: what is due is leased until the batch is full, or its first message has waited long enough.
//!
//! While it waits, a batch holds a permit of its integration and the leases of its messages, and no seat at any gate. Where it cannot
//! go in the end, the leases are given back, as if they had never been. Depends on the dispatcher's lanes.

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

/// Deliveries leased by one question, which are given back where the batch cannot take them.
const LEASED_AT_ONCE: usize = 64;

impl Lane {
    /// Fills the batch that begins with `leased` and starts it, if it still may start then.
    pub(in crate::delivery) async fn start_batch(
        &mut self,
        batching: Batching,
        mut leased: Vec<Leased>,
        permits: Vec<OwnedSemaphorePermit>,
        mut seats: Seats,
    ) {
        self.fill(batching, &mut leased).await;
        let mut seat = seats.next();
        drop(seats);
        if !self.has_all(batching, &leased) && !std::mem::take(&mut self.has_waited) {
            drop(seat.take());
            self.wait_for_more(batching, &mut leased).await;
            seat = self.seat();
            // Who found the gate closed then waits there, and not for more once it opens.
            self.has_waited = seat.is_none();
        }
        self.had_suspect = leased.iter().any(is_suspect);
        let Some(seat) = seat.filter(|_| !self.is_to_rest()) else { return self.give_back(&leased).await };
        // One that was under way when the host crashed may be why it did: it goes alone, so that the others do not crash with it.
        if leased.len() > 1
            && let Some(suspect) = leased.iter().position(is_suspect)
        {
            let alone = leased.swap_remove(suspect);
            self.give_back(&leased).await;
            leased = vec![alone];
        }
        self.start_together(leased, Arc::new((permits, seat)));
    }

    /// What is leased for a batch that has nothing yet, and the bytes of its bodies. While there are suspects it is one: of more, all
    /// others would be given back, over and over.
    pub(in crate::delivery) fn first_of_a_batch(&self, batching: Batching) -> (usize, usize) {
        (if self.had_suspect { 1 } else { batching.max.min(LEASED_AT_ONCE) }, BATCH_BYTES_MAX)
    }

    /// Leases what is due, as much as the batch has room for: no more is in memory than that and one message.
    async fn fill(&self, batching: Batching, leased: &mut Vec<Leased>) {
        while !self.has_all(batching, leased) {
            let wanted = batching.max.saturating_sub(leased.len()).min(LEASED_AT_ONCE);
            match self.lease(wanted, BATCH_BYTES_MAX.saturating_sub(bytes_of(leased))).await {
                Ok(more) => {
                    let is_all = more.len() < wanted;
                    leased.extend(more);
                    if is_all {
                        return;
                    }
                }
                Err(why) => return warn!(%why, integration = self.runnable.integration.name, "a batch got no more deliveries"),
            }
        }
    }

    /// Leases what comes until the batch has all it is to have.
    async fn wait_for_more(&mut self, batching: Batching, leased: &mut Vec<Leased>) {
        let until = self.delivery.clock.now().plus(batching.within);
        while !self.has_all(batching, leased) {
            let left = until.since(self.delivery.clock.now());
            if left.is_zero() {
                return;
            }
            let due = self.until_due().await;
            self.wait(due.min(left)).await;
            self.fill(batching, leased).await;
        }
    }

    /// Whether nothing more is to be waited for.
    fn has_all(&self, batching: Batching, leased: &[Leased]) -> bool {
        leased.len() >= batching.max || bytes_of(leased) >= BATCH_BYTES_MAX || leased.iter().any(is_suspect) || self.is_to_rest()
    }

    /// Whether the host stops, or people have paused the integration.
    fn is_to_rest(&self) -> bool {
        let width = self.delivery.pauses.width(&self.runnable.integration.name, self.delivery.clock.now());
        *self.stop.borrow() || width == Width::None
    }

    /// A seat for a batch that has waited: a gate may have closed meanwhile.
    fn seat(&self) -> Option<Seat> {
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

/// Whether it was under way when the host crashed.
fn is_suspect(leased: &Leased) -> bool {
    leased.unsettled_starts > 0
}

fn bytes_of(leased: &[Leased]) -> usize {
    leased.iter().fold(0, |bytes, leased| bytes.saturating_add(leased.message.body.len()))
}
