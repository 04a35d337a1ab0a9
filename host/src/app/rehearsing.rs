//! What a rehearsal stands on: the workspace's release, compiled, and the ledger and the key of a host's data folder. No host need run, and
//! one that does is not disturbed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;

use crate::capability::queue::Channels;
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::config::Workspace;
use crate::config::prepare::{Prepared, by_digest};
use crate::integration::{Entry, Release, ReleaseId, Sink};
use crate::ledger::{Reader, folder};
use crate::message_store::sqlite::{open_dead_letters, stored_releases};
use crate::moment::Moment;
use crate::plugin::cache::CompileCache;
use crate::plugin::compile::CompileChild;
use crate::plugin::engine::PluginEngine;
use crate::plugin::host_key;
use crate::plugin::limits::Limits;
use crate::plugin::offer::Offer;
use crate::plugin::registry::Plugins;
use crate::problem::{Code, Problem, Problems};
use crate::rehearsal::{Candidate, DeadLetter, Over, Report, Rules, Stage, Wanted, kept, rehearse, stories};
use crate::releases::Active;
use crate::releases::ready::{runnable, uses};
use crate::telemetry::Metrics;
use crate::telemetry::events::Events;

/// What is asked of a rehearsal.
#[derive(Clone, Debug)]
pub struct Rehearsal {
    pub integration: String,
    /// None: all that is kept.
    pub since: Option<(Moment, String)>,
    /// Messages at most, the latest.
    pub most: usize,
    pub dead_letters: bool,
}

/// What came of a rehearsal.
#[derive(Debug)]
pub struct Rehearsed {
    pub report: Report,
    /// What it is found by in the console, if it could be kept there.
    pub kept: std::io::Result<String>,
}

/// Rehearses the release of the workspace on what the data folder has recorded. `said` hears what is done, `done` how many messages of how
/// many there are.
///
/// # Errors
/// Where there is no such integration, no ledger, nothing in it, or a plugin that does not compile.
pub async fn run(
    prepared: &Prepared,
    asked: Rehearsal,
    said: &(dyn Fn(&str) + Sync),
    done: &(dyn Fn(usize, usize) + Sync),
) -> Result<Rehearsed, Problems> {
    let config = &prepared.workspace.host;
    let active = candidate(prepared, &asked.integration)?;
    if !config.data.join(host_key::FILE).exists() {
        return Err(no_folder(&config.data).into());
    }
    let clock = Arc::new(SystemClock::new());
    let reader = Reader::open(&folder(&config.data))?;
    let since = asked.since.as_ref().map_or(Timestamp(0), |(since, _)| since.at(clock.now()));
    let dead_letters = asked.dead_letters.then(|| open_dead_letters(&config.data, &asked.integration)).transpose()?;
    let dead_letters: Option<Vec<DeadLetter>> =
        dead_letters.map(|letters| letters.into_iter().map(|(message, replay)| DeadLetter { message, replay }).collect());
    let stories = stories(&reader, &Wanted { integration: asked.integration.clone(), since, most: asked.most, dead_letters });
    if stories.all.is_empty() {
        return Err(nothing(&asked, prepared).into());
    }
    let environment = &prepared.workspace.environment.environment;
    let runnable = runnable(&active, environment, &config.call_limits)?;
    let host_key = host_key::load_or_create(&config.data, &crate::random::OsRandom)?;
    let engine = Arc::new(PluginEngine::new(&Limits::of(&config.call_limits))?);
    let cache = CompileCache::beside(&config.data, host_key.clone())?;
    let plugins = Arc::new(Plugins::new(engine, Arc::new(CompileChild::new(config.plugins.compile)), Some(cache))?);
    said(&format!("Loading the plugins of {}", asked.integration));
    load(prepared, &active, &plugins)?;
    for (_, used, export) in uses(&runnable) {
        plugins.make_ready(&used.plugin, export, Offer::of(&used.grants, !used.bindings.is_empty()), &used.config.now())?;
    }
    let channels = Channels::default();
    channels.set(read_channels(prepared));
    let report = Report::of(Candidate {
        integration: asked.integration.clone(),
        release: active.id.clone(),
        environment: environment.name.clone(),
        plugins: active.release.plugins.clone(),
        since: asked.since.as_ref().map(|(_, text)| text.clone()).unwrap_or_default(),
        dead_letters: asked.dead_letters,
        shadow: false,
    });
    let (metrics, events) = (Arc::new(Metrics::new()), Events::unheard(clock.clone()));
    let rules = Rules::Of(Arc::new(environment.aliases.clone()));
    let (runnable, channels_before) = (Arc::new(runnable), channels_before(&config.data, &asked.integration)?);
    let stage = Stage { runnable, plugins, channels, host_key, channels_before, rules, metrics, events };
    let all = stories.all.len();
    said(&format!("Rehearsing {} on {all} {}", asked.integration, if all == 1 { "message" } else { "messages" }));
    let report = rehearse(Over { stage, reader, stories }, report, &|so_far| done(so_far, all)).await.sorted();
    let kept = kept::keep(&config.data, &report, clock.now());
    Ok(Rehearsed { report, kept })
}

