//! [`Ground`]: what everything of a host stands on (time, chance, figures, the message store), and the rooms built on it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tracing::warn;

use super::running;
use crate::admin::{Api, ApiParts, LiveEnvironment, LiveParts, Sessions, Tokens, token};
use crate::alias::network::NetworkUpstream;
use crate::alias::secret::SecretSource;
use crate::alias::vault::Vault;
use crate::alias::{Aliases, AliasesParts, Environment};
use crate::backup;
use crate::clock::{Clock, SystemClock};
use crate::config::{EnvironmentFile, HostConfig};
use crate::delivery::{Catalog, Delivery, Pauses, Retirements};
use crate::ingress::{Intake, IntakeLimits, IntakeParts, Routes};
use crate::ledger::Recorder;
use crate::message_store::sqlite::{DATABASE_FILE, Options, SqliteStore};
use crate::plugin::{PluginInvoker, host_key};
use crate::problem::{Code, Problem, Problems};
use crate::random::{OsRandom, Random};
use crate::releases::Active;
use crate::releases::live::LiveReleases;
use crate::source;
use crate::telemetry::Metrics;
use crate::telemetry::events::Events;

/// Behind the data folder by more than this, the machine's clock is worth a word: signatures that carry a time are refused when
/// sender and host differ by minutes.
const BEHIND_WORTH_A_WORD: Duration = Duration::from_secs(10);

/// What everything stands on.
pub struct Ground {
    pub clock: Arc<SystemClock>,
    pub random: Arc<dyn Random>,
    pub metrics: Arc<Metrics>,
    pub events: Arc<Events>,
    pub store: SqliteStore,
}

impl Ground {
    /// Opens the data folder, which is this host's own from then on, and sets the clock to no earlier than the folder has seen.
    pub fn open(config: &HostConfig, clock: Arc<SystemClock>, events: Arc<Events>) -> Result<Self, Problem> {
        let store = open_store(&config.data, &clock)?;
        // Of a host that was killed: the folder is ours, so no other host runs on it.
        running::remove(&config.data);
        backup::clear_leftovers(&config.data);
        let behind = store.last_seen_time().since(clock.now());
        if behind > BEHIND_WORTH_A_WORD {
            let behind_s = behind.as_secs();
            warn!(
                behind_s,
                "the machine's clock is behind what the data folder has seen; the host goes on from there. Is the clock right?"
            );
        }
        clock.not_before(store.last_seen_time());
        Ok(Self { clock, random: Arc::new(OsRandom), metrics: Arc::new(Metrics::new()), events, store })
    }

    pub fn aliases(&self, environment: &Environment, secrets: &Arc<dyn SecretSource>, vault: &Arc<Vault>) -> Result<Arc<Aliases>, Problem> {
        let upstream = Arc::new(NetworkUpstream::system(self.clock.clone())?);
        let (secrets, vault, clock, random) = (secrets.clone(), vault.clone(), self.clock.clone(), self.random.clone());
        Ok(Arc::new(Aliases::new(environment, AliasesParts { secrets, vault, upstream, clock, random })))
    }

    pub fn intake(
        &self,
        config: &HostConfig,
        active: &[Active],
        environment: &Environment,
        secrets: &Arc<dyn SecretSource>,
    ) -> Result<Arc<Intake>, Problems> {
        let integrations: Vec<_> = active.iter().map(|active| Arc::new(active.integration.clone())).collect();
        let routes = Routes::build(&integrations, environment)?;
        let parts = IntakeParts {
            store: Arc::new(self.store.clone()),
            secrets: secrets.clone(),
            clock: self.clock.clone(),
            random: self.random.clone(),
            metrics: self.metrics.clone(),
            events: self.events.clone(),
        };
        let mut limits = IntakeLimits { waiting_max: config.waiting_max, ..IntakeLimits::default() };
        limits.body.bytes = config.body_bytes_max;
        Ok(Intake::new(parts, limits, routes))
    }

