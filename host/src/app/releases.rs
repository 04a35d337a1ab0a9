//! Which releases run: what the data folder has active, or what the workspace says where it has nothing yet (or is told to deploy).

use std::collections::BTreeMap;

use tracing::{info, warn};

use crate::clock::Clock;
use crate::config::prepare::Prepared;
use crate::crash_point::{CrashPoint, reached};
use crate::integration::{Integration, Order};
use crate::message_store::sqlite::{Activation, ActiveRelease, By, SqliteStore};
use crate::plugin::library::Component;
use crate::problem::{Code, Problem, Problems};
use crate::releases::{Active, plugin_files};

/// What runs, and what of the workspace does not.
#[derive(Debug)]
pub struct Settled {
    pub active: Vec<Active>,
    /// Integrations whose release in the workspace is not the active one, or that only one of both has. One that is being retired counts
    /// as not active.
    pub differing: Vec<String>,
    /// What is to be activated, once all of it has been loaded.
    pub pending: Pending,
}

/// Releases of the workspace that are to become the active ones. Until [`Pending::activate`] those before them are: what turns out not to
/// run is never started with again.
#[derive(Debug, Default)]
pub struct Pending {
    new: Vec<Active>,
    /// Integrations that are active and that the workspace no longer has.
    left: Vec<String>,
    activations: Vec<Activation>,
}

/// What is to run: the active releases; in an empty data folder those of the workspace; with `deploy`, the workspace's in the place of
/// every one that is not active. What was retired, or is on the way, is activated again by `deploy` alone.
pub async fn settle(prepared: &Prepared, store: &SqliteStore, deploy: bool) -> Result<Settled, Problems> {
    let before = active(store).await?;
    let wanted = wanted(prepared, &before)?;
    let retirements = store.retirements().all().await.map_err(|why| why.problem("what is retired"))?;
    let stays = |active: &&Active| retirements.iter().all(|row| row.integration != active.integration.name);
    let running: Vec<Active> = before.iter().filter(stays).cloned().collect();
    let differing = differing(&running, &wanted);
    plugin_files::clear_partial(&prepared.workspace.host.data);
    mend(prepared, &before)?;
    let is_new = before.is_empty() && retirements.is_empty();
    if deploy && !is_new && !differing.is_empty() {
        may_deploy(prepared)?;
    }
    if is_new || (deploy && !differing.is_empty()) {
        keep(prepared)?;
        let pending = Pending::of(&wanted, (&before, &running));
        let replaced = |active: &Active| wanted.iter().any(|other| other.integration.name == active.integration.name);
        let stay: Vec<Active> = before.iter().filter(|active| !replaced(active)).cloned().collect();
        let mut active: Vec<Active> = stay.into_iter().chain(wanted).collect();
        active.sort_by(|one, other| one.integration.name.cmp(&other.integration.name));
        return Ok(Settled { active, differing: Vec::new(), pending });
    }
    if !differing.is_empty() {
        let (count, names) = (differing.len(), differing.join(", "));
        warn!(
            "workspace differs from active releases ({count}: {names}); running the active ones. To activate the workspace's: lockgate deploy"
        );
    }
    Ok(Settled { active: before, differing, pending: Pending::default() })
}

/// What the workspace says, as it would follow what is active.
fn wanted(prepared: &Prepared, before: &[Active]) -> Result<Vec<Active>, Problems> {
    let read = |release: crate::integration::Release| {
        let known = before.iter().find(|active| active.integration.name == release.integration);
        let id = release.id();
        Ok(Active::read(ActiveRelease { release, id, ordering: 0 })?.after(known.map(|known| &known.integration)))
    };
    prepared.releases().into_iter().map(read).collect()
}

/// Where releases have to be approved, a start is no way round it.
fn may_deploy(prepared: &Prepared) -> Result<(), Problem> {
    if prepared.workspace.host.approval.is_none() {
        return Ok(());
    }
    let message = "`--deploy` activates releases that nobody has approved, and lockgate.toml has [approval]";
    Err(Problem::new(Code::NeedsApproval, message).fix("start without `--deploy`, then `lockgate deploy`"))
}

