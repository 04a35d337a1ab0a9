//! The composition root: reads as the story of a start and of a stop. The only file that names every room, with those under it.

mod alias_events;
mod alias_states;
mod ground;
mod housekeeping;
mod listeners;
mod open_files;
mod pausing;
mod plugins;
pub mod rehearsing;
mod releases;
mod retiring;
pub mod running;
pub mod secrets;
pub mod testing;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use crate::admin::{self, Api, LiveParts, Tokens};
use crate::alias::Aliases;
use crate::alias::secret::SecretSource;
use crate::alias::token::TOKEN_TIMEOUT;
use crate::alias::vault::SetBefore;
use crate::capability::queue::Channels;
use crate::clock::{SystemClock, within};
use crate::config::changes::Change;
use crate::config::prepare::Prepared;
use crate::config::{HostConfig, missing_secrets};
use crate::console::Console;
use crate::delivery::{Bells, Catalog, Dispatcher, Pauses, Retirements};
use crate::ingress::Intake;
use crate::ledger::Recorder;
use crate::message_store::sqlite::SqliteStore;
use crate::plugin::host_key;
use crate::problem::Problems;
use crate::releases::Active;
use crate::releases::live::{self, LiveReleases};
use crate::releases::ready::Loader;
use crate::source::Sources;
use crate::telemetry::events::{Event, Events, Kind, Level};
use ground::Ground;
use listeners::{Listeners, Serving};
pub use plugins::Progress;
use releases::Settled;

/// What a host is started with.
#[derive(Debug)]
pub struct Start {
    /// The workspace, checked, with its plugins; addresses and data folder as its host file or the command line say.
    pub prepared: Prepared,
    /// Where secrets are that nobody set with `lockgate secret set`.
    pub secrets: Arc<dyn SecretSource>,
    /// Activate what the workspace says, where it differs from what is active.
    pub deploy: bool,
    pub clock: Arc<SystemClock>,
    /// What happens is told here, from before the start on.
    pub events: Arc<Events>,
}

/// A host that runs.
#[derive(Debug)]
pub struct Host {
    pub ingress: SocketAddr,
    ingress_scheme: &'static str,
    pub admin: SocketAddr,
    pub aliases: Arc<Aliases>,
    pub store: SqliteStore,
    pub active: Vec<Active>,
    /// Integrations whose release in the workspace is not the one that runs.
    pub differing: Vec<String>,
    /// The workspace it was started on.
    pub dir: PathBuf,
    intake: Arc<Intake>,
    dispatcher: Arc<Dispatcher>,
    recorder: Recorder,
    sources: Arc<Sources>,
    clock: Arc<SystemClock>,
    config: HostConfig,
    console: Arc<Console>,
    serving: Serving,
    events: Arc<Events>,
    background: [JoinHandle<()>; 8],
    api: Arc<Api>,
}

/// What a host that runs took up of a workspace.
#[derive(Debug)]
pub struct TakenUp {
    /// What is another in the environment.
    pub environment: Vec<Change>,
    /// What became of the releases, as `POST /api/v1/releases` answers it.
    pub releases: serde_json::Value,
}

