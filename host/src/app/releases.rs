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
}

/// Fills an empty data folder from the workspace; with `deploy`, activates every release of the workspace that is not active. What was
/// retired, or is on the way, is activated again by `deploy` alone. Nothing is activated that `try_out` refuses: what does not even
/// compile leaves what runs as it was.
pub async fn settle(
    prepared: &Prepared,
    store: &SqliteStore,
    clock: &dyn Clock,
    deploy: bool,
    try_out: impl AsyncFnOnce(&[Component]) -> Result<(), Problems>,
) -> Result<Settled, Problems> {
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
        try_out(&prepared.components).await?;
        activate(prepared, store, clock, &wanted, (&before, &running)).await?;
    } else if !differing.is_empty() {
        let (count, names) = (differing.len(), differing.join(", "));
        warn!(
            "workspace differs from active releases ({count}: {names}); running the active ones. To activate the workspace's: lockgate run --deploy"
        );
        return Ok(Settled { active: read(before)?, differing });
    }
    Ok(Settled { active: read(active(store).await?)?, differing: Vec::new() })
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

/// Components first, then the releases that pin them, then which are active, all at once: whatever stops it in between, nothing active
/// lacks anything, nor one that it feeds.
async fn activate(
    prepared: &Prepared,
    store: &SqliteStore,
    clock: &dyn Clock,
    wanted: &[(Release, ReleaseId)],
    (before, running): (&[Stored], &[Stored]),
) -> Result<(), Problems> {
    for component in &prepared.components {
        plugin_files::keep(&prepared.workspace.host.data, &component.pinned.digest, &component.bytes, component.signature.as_ref())?;
    }
    let releases = store.releases();
    let new: Vec<_> = wanted.iter().filter(|(_, id)| running.iter().all(|(_, active)| active != id)).collect();
    for (release, _) in &new {
        releases.put(release, clock.now()).await.map_err(|error| error.problem("releases"))?;
    }
    let activations = new.iter().map(|(release, id)| activation(release, id, before)).collect::<Result<_, _>>()?;
    releases.activate(activations, clock.now()).await.map_err(|error| error.problem("releases"))?;
    reached(CrashPoint::ReleaseSwitched);
    for (release, id) in new {
        info!(integration = release.integration, release = id.short(), "release activated");
    }
    for (release, _) in running {
        if !wanted.iter().any(|(other, _)| other.integration == release.integration) {
            warn!(
                integration = release.integration,
                "still active, though the workspace no longer has it: messages may be on their way through it. To end it: lockgate retire {}",
                release.integration
            );
        }
    }
    Ok(())
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
