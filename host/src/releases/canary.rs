//! Trying a release on a share of the keys: when it may be, how it begins and ends, and that it ends by itself where it is worse.

use std::sync::Arc;

use serde_json::json;

use super::Active;
use super::consider::Switch;
use super::live::{Changing, LiveReleases, NotSwitched};
use super::ready::Progress;
use crate::config::EnvironmentFile;
use crate::delivery::{Canary, Runnable};
use crate::message_store::StoreError;
use crate::message_store::audit::{Act, Note, Way};
use crate::message_store::sqlite::{ActiveRelease, CanaryRow};
use crate::problem::{Code, Problem, Problems};
use crate::telemetry::events::{Event, Kind, Level};

/// Why `switch` cannot be tried on a share of the keys, if it cannot.
pub fn refused(switch: &Switch) -> Option<Problem> {
    let name = &switch.after.integration.name;
    let refused = |why: String, fix: &str| Some(Problem::new(Code::CanaryRefused, format!("{name}: {why}")).fix(fix));
    let Some(before) = &switch.before else {
        return refused("nothing is active that a canary could be compared with".to_owned(), "deploy it without --canary");
    };
    let (before, after) = (&before.integration, &switch.after.integration);
    if before.sources != after.sources {
        let why = "its sources are others than those of the active release, and messages come in by one of both only";
        return refused(why.to_owned(), "deploy it without --canary, or leave the sources as they are");
    }
    if before.delivery.order != after.delivery.order {
        return refused("it puts messages in another order than the active release".to_owned(), "deploy it without --canary");
    }
    if before.delivery.batch.is_some() || after.delivery.batch.is_some() {
        return refused("its sink takes batches, which are of one release".to_owned(), "deploy it without --canary");
    }
    None
}

impl Changing<'_> {
    /// Whether `switch` can be tried on a share of the keys.
    ///
    /// # Errors
    /// LG-7020 where it cannot, or where something is tried already.
    pub fn may_try(&self, switch: &Switch) -> Result<(), NotSwitched> {
        if let Some(problem) = refused(switch) {
            return Err(NotSwitched::Conflict(problem));
        }
        let name = &switch.after.integration.name;
        if self.releases().is_leaving(name) {
            let problem = Problem::new(Code::CanaryRefused, format!("{name} is being retired, and takes nothing new that could be tried"));
            return Err(NotSwitched::Conflict(problem.fix(format!("`lockgate resume {name}` first, or deploy it without --canary"))));
        }
        let Some(running) = self.releases().catalog().canary(name) else { return Ok(()) };
        let message = format!("{name} tries release {} already", running.candidate.release.short());
        let fix = format!("`lockgate canary finish {name}` or `lockgate canary abort {name}` first");
        Err(NotSwitched::Conflict(Problem::new(Code::CanaryRefused, message).fix(fix)))
    }

    /// What is tried in `integration`.
    ///
    /// # Errors
    /// LG-7004 where nothing is.
    pub fn tried(&self, integration: &str) -> Result<Arc<Canary>, NotSwitched> {
        let missing = || {
            let problem = Problem::new(Code::NotFound, format!("{integration} tries no release: there is no canary to end"));
            NotSwitched::NotFound(problem.fix(format!("lockgate releases {integration}")))
        };
        self.releases().catalog().canary(integration).ok_or_else(missing)
    }

    /// Tries `switch` on `share` thousandths of the keys from now on.
    ///
    /// # Errors
    /// LG-7020 where it cannot be tried, or something is already; that the store does not answer.
    pub async fn start_canary(&self, switch: &Switch, share: u32, who: &str, note: Note) -> Result<(), NotSwitched> {
        let releases = self.releases();
        let name = &switch.after.integration.name;
        // Nobody retires it between the look and the deed.
        let _retiring = releases.retiring().await;
        self.may_try(switch)?;
        self.keep(std::slice::from_ref(switch), who).await?;
        let at = releases.clock().now();
        let row = CanaryRow { integration: name.clone(), release: switch.after.id.clone(), share, at, who: who.to_owned() };
        releases.store().releases().start_canary(row, note).await?;
        releases.try_beside(name, switch.runnable.clone(), share);
        let release = switch.after.id.short();
        tracing::info!(by = who, integration = name, release, share, "a release is tried on a share of the keys, in thousandths");
        let event = Event::new(Kind::Operator, Level::Info, "a release is tried on a share of the keys").of(name);
        releases.events().tell(event.with("release", release.to_owned()).with("by", who.to_owned()).with("share", u64::from(share)));
        Ok(())
    }

    /// Ends what is tried in `integration`, without activating it. False where nothing was.
    ///
    /// # Errors
    /// That the store does not answer.
    pub async fn end_canary(&self, integration: &str, why: &str, note: Note) -> Result<bool, StoreError> {
        self.releases().end_canary(integration, why, note).await
    }
}