/// What runs and is at hand in the workspace too is kept again, in case the data folder lost it.
fn mend(prepared: &Prepared, active: &[Active]) -> Result<(), Problem> {
    let pinned = |digest: &str| active.iter().flat_map(|active| &active.release.plugins).any(|plugin| plugin.digest == digest);
    let runs = prepared.components.iter().filter(|component| pinned(&component.pinned.digest));
    for component in runs {
        plugin_files::keep(&prepared.workspace.host.data, &component.pinned.digest, &component.bytes, component.signature.as_ref())?;
    }
    Ok(())
}

async fn active(store: &SqliteStore) -> Result<Vec<Active>, Problems> {
    let stored = store.releases().active().await.map_err(|error| error.problem("releases"))?;
    let (mut problems, mut active) = (Problems::default(), Vec::new());
    for stored in stored {
        match Active::read(stored) {
            Ok(read) => active.push(read),
            Err(why) => problems.0.extend(why.0),
        }
    }
    problems.or(active)
}

fn differing(before: &[Active], wanted: &[Active]) -> Vec<String> {
    let by_name = |all: &[Active]| -> BTreeMap<String, crate::integration::ReleaseId> {
        all.iter().map(|active| (active.integration.name.clone(), active.id.clone())).collect()
    };
    let (before, wanted) = (by_name(before), by_name(wanted));
    let names: std::collections::BTreeSet<&String> = before.keys().chain(wanted.keys()).collect();
    names.into_iter().filter(|name| before.get(*name) != wanted.get(*name)).cloned().collect()
}

/// Components first, so that nothing that comes to be active lacks anything.
pub fn keep(prepared: &Prepared) -> Result<(), Problem> {
    let keep = |component: &Component| {
        plugin_files::keep(&prepared.workspace.host.data, &component.pinned.digest, &component.bytes, component.signature.as_ref())
    };
    prepared.components.iter().try_for_each(keep)
}

impl Pending {
    fn of(wanted: &[Active], (before, running): (&[Active], &[Active])) -> Self {
        let new: Vec<_> = wanted.iter().filter(|wanted| running.iter().all(|running| running.id != wanted.id)).cloned().collect();
        let known = |name: &str| -> Option<&Integration> {
            before.iter().find(|active| active.integration.name == name).map(|active| &active.integration)
        };
        let activations = new.iter().map(|new| new.activation(known(&new.integration.name))).collect();
        let left = running.iter().map(|running| &running.integration.name);
        let left = left.filter(|name| wanted.iter().all(|other| other.integration.name != **name)).cloned().collect();
        Self { new, left, activations }
    }

    /// The releases first, then which are active, all at once: whatever stops it in between, nothing active lacks anything, nor one that
    /// it feeds.
    pub async fn activate(self, store: &SqliteStore, clock: &dyn Clock) -> Result<(), Problems> {
        let (releases, by) = (store.releases(), By::start());
        for Active { release, .. } in &self.new {
            releases.put(release, clock.now(), &by.who).await.map_err(|error| error.problem("releases"))?;
        }
        if !self.activations.is_empty() {
            releases.activate(self.activations, clock.now(), by).await.map_err(|error| error.problem("releases"))?;
            reached(CrashPoint::ReleaseSwitched);
        }
        for Active { integration, id, .. } in self.new {
            info!(integration = integration.name, release = id.short(), "release activated");
        }
        for integration in self.left {
            warn!(
                integration,
                "still active, though the workspace no longer has it: messages may be on their way through it. To end it: lockgate retire {integration}"
            );
        }
        Ok(())
    }
}

/// A dead letter stops its key in an integration that orders strictly. In one that does so no more, nobody would let them go.
pub async fn free_lanes(active: &[Active], store: &SqliteStore) -> Result<(), Problem> {
    for Active { integration, .. } in active.iter().filter(|active| active.integration.delivery.order != Order::Strict) {
        let freed = store.free_lanes(&integration.name).await.map_err(|error| error.problem("releases"))?;
        if freed > 0 {
            info!(integration = integration.name, freed, "its order is strict no more: keys that dead letters stopped go on");
        }
    }
    Ok(())
}
