//! The composition root: reads as the story of a start. The only file that names every room.

mod housekeeping;
mod plugin_files;
mod releases;
pub mod running;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::admin::{Api, ApiParts, token};
use crate::alias::network::NetworkUpstream;
use crate::alias::secret::{Secret, SecretSource};
use crate::alias::{Aliases, Environment};
use crate::capability::queue::Channels;
use crate::clock::SystemClock;
use crate::config::prepare::Prepared;
use crate::config::{HostConfig, missing_secrets};
use crate::delivery::{Bells, Catalog, Delivery, Dispatcher, Runnable};
use crate::ingress::{Intake, IntakeLimits, IntakeParts, Routes, ServeLimits, serve};
use crate::message_store::MessageStore;
use crate::message_store::sqlite::{Options as StoreOptions, SqliteStore};
use crate::plugin::cache::CompileCache;
use crate::plugin::engine::PluginEngine;
use crate::plugin::invoke::{Around, WasmInvoker};
use crate::plugin::limits::Limits;
use crate::plugin::registry::Plugins;
use crate::plugin::{PluginInvoker, host_key};
use crate::problem::{Code, Problem, Problems};
use crate::random::{OsRandom, Random};
use crate::telemetry::Metrics;
use releases::{Active, Settled};

/// What a host is started with.
#[derive(Debug)]
pub struct Start {
    /// The workspace, checked, with its plugins; addresses and data folder as its host file or the command line say.
    pub prepared: Prepared,
    pub secrets: Arc<dyn SecretSource>,
    /// Activate what the workspace says, where it differs from what is active.
    pub deploy: bool,
}

