//! Trying a release beside the active one, on a share of the keys or as its shadow: how that begins and ends, over restarts, too.

use std::sync::Arc;

use serde_json::{Value, json};

use super::Active;
use super::canary;
use super::consider::Switch;
use super::live::{Changing, LiveReleases, NotSwitched};
use super::ready::Progress;
use super::shadow::follow;
use crate::clock::Timestamp;
use crate::config::EnvironmentFile;
use crate::delivery::{Beside, Canary, Runnable};
use crate::integration::{ReleaseId, Trying};
use crate::message_store::StoreError;
use crate::message_store::audit::{Act, Note, Way};
use crate::message_store::sqlite::{ActiveRelease, TriedRow};
use crate::problem::{Code, Problem, Problems};
use crate::telemetry::events::{Event, Kind, Level};

/// The words for one of both ways.
struct Words {
    start: Act,
    end: Act,
    command: &'static str,
    started: &'static str,
    ended: &'static str,
}

const CANARY: Words = Words {
    start: Act::StartCanary,
    end: Act::EndCanary,
    command: "canary",
    started: "a release is tried on a share of the keys",
    ended: "a canary has ended: all keys are with the active release",
};
const SHADOW: Words = Words {
    start: Act::StartShadow,
    end: Act::EndShadow,
    command: "shadow",
    started: "a release is the shadow of the active one",
    ended: "a shadow has ended",
};

fn words(trying: Trying) -> &'static Words {
    match trying {
        Trying::Canary(_) => &CANARY,
        Trying::Shadow => &SHADOW,
    }
}

/// How something is tried.
pub fn how(tried: &Beside) -> Trying {
    match tried {
        Beside::Canary(canary) => Trying::Canary(canary.share),
        Beside::Shadow(_) => Trying::Shadow,
    }
}

/// What is entered in the audit trail where something begins to be tried so.
pub fn start_act(trying: Trying) -> Act {
    words(trying).start
}

/// And where it ends.
pub fn end_act(trying: Trying) -> Act {
    words(trying).end
}

/// The command that ends it.
pub fn command(trying: Trying) -> &'static str {
    words(trying).command
}

impl Changing<'_> {
    /// Whether `switch` can be tried so.
    ///
    /// # Errors
    /// LG-7020 where it cannot, or where something is tried already.
    pub fn may_try(&self, switch: &Switch, trying: Trying) -> Result<(), NotSwitched> {
        let refused = match trying {
            Trying::Canary(_) => canary::refused(switch),
            Trying::Shadow => canary::refused_beside(switch, "shadow"),
        };
        if let Some(problem) = refused {
            return Err(NotSwitched::Conflict(problem));
        }
        let name = &switch.after.integration.name;
        if self.releases().is_leaving(name) {
            let problem = Problem::new(Code::CanaryRefused, format!("{name} is being retired, and takes nothing new that could be tried"));
            let fix = format!("`lockgate resume {name}` first, or deploy it without --{}", command(trying));
            return Err(NotSwitched::Conflict(problem.fix(fix)));
        }
        let Some(running) = self.releases().tried(name) else { return Ok(()) };
        let message = format!("{name} tries release {} already", running.candidate().release.short());
        let command = command(how(&running));
        let fix = format!("`lockgate {command} finish {name}` or `lockgate {command} abort {name}` first");
        Err(NotSwitched::Conflict(Problem::new(Code::CanaryRefused, message).fix(fix)))
    }

    /// What is tried in `integration`.
    ///
    /// # Errors
    /// LG-7004 where nothing is.
    pub fn tried(&self, integration: &str) -> Result<Beside, NotSwitched> {
        let missing = || {
            let problem = Problem::new(Code::NotFound, format!("{integration} tries no release: there is none to end"));
            NotSwitched::NotFound(problem.fix(format!("lockgate releases {integration}")))
        };
        self.releases().tried(integration).ok_or_else(missing)
    }

    /// Tries `switch` from now on.
    ///
    /// # Errors
    /// LG-7020 where it cannot be tried, or something is already; that the store does not answer.
    pub async fn start_trial(&self, switch: &Switch, trying: Trying, who: &str, note: Note) -> Result<(), NotSwitched> {
        let releases = self.releases();
        let name = &switch.after.integration.name;
        // Nobody retires it between the look and the deed.
        let _retiring = releases.retiring().await;
        self.may_try(switch, trying)?;
        self.keep(std::slice::from_ref(switch), who).await?;
        let at = releases.clock().now();
        let row = TriedRow { integration: name.clone(), release: switch.after.id.clone(), trying, at, who: who.to_owned() };
        releases.store().releases().start_trial(row, note).await?;
        releases.try_beside(name, switch.runnable.clone(), (trying, at));
        let (release, said) = (switch.after.id.short(), words(trying).started);
        let share = if let Trying::Canary(share) = trying { Some(share) } else { None };
        tracing::info!(by = who, integration = name, release, per_mille = share, "{said}");
        let event = Event::new(Kind::Operator, Level::Info, said).of(name);
        let event = event.with("release", release.to_owned()).with("by", who.to_owned());
        releases.events().tell(match share {
            Some(share) => event.with("share", u64::from(share)),
            None => event,
        });
        Ok(())
    }

    /// Ends what is tried in `integration`, without activating it. False where nothing was.
    ///
    /// # Errors
    /// That the store does not answer.
    pub async fn end_trial(&self, integration: &str, why: &str, note: Note) -> Result<bool, StoreError> {
        self.releases().end_trial(integration, why, note).await
    }
}

