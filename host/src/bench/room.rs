//! [`Room`]: what every measurement has around it.

use std::cell::{Cell, OnceCell};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::plugins::Plugins;
use super::round::{Bout, Round};
use super::subject::Subject;
use super::target::Target;
use super::workspace::{self, Flow};
use crate::problem::{Code, Problem};

/// How much is measured.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Size {
    /// One round's load.
    #[serde(rename = "round-seconds", serialize_with = "seconds")]
    pub lasts: Duration,
    #[serde(rename = "warm-up-seconds", serialize_with = "seconds")]
    pub warm_up: Duration,
    /// Rounds of each; their median counts.
    pub rounds: usize,
    /// Messages that wait, in `growth-waiting`.
    pub waiting: u64,
    /// Messages that wait, in `drain`.
    pub backlog: u64,
    /// Messages that were settled, in `console-page`.
    pub stored: u64,
    /// Integrations that are loaded, in `growth-integrations` and `console-page`, and those of them that are busy.
    pub integrations: usize,
    pub busy: usize,
    /// Plugins that are loaded, in `start-plugins`.
    pub plugins: usize,
    /// Calls in a fresh sandbox, in `sandbox-call`.
    pub calls: u32,
}

impl Size {
    /// What is published.
    pub const FULL: Self = Self {
        lasts: Duration::from_secs(5),
        warm_up: Duration::from_secs(2),
        rounds: 5,
        waiting: 1_000_000,
        backlog: 20_000,
        stored: 1_000_000,
        integrations: 1_000,
        busy: 10,
        plugins: 100,
        calls: 20_000,
    };
    /// Only shows that everything runs.
    pub const QUICK: Self = Self {
        lasts: Duration::from_millis(300),
        warm_up: Duration::from_millis(100),
        rounds: 1,
        waiting: 2_000,
        backlog: 200,
        stored: 2_000,
        integrations: 12,
        busy: 3,
        plugins: 4,
        calls: 200,
    };
}

fn seconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

/// What was sent in all rounds, and what became of it.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Totals {
    pub accepted: u64,
    /// Accepted, and not delivered.
    pub lost: u64,
    /// Delivered more than once.
    pub doubled: u64,
}

/// What every measurement has around it.
pub struct Room<'a> {
    pub target: Target,
    /// Everything that is written is written here.
    pub folder: &'a Path,
    /// The project's folder: its example and its plugins.
    pub project: &'a Path,
    pub size: &'a Size,
    say: &'a dyn Fn(&str),
    plugins: OnceCell<Plugins>,
    totals: Cell<Totals>,
}

impl<'a> Room<'a> {
    pub async fn open(project: &'a Path, folder: &'a Path, size: &'a Size, say: &'a dyn Fn(&str)) -> Result<Self, Problem> {
        let target = Target::start(None).await?;
        Ok(Self { target, folder, project, size, say, plugins: OnceCell::new(), totals: Cell::default() })
    }

    /// Tells what is being done.
    pub fn say(&self, text: impl AsRef<str>) {
        (self.say)(text.as_ref());
    }

    /// The plugins of the example, built when they are first needed.
    pub fn plugins(&self) -> Result<&Plugins, Problem> {
        if let Some(plugins) = self.plugins.get() {
            return Ok(plugins);
        }
        self.say("building the plugins");
        let built = Plugins::build(&self.project.join("plugins"))?;
        Ok(self.plugins.get_or_init(|| built))
    }

    /// A workspace with `flows`, in a folder `name` of its own.
    pub fn workspace(&self, name: &str, flows: &[Flow]) -> Result<PathBuf, Problem> {
        self.workspace_beside(name, flows, free_address()?)
    }

    /// The same, where those that do not go to the target go to `other`.
    fn workspace_beside(&self, name: &str, flows: &[Flow], other: SocketAddr) -> Result<PathBuf, Problem> {
        let folder = self.folder.join(name);
        let example = self.project.join(workspace::EXAMPLE);
        workspace::write(&example, self.plugins()?, &folder, [self.target.address, other], flows)?;
        Ok(folder)
    }

    /// Lockgate on a workspace with `flows`.
    pub async fn lockgate(&self, name: &str, flows: &[Flow]) -> Result<Bout, Problem> {
        self.lockgate_beside(name, flows, free_address()?).await
    }

    /// The same, where those that do not go to the target go to `other`.
    pub async fn lockgate_beside(&self, name: &str, flows: &[Flow], other: SocketAddr) -> Result<Bout, Problem> {
        let folder = self.workspace_beside(name, flows, other)?;
        let busy = flows.iter().filter(|flow| flow.is_busy()).count();
        Bout::new(Subject::lockgate(&folder).await?, busy)
    }

    /// The floor.
    pub async fn floor(&self) -> Result<Bout, Problem> {
        Bout::new(Subject::floor(self.folder, self.target.address, workspace::CONCURRENCY).await?, 1)
    }

    /// Counts a round; one in which something was lost or doubled is said.
    pub fn count(&self, round: &Round) {
        let mut totals = self.totals.get();
        totals.accepted += round.messages;
        totals.lost += round.lost;
        totals.doubled += round.doubled;
        self.totals.set(totals);
        if round.lost + round.doubled > 0 {
            self.say(format!("of {} messages {} were lost and {} delivered twice", round.messages, round.lost, round.doubled));
        }
    }

    pub fn totals(&self) -> Totals {
        self.totals.get()
    }
}

/// An address that nobody listens on now.
pub fn free_address() -> Result<SocketAddr, Problem> {
    let found = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    found.map_err(|error| Problem::new(Code::BenchFailed, format!("no free port: {error}")).fix("close what holds so many ports open"))
}
