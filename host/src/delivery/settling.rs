//! From how a way ended to what the store is told, and telling it until it has it.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{debug, error};

use super::catalog::Runnable;
use super::decide::{Decision, Tries, decide};
use super::deliver::{Delivery, End};
use super::fingerprint::fingerprint;
use super::gathered::Gathered;
use super::outgoing::{Sending, queue_appends};
use super::stopped::Stopped;
use super::telling::say_of;
use crate::clock::Timestamp;
use crate::integration::Order;
use crate::message_store::{Attempt, Leased, Settle, Settlement, StoreError};
use crate::plugin::Effects;

/// How long a settlement waits before it is offered to a store that could not take it again; doubled each time, up to the cap.
const SETTLE_AGAIN_AFTER: Duration = Duration::from_millis(200);
const SETTLE_AGAIN_CAP: Duration = Duration::from_secs(5);

impl Delivery {
    /// What the store is told of an attempt that began at `started_at` and ends now.
    pub(super) fn settlement(
        &self,
        runnable: &Runnable,
        leased: &Leased,
        end: Result<End, Stopped>,
        gathered: &mut Gathered,
        started_at: Timestamp,
    ) -> Settle {
        let ended_at = self.clock.now();
        let why = end.as_ref().err().map(Stopped::why);
        let (settlement, appends, key_values) = match end {
            Ok(end) => {
                let by = Sending {
                    integration: &leased.integration,
                    about: &leased.message,
                    parent: Some(leased.message.id),
                    replay: leased.replay,
                };
                let mut appends = queue_appends(&self.catalog, by, std::mem::take(&mut gathered.effects.sends), ended_at);
                let settlement = match end {
                    End::Delivered { receipt, append } => {
                        appends.extend(append.map(|append| *append));
                        Settlement::Delivered { receipt }
                    }
                    End::Skipped { code, detail } => Settlement::Skipped { code, detail },
                    End::FannedOut { children } => Settlement::FannedOut { children },
                };
                runnable.feeds.see(&appends);
                (settlement, appends, std::mem::take(&mut gathered.effects.key_values))
            }
            Err(stopped) => {
                // What a failed attempt wanted written is not written; its row locks go with it.
                gathered.effects = Effects::default();
                (self.after(runnable, leased, stopped, gathered, ended_at), Vec::new(), Vec::new())
            }
        };
        let (code, detail) = why.unzip();
        let trace = gathered.trace.to_json();
        let exchanges = gathered.trace.take_exchanges();
        let release = runnable.release.clone();
        let attempt = Attempt { release, started_at, ended_at, result: word(&settlement), code, detail, trace, exchanges };
        let tracked = std::mem::take(&mut gathered.tracked);
        Settle { delivery: leased.id, attempt, settlement, appends, key_values, tracked }
    }

    /// What becomes of a delivery whose way was stopped.
    fn after(&self, runnable: &Runnable, leased: &Leased, stopped: Stopped, gathered: &Gathered, now: Timestamp) -> Settlement {
        let Stopped::Failed { failure, obstacle } = stopped else {
            // An end of the host that was asked for is no crash: settled, it is not counted as a start that never was, and the
            // time at which it first started is kept, so that the next run sends the same bodies under the same keys.
            return Settlement::Waits { due_at: now };
        };
        let tries = Tries {
            attempts: leased.attempts,
            waits: leased.waits,
            failing_since: leased.failing_since,
            sent_requests: gathered.trace.sent_requests(),
        };
        let policy = &runnable.integration.delivery;
        match decide(&failure, obstacle.as_deref(), tries, policy, now, &*self.random) {
            Decision::Waits { due_at } => Settlement::Waits { due_at },
            Decision::Retries { due_at } => Settlement::Retries { due_at },
            Decision::DeadLetters { class, code, detail } => {
                let fingerprint = fingerprint(&leased.integration, class, &code, &detail);
                Settlement::DeadLettered { class, code, detail, fingerprint, stops_lane: policy.order == Order::Strict }
            }
        }
    }

    /// Commits. A store that is busy or full is asked again: what happened outside must not be forgotten. When the host gives up
    /// it is asked a last time.
    pub(super) async fn settle(&self, leased: &Leased, settle: Arc<Settle>, give_up: &CancellationToken) {
        let mut wait = SETTLE_AGAIN_AFTER;
        loop {
            let given_up = give_up.is_cancelled();
            match self.store.settle(Arc::clone(&settle)).await {
                Ok(()) => return self.tell(leased, &settle),
                Err(StoreError::NotLeased) => return debug!("settled already, or taken away by an operator"),
                Err(StoreError::Closed) => return debug!("not settled: the host is shutting down; it will be run again"),
                Err(why) if given_up => {
                    let _span = say_of(leased);
                    return error!(code = "LG-3005", %why, "not settled before the host's end; it will be run again");
                }
                Err(why) => {
                    let _span = say_of(leased);
                    error!(code = "LG-3005", %why, "a settlement could not be stored; trying again");
                }
            }
            tokio::select! {
                biased;
                () = self.clock.sleep(wait) => {}
                () = give_up.cancelled() => {}
            }
            wait = wait.saturating_mul(2).min(SETTLE_AGAIN_CAP);
        }
    }
}

/// The ledger's word for an attempt.
fn word(settlement: &Settlement) -> &'static str {
    match settlement {
        Settlement::Delivered { .. } => "delivered",
        Settlement::Skipped { .. } => "skipped",
        Settlement::FannedOut { .. } => "fanned-out",
        Settlement::Waits { .. } => "waited",
        Settlement::Retries { .. } | Settlement::DeadLettered { .. } => "failed",
    }
}
