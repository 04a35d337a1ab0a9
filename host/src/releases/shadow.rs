//! A release that is shown what the active one has settled: what it would have made of that, told while messages flow. It delivers
//! nothing, sends nothing and writes nothing.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::sync::mpsc::Receiver;
use tokio_util::task::AbortOnDropHandle;

use super::live::LiveReleases;
use crate::clock::{Clock, Timestamp};
use crate::delivery::{Runnable, Seen, Shadow};
use crate::integration::Sink;
use crate::rehearsal::{Beside, Candidate, Due, ORPHAN_WITHIN, Report, Rules, Stage};
use crate::telemetry::Metrics;
use crate::telemetry::events::Events;

/// A shadow, and what is known of it so far.
#[derive(Clone, Debug)]
pub struct Shadowed {
    pub shadow: Arc<Shadow>,
    pub beside: Arc<Beside>,
    /// Since when it is counted.
    pub counted_since: Timestamp,
}

impl LiveReleases {
    /// `candidate`, on a stage of its own, counted since then: its log lines and figures are nobody's.
    pub(super) fn shadow(&self, candidate: Arc<Runnable>, counted_since: Timestamp) -> (Shadowed, Receiver<Seen>) {
        let (shadow, to_see) = Shadow::new(candidate.clone());
        let active = self.catalog().get(&candidate.integration.name);
        let channel = |active: Arc<Runnable>| match &active.integration.sink {
            Sink::Channel(channel) => Some((active.release.clone(), channel.clone())),
            Sink::Plugin(_) => None,
        };
        let channels_before = active.and_then(channel).into_iter().collect();
        let report = Report::of(Candidate {
            integration: candidate.integration.name.clone(),
            release: candidate.release.clone(),
            environment: self.environment_name().to_owned(),
            plugins: candidate.uses().map(|used| used.plugin.clone()).collect(),
            since: counted_since.to_string(),
            dead_letters: false,
            shadow: true,
        });
        let stage = Stage {
            runnable: candidate,
            plugins: self.loader().plugins.clone(),
            channels: self.channels().clone(),
            host_key: self.host_key().clone(),
            channels_before,
            rules: Rules::Live(self.aliases().clone()),
            metrics: Arc::new(Metrics::new()),
            events: Events::unheard(self.shared_clock()),
        };
        let beside = Arc::new(Beside::new(stage, report));
        (Shadowed { shadow, beside, counted_since }, to_see)
    }
}

/// Tells what is to be told, one message after the other, until it is over: a shadow takes one core at most. What is being told then is
/// left where it is.
pub(super) async fn follow(shadowed: Shadowed, to_see: Receiver<Seen>, clock: Arc<dyn Clock>, places: Arc<Semaphore>) {
    let over = shadowed.shadow.over.clone();
    over.run_until_cancelled(tell_all(shadowed, to_see, clock, places)).await;
}

async fn tell_all(shadowed: Shadowed, mut to_see: Receiver<Seen>, clock: Arc<dyn Clock>, places: Arc<Semaphore>) {
    let Shadowed { shadow, beside, .. } = shadowed;
    loop {
        let seen = tokio::select! {
            biased;
            seen = to_see.recv() => seen,
            () = clock.sleep(ORPHAN_WITHIN) => None,
        };
        let is_idle = seen.is_none() && shadow.waiting() == 0 && beside.under_way() == 0;
        if is_idle {
            continue;
        }
        // Until all of it is told, or given up, it waits.
        let _waits = if seen.is_some() { shadow.taken() } else { shadow.waits() };
        shadow.miss_more(beside.give_up(shadow.broken()));
        let Due { told, missed } = beside.take(seen, clock.now());
        shadow.miss_more(missed);
        for settled in told {
            // Calls of shadows are beside the permits of deliveries, and the engine has room for so many.
            let Ok(place) = places.clone().acquire_owned().await else { return };
            let (beside, configs) = (beside.clone(), shadow.configs());
            let told = tokio::spawn(async move {
                beside.tell(settled, &configs).await;
                drop(place);
            });
            // A fault of the host's own costs the message its place in the report.
            if AbortOnDropHandle::new(told).await.is_err() {
                shadow.miss();
            }
        }
    }
}