impl LiveReleases {
    /// What is tried in `integration`.
    pub fn tried(&self, integration: &str) -> Option<Arc<Canary>> {
        self.catalog().canary(integration)
    }

    fn try_beside(self: &Arc<Self>, name: &str, candidate: Arc<Runnable>, share: u32) {
        let canary = Canary::new(candidate, share);
        self.catalog().try_beside(name, canary.clone());
        tokio::spawn(self.clone().watch(name.to_owned(), canary));
    }

    /// Ends a trial by itself where the candidate is worse.
    async fn watch(self: Arc<Self>, name: String, canary: Arc<Canary>) {
        let Some(why) = canary.over.run_until_cancelled(canary.worse()).await else { return };
        let changing = self.change().await;
        // Somebody else may have ended it while this waited.
        if canary.over.is_cancelled() {
            return;
        }
        let release = canary.candidate.release.clone();
        let note = Note::new(self.clock().now(), ("host", Way::Host), Act::EndCanary, format!("integration {name}"));
        let note = note.before(release.0.as_str()).after(json!({ "why": why, "figures": canary.figures() }));
        if let Err(error) = changing.end_canary(&name, &why, note).await {
            tracing::error!(%error, integration = name, "a canary that is worse could not be ended on disk; it is ended until the next start");
            self.catalog().end_trial(&name);
        }
    }

    async fn end_canary(&self, integration: &str, why: &str, note: Note) -> Result<bool, StoreError> {
        let by = note.who.clone();
        let ended = self.store().releases().end_canary(integration, note).await?;
        let canary = self.catalog().end_trial(integration);
        if let Some(canary) = canary {
            self.is_over(&canary.candidate);
            let release = canary.candidate.release.short();
            tracing::warn!(by, integration, release, why, "a canary has ended; all keys are with the active release");
            let event = Event::new(Kind::Operator, Level::Warn, "a canary has ended: all keys are with the active release").of(integration);
            let event = event.with("release", release.to_owned()).with("by", by).with("why", why.to_owned());
            self.events().tell(event);
        }
        Ok(ended)
    }

    /// Takes up at a start what was tried before. One that cannot be loaded any more is given up.
    pub async fn restore_canaries(self: &Arc<Self>, environment: &EnvironmentFile) -> Result<(), Problem> {
        let rows = self.store().releases().canaries().await.map_err(|error| error.problem("canaries"))?;
        for CanaryRow { integration, release, share, .. } in rows {
            match self.candidate(&integration, &release, environment).await {
                Ok(candidate) => self.try_beside(&integration, candidate, share),
                Err(problems) => {
                    tracing::warn!(%problems, integration, release = release.short(), "what was tried cannot be run any more; it is given up");
                    let note = Note::new(self.clock().now(), ("host", Way::Host), Act::EndCanary, format!("integration {integration}"));
                    let note = note.before(release.0.as_str()).after(json!({ "why": "it could not be loaded at a start" }));
                    self.store().releases().end_canary(&integration, note).await.map_err(|error| error.problem("canaries"))?;
                }
            }
        }
        Ok(())
    }

    async fn candidate(
        &self,
        integration: &str,
        id: &crate::integration::ReleaseId,
        environment: &EnvironmentFile,
    ) -> Result<Arc<Runnable>, Problems> {
        let missing = || Problem::new(Code::NotFound, format!("{integration} has no release {}", id.short()));
        let release = self.store().releases().get(id).await.map_err(|error| error.problem("canaries"))?.ok_or_else(missing)?;
        let active = self.catalog().get(integration).ok_or_else(missing)?;
        let ordering = active.integration.ordering;
        let candidate = Active::read(ActiveRelease { release, id: id.clone(), ordering })?;
        let runnables = self.loader().runnables(&[candidate], &environment.environment)?;
        let runnables: Vec<_> = runnables.into_iter().map(Arc::new).collect();
        let nobody_looks: Progress = Arc::new(|_: &str| {});
        self.loader().load_beside(runnables.clone(), &nobody_looks).await?;
        runnables.into_iter().next().ok_or_else(|| missing().into())
    }
}