/// A host that runs.
#[derive(Debug)]
pub struct Host {
    pub ingress: SocketAddr,
    pub admin: SocketAddr,
    pub aliases: Arc<Aliases>,
    pub store: SqliteStore,
    pub active: Vec<Active>,
    /// Integrations whose release in the workspace is not the one that runs.
    pub differing: Vec<String>,
    /// The workspace it was started on.
    pub dir: std::path::PathBuf,
    intake: Arc<Intake>,
    dispatcher: Dispatcher,
    clock: Arc<SystemClock>,
    config: HostConfig,
    listening: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Host {
    /// Starts a host: what it needs is checked first, the data folder is its own from then on, and it listens last.
    ///
    /// # Errors
    /// Everything that stands in the way and could be found out at this point.
    pub async fn start(start: Start, progress: &(dyn Fn(&str) + Sync)) -> Result<Self, Problems> {
        let Start { prepared, secrets, deploy } = start;
        let config = prepared.workspace.host.clone();
        missing_secrets(&prepared.workspace, &*secrets).or(())?;

        let ingress = bind(config.ingress).await?;
        let admin = bind(config.admin).await?;
        let bound = (address(&ingress)?, address(&admin)?);

        let clock = Arc::new(SystemClock::new());
        let random: Arc<dyn Random> = Arc::new(OsRandom);
        let metrics = Arc::new(Metrics::new());
        let store = SqliteStore::open(&config.data, StoreOptions::new(clock.clone()))?;
        clock.not_before(store.last_seen_time());

        let Settled { active, differing } = releases::settle(&prepared, &store, &*clock, deploy).await?;
        let environment = &prepared.workspace.environment.environment;
        let upstream = Arc::new(NetworkUpstream::system(clock.clone())?);
        let aliases = Arc::new(Aliases::new(environment, secrets.clone(), upstream, clock.clone(), random.clone()));

        let host_key = host_key::load_or_create(&config.data, &*random)?;
        let limits = Limits::default();
        let plugins = load_plugins(&config, &limits, &active, host_key.clone(), progress)?;
        let catalog = Arc::new(catalog(&active, environment)?);
        let channels = Channels::default();
        channels.set(catalog.channels());
        let key_values = Arc::new(store.key_value());
        let around =
            Around { plugins, egress: aliases.clone(), key_values, channels, clock: clock.clone(), host_key, metrics: metrics.clone() };
        let invoker: Arc<dyn PluginInvoker> = Arc::new(WasmInvoker::new(around, limits));

        let bells = Arc::new(Bells::default());
        store.wake_through(bells.clone());
        let kept: Arc<dyn MessageStore> = Arc::new(store.clone());
        let delivery = Delivery {
            store: kept.clone(),
            plugins: invoker,
            catalog,
            clock: clock.clone(),
            random: random.clone(),
            metrics: metrics.clone(),
        };
        let dispatcher = Dispatcher::start(&delivery, &aliases, &bells);

        let integrations: Vec<_> = active.iter().map(|active| Arc::new(active.integration.clone())).collect();
        let routes = Routes::build(&integrations, environment)?;
        let parts = IntakeParts { store: kept, secrets, clock: clock.clone(), random: random.clone(), metrics: metrics.clone() };
        let intake = Intake::new(parts, intake_limits(&config), routes);
        let token = token::load_or_create(&config.data, &*random)?;
        let parts = ApiParts { intake: intake.clone(), store: store.clone(), aliases: aliases.clone(), metrics, clock: clock.clone() };
        let api = Api::new(parts, bound.1, token);

        let listening = CancellationToken::new();
        let limits = ServeLimits { drain: config.drain, ..ServeLimits::default() };
        let tasks = vec![
            tokio::spawn(serve(ingress, intake.handler(), limits, clock.clone(), listening.clone())),
            tokio::spawn(serve(admin, api.handler(), limits, clock.clone(), listening.clone())),
            tokio::spawn(housekeeping::clean(store.clone(), clock.clone())),
            tokio::spawn({
                let aliases = aliases.clone();
                async move { aliases.watch_refused().await }
            }),
        ];
        running::write(&config.data, bound.0, bound.1)?;
        info!(ingress = %bound.0, admin = %bound.1, integrations = active.len(), "ready");
        let dir = prepared.workspace.dir.clone();
        Ok(Self {
            ingress: bound.0,
            admin: bound.1,
            aliases,
            store,
            active,
            differing,
            dir,
            intake,
            dispatcher,
            clock,
            config,
            listening,
            tasks,
        })
    }

    /// Stops intake, finishes or gives back what is in flight within the drain time, and lets the data folder go.
    pub async fn stop(self) {
        self.intake.close();
        self.listening.cancel();
        let left = self.dispatcher.stop(&*self.clock, self.config.drain).await;
        if left > 0 {
            warn!(left, "deliveries were still under way; the next start runs them again");
        }
        running::remove(&self.config.data);
        let [ingress, admin, background @ ..] = self.tasks.as_slice() else { return self.store.close().await };
        background.iter().for_each(JoinHandle::abort);
        let quiet = async {
            while !(ingress.is_finished() && admin.is_finished()) {
                tokio::task::yield_now().await
            }
        };
        if crate::clock::within(&*self.clock, self.config.drain, quiet).await.is_none() {
            warn!("connections were still open");
        }
        self.store.close().await;
        info!("stopped");
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, Problem> {
    TcpListener::bind(address).await.map_err(|error| {
        Problem::new(Code::PortInUse, format!("cannot listen on {address}: {error}"))
            .fix("stop what listens there, or choose another address in lockgate.toml ([host] ingress, admin) or with --ingress, --admin")
    })
}

fn address(listener: &TcpListener) -> Result<SocketAddr, Problem> {
    listener.local_addr().map_err(|error| Problem::new(Code::Internal, format!("a listener has no address: {error}")))
}

fn intake_limits(config: &HostConfig) -> IntakeLimits {
    let mut limits = IntakeLimits { waiting_max: config.waiting_max, ..IntakeLimits::default() };
    limits.body.bytes = config.body_bytes_max;
    limits
}

/// Compiles, or takes from the cache, every component the active releases pin.
fn load_plugins(
    config: &HostConfig,
    limits: &Limits,
    active: &[Active],
    host_key: Secret,
    progress: &(dyn Fn(&str) + Sync),
) -> Result<Arc<Plugins>, Problems> {
    let engine = Arc::new(PluginEngine::new(limits)?);
    let plugins = Plugins::new(engine, Some(CompileCache::open(&config.data, host_key)?))?;
    let mut problems = Problems::default();
    for pinned in active.iter().flat_map(|active| &active.release.plugins) {
        progress(&format!("Loading {} {}", pinned.name, pinned.version));
        let loaded = plugin_files::read(&config.data, pinned).and_then(|bytes| plugins.load(pinned, &bytes));
        if let Err(problem) = loaded {
            problems.push(problem);
        }
    }
    problems.or(Arc::new(plugins))
}

fn catalog(active: &[Active], environment: &Environment) -> Result<Catalog, Problems> {
    let mut problems = Problems::default();
    let mut runnables = Vec::new();
    for active in active {
        match active.runnable(environment) {
            Ok(runnable) => runnables.push(runnable),
            Err(problem) => problems.push(problem),
        }
    }
    problems.or(Catalog::new(runnables))
}

impl Active {
    fn runnable(&self, environment: &Environment) -> Result<Runnable, Problem> {
        let mut pinned = Vec::new();
        for ((place, step), plugin) in self.integration.uses().zip(&self.release.plugins) {
            if let Some(binding) = step.bindings.values().find(|binding| !environment.aliases.contains_key(&binding.alias)) {
                let message = format!(
                    "active release of {}, {place}: environment {} has no alias `{}`",
                    self.integration.name, environment.name, binding.alias
                );
                return Err(Problem::new(Code::UnknownAlias, message).fix(format!(
                    "add [alias.{}] to the environment, or activate the workspace's releases: lockgate run --deploy",
                    binding.alias
                )));
            }
            let config = crate::config::resolve_config(&step.config, &environment.values)?;
            pinned.push((plugin.clone(), Arc::from(config)));
        }
        Runnable::new(self.integration.clone(), self.id.clone(), &pinned).ok_or_else(|| {
            Problem::new(
                Code::StoreDamaged,
                format!("release {} of {} does not pin every plugin it uses", self.id.short(), self.integration.name),
            )
            .fix("activate the workspace's own: lockgate run --deploy")
        })
    }
}