impl LiveReleases {
    /// What is tried in `integration`.
    pub fn tried(&self, integration: &str) -> Option<Beside> {
        self.catalog().tried(integration)
    }

    /// What stands in the audit trail of how it did.
    pub fn figures_of(&self, integration: &str) -> Value {
        match self.tried(integration) {
            Some(Beside::Canary(canary)) => json!(canary.figures()),
            Some(Beside::Shadow(_)) => self.shadowed(integration).map_or(Value::Null, |shadowed| {
                let mut figures = shadowed.beside.look(|report| json!(report.verdicts));
                figures["missed"] = shadowed.shadow.missed().into();
                figures
            }),
            None => Value::Null,
        }
    }

    fn try_beside(self: &Arc<Self>, name: &str, candidate: Arc<Runnable>, (trying, at): (Trying, Timestamp)) {
        match trying {
            Trying::Canary(share) => {
                let canary = Canary::new(candidate, share);
                self.catalog().try_beside(name, Beside::Canary(canary.clone()));
                tokio::spawn(self.clone().watch(name.to_owned(), canary));
            }
            Trying::Shadow => {
                let (shadowed, to_see) = self.shadow(candidate, at);
                self.keep_shadowed(name, shadowed.clone());
                self.catalog().try_beside(name, Beside::Shadow(shadowed.shadow.clone()));
                tokio::spawn(follow(shadowed, to_see, self.shared_clock(), self.places_beside()));
            }
        }
    }

    async fn end_trial(&self, integration: &str, why: &str, note: Note) -> Result<bool, StoreError> {
        let by = note.who.clone();
        let ended = self.store().releases().end_trial(integration, note).await?;
        if let Some(tried) = self.catalog().end_trial(integration) {
            self.is_over(tried.candidate());
            let (release, said) = (tried.candidate().release.short(), words(how(&tried)).ended);
            tracing::warn!(by, integration, release, why, "{said}");
            let event = Event::new(Kind::Operator, Level::Warn, said).of(integration);
            self.events().tell(event.with("release", release.to_owned()).with("by", by).with("why", why.to_owned()));
        }
        Ok(ended)
    }

    /// Takes up at a start what was tried before. One that cannot be loaded any more is given up.
    pub async fn restore_trials(self: &Arc<Self>, environment: &EnvironmentFile) -> Result<(), Problem> {
        let rows = self.store().releases().tried().await.map_err(|error| error.problem("what is tried"))?;
        for TriedRow { integration, release, trying, .. } in rows {
            match self.candidate(&integration, &release, environment).await {
                Ok(candidate) => {
                    let (tried, how) = (candidate.release.short(), words(trying).command);
                    tracing::info!(
                        integration,
                        release = tried,
                        how,
                        "a release goes on being tried beside the active one; its figures begin anew"
                    );
                    self.try_beside(&integration, candidate, (trying, self.clock().now()));
                }
                Err(problems) => {
                    tracing::warn!(%problems, integration, release = release.short(), "what was tried cannot be run any more; it is given up");
                    let note = Note::new(self.clock().now(), ("host", Way::Host), end_act(trying), format!("integration {integration}"));
                    let note = note.before(release.0.as_str()).after(json!({ "why": "it could not be loaded at a start" }));
                    self.store().releases().end_trial(&integration, note).await.map_err(|error| error.problem("what is tried"))?;
                }
            }
        }
        Ok(())
    }

    async fn candidate(&self, integration: &str, id: &ReleaseId, environment: &EnvironmentFile) -> Result<Arc<Runnable>, Problems> {
        let missing = || Problem::new(Code::NotFound, format!("{integration} has no release {}", id.short()));
        let release = self.store().releases().get(id).await.map_err(|error| error.problem("what is tried"))?.ok_or_else(missing)?;
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
