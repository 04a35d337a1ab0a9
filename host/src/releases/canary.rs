//! Trying a release on a share of the keys: when it may be, and that it ends by itself where it is worse.

use std::sync::Arc;

use serde_json::json;

use super::consider::Switch;
use super::live::LiveReleases;
use crate::delivery::Canary;
use crate::integration::Integration;
use crate::message_store::audit::{Act, Note, Way};
use crate::problem::{Code, Problem};

/// Why `switch` cannot be tried beside the active release in any way, if it cannot.
pub(super) fn refused_beside(switch: &Switch, flag: &str) -> Option<Problem> {
    let name = &switch.after.integration.name;
    let refused = |why: &str, fix: String| Some(Problem::new(Code::CanaryRefused, format!("{name}: {why}")).fix(fix));
    let Some(before) = &switch.before else {
        return refused("nothing is active that it could be compared with", format!("deploy it without --{flag}"));
    };
    let (before, after) = (&before.integration, &switch.after.integration);
    if before.sources != after.sources {
        let why = "its sources are others than those of the active release, and messages come in by one of both only";
        return refused(why, format!("deploy it without --{flag}, or leave the sources as they are"));
    }
    if before.delivery.order != after.delivery.order {
        return refused("it puts messages in another order than the active release", format!("deploy it without --{flag}"));
    }
    None
}

/// Why `switch` cannot be tried on a share of the keys, if it cannot.
pub(super) fn refused(switch: &Switch) -> Option<Problem> {
    let takes_batches = |integration: &Integration| integration.delivery.batch.is_some();
    let name = &switch.after.integration.name;
    refused_beside(switch, "canary").or_else(|| {
        let before = switch.before.as_ref().map(|before| &before.integration);
        let any = before.into_iter().chain([&switch.after.integration]).any(takes_batches);
        let problem = || Problem::new(Code::CanaryRefused, format!("{name}: its sink takes batches, which are of one release"));
        any.then(|| problem().fix("deploy it without --canary, or as a --shadow"))
    })
}

impl LiveReleases {
    /// Ends a trial by itself where the candidate is worse.
    pub(super) async fn watch(self: Arc<Self>, name: String, canary: Arc<Canary>) {
        let Some(why) = canary.over.run_until_cancelled(canary.worse()).await else { return };
        let changing = self.change().await;
        // Somebody else may have ended it while this waited.
        if canary.over.is_cancelled() {
            return;
        }
        let release = canary.candidate.release.clone();
        let note = Note::new(self.clock().now(), ("host", Way::Host), Act::EndCanary, format!("integration {name}"));
        let note = note.before(release.0.as_str()).after(json!({ "why": why, "figures": canary.figures() }));
        if let Err(error) = changing.end_trial(&name, &why, note).await {
            tracing::error!(%error, integration = name, "a canary that is worse could not be ended on disk; it is ended until the next start");
            self.catalog().end_trial(&name);
        }
    }
}