impl Host {
    /// Starts a host: what it needs is checked first, the data folder is its own from then on, and nothing runs before
    /// everything that can fail has been done: a start that fails leaves nothing behind but the data folder.
    ///
    /// # Errors
    /// Everything that stands in the way and could be found out at this point.
    pub async fn start(start: Start, progress: Progress) -> Result<Self, Problems> {
        let Start { prepared, secrets: otherwise, deploy, clock, events } = start;
        let config = prepared.workspace.host.clone();
        let environment = &prepared.workspace.environment.environment;
        open_files::raise_limit();
        // The folder first: a second host on it is told so, and not that somebody has its ports.
        let ground = Ground::open(&config, clock, events)?;
        let vault = Arc::new(secrets::open(&config, &ground.store, ground.random.clone()).await?);
        let secrets: Arc<dyn SecretSource> = Arc::new(SetBefore { vault: vault.clone(), otherwise: otherwise.clone() });
        missing_secrets(&prepared.workspace, &*secrets).or(())?;
        secrets::prepare(&vault, environment)?;
        let listeners = Listeners::bind(&config, &otherwise, &ground.clock).await?;
        let ((ingress, admin), ingress_scheme) = (listeners.addresses()?, listeners.ingress_scheme());

        let host_key = host_key::load_or_create(&config.data, &*ground.random)?;
        let plugins = plugins::registry(&config, &host_key)?;
        let Settled { active, differing, pending } = releases::settle(&prepared, &ground.store, deploy).await?;
        let aliases = ground.aliases(environment, &secrets, &vault)?;
        alias_states::restore(&ground.store, &aliases).await?;
        let retirements = Arc::new(Retirements::default());
        let loader = Loader::new(&config, plugins.clone());
        let catalog = Arc::new(Catalog::new(loader.runnables(&active, environment)?).heeding(retirements.clone()));
        loader.load_beside(catalog.all(), &progress).await?;
        let channels = Channels::default();
        channels.set(catalog.channels());
        let invoker = plugins::invoker(&config, (&ground, &aliases), (plugins, host_key.clone()), &channels);
        // Nothing is activated that was not loaded: what cannot run is not what the next start finds.
        pending.activate(&ground.store, &*ground.clock).await?;
        releases::free_lanes(&active, &ground.store).await?;
        retiring::restore(&ground.store, &retirements).await?;
        let intake = ground.intake(&config, &active, environment, &secrets)?;
        retiring::close(&intake, &retirements);
        let bells = Arc::new(Bells::default());
        let pauses = Arc::new(Pauses::new(bells.clone()));
        pausing::restore(&ground.store, &pauses, &aliases).await?;
        let (events, clock) = (ground.events.clone(), ground.clock.clone());
        let facts = plugins::facts(&config, loader.plugins.clone());
        let tokens = ground.store.tokens().all().await.map_err(|why| why.problem("tokens"))?;
        let tokens = Arc::new(Tokens::new(tokens, ground.random.clone()));
        let audit = ground.store.audit();
        let take_over = Arc::new(Notify::new());
        let releases = Arc::new(LiveReleases::new(live::Parts {
            store: ground.store.clone(),
            config: config.clone(),
            loader,
            secrets: secrets.clone(),
            catalog: catalog.clone(),
            channels,
            intake: intake.clone(),
            retirements: retirements.clone(),
            take_over: take_over.clone(),
            clock: ground.clock.clone(),
            events: ground.events.clone(),
            aliases: aliases.clone(),
            host_key,
            environment: environment.name.clone(),
        }));
        let live = LiveParts {
            aliases: aliases.clone(),
            intake: intake.clone(),
            catalog: catalog.clone(),
            facts,
            vault,
            secrets,
            events,
            clock,
            audit,
        };
        let api = ground.api(&config, prepared.workspace.environment.clone(), live, (&pauses, &retirements, &tokens, &releases), admin)?;
        let console = Console::new(api.clone(), admin);
        // The listeners are bound, so whoever finds this file finds a host that takes connections.
        running::write(&config.data, (ingress_scheme, ingress), admin)?;

        releases.restore_trials(&prepared.workspace.environment).await?;

        // From here on nothing fails.
        ground.store.wake_through(bells.clone());
        let recorder = ground.recorder(&config);
        let delivery = ground.delivery(&config, invoker, catalog, (&pauses, &recorder));
        let dispatcher = Arc::new(Dispatcher::start(&delivery, &aliases, &bells));
        let sources = Arc::new(Sources::start(&ground.sources(&delivery, &aliases, &config)));
        releases.starts(dispatcher.clone(), sources.clone());
        let serving = listeners.serve(intake.handler(), api.handler(console.router()), config.drain, &ground.clock);
        let background = [
            tokio::spawn(housekeeping::clean(ground.store.clone(), ground.clock.clone())),
            tokio::spawn(housekeeping::forget(ground.store.clone(), ground.clock.clone(), config.retention)),
            tokio::spawn(housekeeping::forget_reports(config.data.clone(), ground.clock.clone(), config.ledger.keep)),
            tokio::spawn(alias_states::keep(ground.store.clone(), aliases.clone(), ground.clock.clone())),
            tokio::spawn({
                let aliases = aliases.clone();
                async move { aliases.watch_refused().await }
            }),
            tokio::spawn(retiring::finish(api.clone(), ground.clock.clone())),
            tokio::spawn(alias_events::tell(aliases.clone(), ground.events.clone(), ground.clock.clone())),
            tokio::spawn(ground.take_over(&delivery, take_over).run()),
        ];
        info!(%ingress, %admin, integrations = active.len(), "ready");
        ground.events.tell(Event::new(Kind::Host, Level::Info, "the host is ready").with("integrations", active.len() as u64));
        let dir = prepared.workspace.dir.clone();
        let Ground { store, clock, events, .. } = ground;
        Ok(Self {
            ingress,
            ingress_scheme,
            admin,
            aliases,
            store,
            active,
            differing,
            dir,
            intake,
            dispatcher,
            recorder,
            sources,
            clock,
            config,
            console,
            serving,
            events,
            background,
            api,
        })
    }

    /// Runs what `prepared` says from now on, while messages flow: its environment, then its releases.
    ///
    /// # Errors
    /// Everything that does not fit. What ran before runs on; an environment that fits may have been taken up.
    pub async fn take_up(&self, prepared: &Prepared) -> Result<TakenUp, Problems> {
        releases::keep(prepared)?;
        let text = prepared.workspace.environment.places.text();
        // One that no longer has what the old releases need is taken up behind the new ones.
        let first = admin::apply_environment(&self.api, text).await;
        let releases = admin::deploy(&self.api, prepared.releases()).await;
        let environment = match (first, &releases) {
            (Err(_), Ok(_)) => admin::apply_environment(&self.api, text).await,
            (first, _) => first,
        };
        Ok(TakenUp { environment: environment?, releases: releases? })
    }

    /// Where webhooks come in.
    pub fn ingress_url(&self) -> String {
        format!("{}://{}", self.ingress_scheme, self.ingress)
    }

    /// A link into the console that works once and for a minute, for whoever started the host.
    pub fn console_link(&self) -> String {
        format!("http://{}{}", self.admin, self.console.link())
    }

    /// Stops intake, finishes or gives up what is in flight within the drain time, and lets the data folder go. What was
    /// acknowledged is on disk all along; what was given up is run again by the next start.
    pub async fn stop(self) {
        self.intake.close();
        running::remove(&self.config.data);
        // Streams have no end of their own: those who listen come back to the next run.
        self.console.end();
        self.events.close();
        let drain = self.config.drain;
        let (left, (), ()) =
            tokio::join!(self.dispatcher.stop(&*self.clock, drain), self.sources.stop(&*self.clock, drain), self.serving.stop());
        if left > 0 {
            warn!(left, "deliveries were still under way; the next start runs them again");
        }
        // A token that is being asked for is kept first: the endpoint may take back the one that asked.
        if within(&*self.clock, TOKEN_TIMEOUT, self.aliases.settle_tokens()).await.is_none() {
            warn!("a token endpoint did not answer; what it gives out now is lost");
        }
        self.background.iter().for_each(JoinHandle::abort);
        alias_states::keep_all(&self.store, &self.aliases, &*self.clock).await;
        self.recorder.close().await;
        self.store.close().await;
        info!("stopped");
    }
}