/// The release that the workspace's integration is.
fn candidate(prepared: &Prepared, name: &str) -> Result<Active, Problem> {
    let file = prepared.workspace.integrations.iter().find(|file| file.integration.name == name);
    let release = prepared.releases().into_iter().find(|release| release.integration == name);
    let Some((file, release)) = file.zip(release) else {
        let known: Vec<_> = prepared.workspace.integrations.iter().map(|file| file.integration.name.as_str()).collect();
        return Err(Problem::new(Code::NotFound, format!("the workspace has no integration `{name}`")).fix(match known.as_slice() {
            [] => "add integrations/<name>.toml".to_owned(),
            known => format!("one of: {}", known.join(", ")),
        }));
    };
    let id: ReleaseId = release.id();
    Ok(Active { integration: file.integration.clone(), release, id })
}

fn load(prepared: &Prepared, active: &Active, plugins: &Plugins) -> Result<(), Problems> {
    let components = by_digest(&prepared.components);
    let digests: BTreeSet<&str> = active.release.plugins.iter().map(|plugin| plugin.digest.as_str()).collect();
    let wanted: Vec<_> = digests.into_iter().filter_map(|digest| components.get(digest)).collect();
    let failed = wanted.par_iter().filter_map(|component| plugins.load(&component.pinned, &component.bytes).err());
    Problems(failed.collect()).or(())
}

/// The channels that releases of `integration` write to, of those that the host still has.
fn channels_before(data: &Path, integration: &str) -> Result<BTreeMap<ReleaseId, String>, Problem> {
    let channel = |(id, release): (ReleaseId, Release)| match Workspace::integration_from_release(&release.file, integration).ok()?.sink {
        Sink::Channel(channel) => Some((id, channel)),
        Sink::Plugin(_) => None,
    };
    Ok(stored_releases(data, integration)?.into_iter().filter_map(channel).collect())
}

/// The channels that some integration of the workspace reads.
fn read_channels(prepared: &Prepared) -> BTreeSet<String> {
    let sources = prepared.workspace.integrations.iter().flat_map(|file| &file.integration.sources);
    sources.filter_map(|source| if let Entry::Channel { name, .. } = &source.entry { Some(name.clone()) } else { None }).collect()
}

fn no_folder(data: &Path) -> Problem {
    Problem::new(Code::NothingRecorded, format!("no host has run on {}: there is nothing to rehearse", data.display())).fix(
        "run this on the machine of the host, whose data folder holds what it recorded; --data names the folder where lockgate.toml does not",
    )
}

fn nothing(asked: &Rehearsal, prepared: &Prepared) -> Problem {
    let (name, data) = (&asked.integration, prepared.workspace.host.data.display());
    if asked.dead_letters {
        return Problem::new(Code::NothingRecorded, format!("{name} has no dead letters"))
            .fix("without --dead-letters, all that was recorded is rehearsed");
    }
    let within = asked.since.as_ref().map(|(_, since)| format!(" since {since}")).unwrap_or_default();
    Problem::new(Code::NothingRecorded, format!("nothing of {name} is recorded{within} in {data}: there is nothing to rehearse"))
        .fix("ask for more time with --since, or let attempts be recorded: [ledger] record = \"all\" in lockgate.toml")
}
