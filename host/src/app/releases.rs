//! Which releases run: what the data folder has active, or what the workspace says where it has nothing yet (or is told to deploy).

use std::collections::BTreeMap;

use tracing::{info, warn};

use super::plugin_files;
use crate::clock::Clock;
use crate::config::Workspace;
use crate::config::prepare::Prepared;
use crate::crash_point::{CrashPoint, reached};
use crate::integration::{Beginning, Entry, Integration, Order, Release, ReleaseId};
use crate::message_store::sqlite::{Activation, SqliteStore};
use crate::plugin::library::Component;
use crate::problem::{Problem, Problems};

/// A release as it is stored.
type Stored = (Release, ReleaseId);

/// A release that runs.
#[derive(Clone, Debug)]
pub struct Active {
    pub integration: Integration,
    pub release: Release,
    pub id: ReleaseId,
}

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
    new: Vec<Stored>,
    /// Integrations that are active and that the workspace no longer has.
    left: Vec<String>,
    activations: Vec<Activation>,
}

/// What is to run: the active releases; in an empty data folder those of the workspace; with `deploy`, the workspace's in the place of
/// every one that is not active. What was retired, or is on the way, is activated again by `deploy` alone.
pub async fn settle(prepared: &Prepared, store: &SqliteStore, deploy: bool) -> Result<Settled, Problems> {
    let before = active(store).await?;
    let wanted: Vec<(Release, ReleaseId)> = prepared.releases().into_iter().map(|release| (release.clone(), release.id())).collect();
    let retirements = store.retirements().all().await.map_err(|why| why.problem("what is retired"))?;
    let stays = |(release, _): &&(Release, ReleaseId)| retirements.iter().all(|row| row.integration != release.integration);
    let running: Vec<(Release, ReleaseId)> = before.iter().filter(stays).cloned().collect();
    let differing = differing(&running, &wanted);
    plugin_files::clear_partial(&prepared.workspace.host.data);
    mend(prepared, &before)?;
    let is_new = before.is_empty() && retirements.is_empty();
    if is_new || (deploy && !differing.is_empty()) {
        keep(prepared)?;
        let pending = Pending::of(&wanted, (&before, &running))?;
        let replaced = |release: &Release| wanted.iter().any(|(other, _)| other.integration == release.integration);
        let stay: Vec<Stored> = before.iter().filter(|(release, _)| !replaced(release)).cloned().collect();
        let mut active: Vec<Stored> = stay.into_iter().chain(wanted).collect();
        active.sort_by(|(one, _), (other, _)| one.integration.cmp(&other.integration));
        return Ok(Settled { active: read(active)?, differing: Vec::new(), pending });
    }
    if !differing.is_empty() {
        let (count, names) = (differing.len(), differing.join(", "));
        warn!(
            "workspace differs from active releases ({count}: {names}); running the active ones. To activate the workspace's: lockgate run --deploy"
        );
    }
    Ok(Settled { active: read(before)?, differing, pending: Pending::default() })
}

/// What runs and is at hand in the workspace too is kept again, in case the data folder lost it.
fn mend(prepared: &Prepared, active: &[(Release, ReleaseId)]) -> Result<(), Problem> {
    let pinned = |digest: &str| active.iter().flat_map(|(release, _)| &release.plugins).any(|plugin| plugin.digest == digest);
    let runs = prepared.components.iter().filter(|component| pinned(&component.pinned.digest));
    for component in runs {
        plugin_files::keep(&prepared.workspace.host.data, &component.pinned.digest, &component.bytes, component.signature.as_ref())?;
    }
    Ok(())
}

async fn active(store: &SqliteStore) -> Result<Vec<(Release, ReleaseId)>, Problems> {
    store.releases().active().await.map_err(|error| error.problem("releases").into())
}

fn differing(before: &[(Release, ReleaseId)], wanted: &[(Release, ReleaseId)]) -> Vec<String> {
    let by_name = |releases: &[(Release, ReleaseId)]| -> BTreeMap<String, ReleaseId> {
        releases.iter().map(|(release, id)| (release.integration.clone(), id.clone())).collect()
    };
    let (before, wanted) = (by_name(before), by_name(wanted));
    let names: std::collections::BTreeSet<&String> = before.keys().chain(wanted.keys()).collect();
    names.into_iter().filter(|name| before.get(*name) != wanted.get(*name)).cloned().collect()
}

/// Components first, so that nothing that comes to be active lacks anything.
fn keep(prepared: &Prepared) -> Result<(), Problem> {
    let keep = |component: &Component| {
        plugin_files::keep(&prepared.workspace.host.data, &component.pinned.digest, &component.bytes, component.signature.as_ref())
    };
    prepared.components.iter().try_for_each(keep)
}

impl Pending {
    fn of(wanted: &[Stored], (before, running): (&[Stored], &[Stored])) -> Result<Self, Problems> {
        let new: Vec<_> = wanted.iter().filter(|(_, id)| running.iter().all(|(_, active)| active != id)).cloned().collect();
        let activations = new.iter().map(|(release, id)| activation(release, id, before)).collect::<Result<_, _>>()?;
        let left = running.iter().filter(|(release, _)| wanted.iter().all(|(other, _)| other.integration != release.integration));
        let left = left.map(|(release, _)| release.integration.clone()).collect();
        Ok(Self { new, left, activations })
    }

    /// The releases first, then which are active, all at once: whatever stops it in between, nothing active lacks anything, nor one that
    /// it feeds.
    pub async fn activate(self, store: &SqliteStore, clock: &dyn Clock) -> Result<(), Problems> {
        let releases = store.releases();
        for (release, _) in &self.new {
            releases.put(release, clock.now()).await.map_err(|error| error.problem("releases"))?;
        }
        if !self.activations.is_empty() {
            releases.activate(self.activations, clock.now()).await.map_err(|error| error.problem("releases"))?;
            reached(CrashPoint::ReleaseSwitched);
        }
        for (release, id) in self.new {
            info!(integration = release.integration, release = id.short(), "release activated");
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

/// What is activated for the release, and which channels it is new to and reads from their beginning.
fn activation(release: &Release, id: &ReleaseId, before: &[(Release, ReleaseId)]) -> Result<Activation, Problems> {
    let integration = Workspace::integration_from_release(&release.file, &release.integration)?;
    let known = before.iter().find(|(active, _)| active.integration == release.integration);
    let known = known.map(|(active, _)| Workspace::integration_from_release(&active.file, &active.integration)).transpose()?;
    let is_new = |channel: &str| known.as_ref().is_none_or(|known| known.reads(channel).is_none());
    let channels = integration.sources.iter().filter_map(|source| match &source.entry {
        Entry::Channel { name, from } => Some((name, *from, source.key.as_ref().map(ToString::to_string))),
        _ => None,
    });
    let from_beginning = channels.clone().filter(|(name, from, _)| *from == Beginning::Earliest && is_new(name));
    Ok(Activation {
        integration: release.integration.clone(),
        release: id.clone(),
        from_beginning: from_beginning.map(|(name, _, key)| (name.clone(), key)).collect(),
        channels: channels.map(|(name, ..)| name.clone()).collect(),
    })
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

/// What is active, read back from what its release keeps.
fn read(active: Vec<(Release, ReleaseId)>) -> Result<Vec<Active>, Problems> {
    let mut problems = Problems::default();
    let mut read = Vec::new();
    for (release, id) in active {
        match Workspace::integration_from_release(&release.file, &release.integration) {
            Ok(integration) => read.push(Active { integration, release, id }),
            Err(why) => problems.0.extend(why.0),
        }
    }
    problems.or(read)
}