    pub fn api(
        &self,
        config: &HostConfig,
        environment: EnvironmentFile,
        live: LiveParts,
        (pauses, retirements, tokens, releases): (&Arc<Pauses>, &Arc<Retirements>, &Arc<Tokens>, &Arc<LiveReleases>),
        at: SocketAddr,
    ) -> Result<Arc<Api>, Problem> {
        let token = token::load_or_create(&config.data, &*self.random)?;
        let (intake, store, aliases, pauses) = (live.intake.clone(), self.store.clone(), live.aliases.clone(), pauses.clone());
        let file = environment.places.file().to_owned();
        let environment = LiveEnvironment::new(environment, file, live);
        let sessions = Arc::new(Sessions::new(self.clock.clone(), self.random.clone()));
        let (metrics, events, clock) = (self.metrics.clone(), self.events.clone(), self.clock.clone());
        let data = config.data.clone();
        let (retirements, tokens, releases) = (retirements.clone(), tokens.clone(), releases.clone());
        let parts =
            ApiParts { intake, store, aliases, pauses, retirements, releases, metrics, events, clock, sessions, tokens, environment, data };
        Ok(Api::new(parts, at, token))
    }

    pub fn sources(&self, delivery: &Delivery, aliases: &Arc<Aliases>, config: &HostConfig) -> source::Around {
        source::Around {
            store: delivery.store.clone(),
            plugins: delivery.plugins.clone(),
            catalog: delivery.catalog.clone(),
            aliases: aliases.clone(),
            clock: self.clock.clone(),
            random: self.random.clone(),
            metrics: self.metrics.clone(),
            events: self.events.clone(),
            pauses: delivery.pauses.clone(),
            limits: source::Limits { body_bytes: config.body_bytes_max, waiting: config.waiting_max },
        }
    }

    pub fn take_over(&self, delivery: &Delivery, bell: Arc<Notify>) -> source::TakeOver {
        source::TakeOver {
            backfills: self.store.backfills(),
            catalog: delivery.catalog.clone(),
            clock: self.clock.clone(),
            events: self.events.clone(),
            pauses: delivery.pauses.clone(),
            waiting_max: delivery.waiting_max,
            bell,
        }
    }

    /// What records attempts. It tidies up, too, where nothing is recorded any more.
    pub fn recorder(&self, config: &HostConfig) -> Recorder {
        Recorder::start(&config.data, config.ledger, self.clock.clone(), self.metrics.clone())
    }

    pub fn delivery(
        &self,
        config: &HostConfig,
        plugins: Arc<dyn PluginInvoker>,
        catalog: Arc<Catalog>,
        (pauses, recorder): (&Arc<Pauses>, &Recorder),
    ) -> Delivery {
        Delivery {
            store: Arc::new(self.store.clone()),
            plugins,
            catalog,
            clock: self.clock.clone(),
            random: self.random.clone(),
            metrics: self.metrics.clone(),
            events: self.events.clone(),
            waiting_max: config.waiting_max,
            pauses: pauses.clone(),
            recorder: recorder.listens().then(|| recorder.clone()),
        }
    }
}

/// Opens the store of the data folder `data`, which is this process's own from then on.
pub fn open_store(data: &Path, clock: &Arc<SystemClock>) -> Result<SqliteStore, Problem> {
    refuse_emptied(data)?;
    SqliteStore::open(data, Options::new(clock.clone()))
}

/// A folder that was used has a host key, and then a database: without it, starting afresh would forget in silence what was
/// acknowledged and which messages came before.
fn refuse_emptied(data: &Path) -> Result<(), Problem> {
    if backup::is_unfinished(data).unwrap_or(false) {
        return Err(Problem::new(Code::StoreDamaged, format!("a restore into {} was not finished", data.display()))
            .fix("run `lockgate restore` again; to start afresh instead, remove the folder"));
    }
    let database = data.join(DATABASE_FILE);
    let is_empty = std::fs::metadata(&database).map_or(true, |file| file.len() == 0);
    if !is_empty || !data.join(host_key::FILE).exists() {
        return Ok(());
    }
    Err(Problem::new(
        Code::StoreDamaged,
        format!("the data folder {} was used, and {} is gone or empty", data.display(), database.display()),
    )
    .fix("put the file back from a copy or a backup; to start afresh and forget what was in it, remove the whole data folder"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_does_not_start_as_new_where_a_restore_was_cut_off() {
        let data = tempfile::tempdir().unwrap();
        std::fs::create_dir(data.path().join(".restoring-x")).unwrap();
        let refused = open_store(data.path(), &Arc::new(SystemClock::new())).unwrap_err();
        assert!(refused.message.contains("was not finished"), "{refused}");
        assert!(data.path().join(".restoring-x").exists());
    }
}
