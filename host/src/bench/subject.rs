//! What is measured, as a process of its own: [`Subject`], which is Lockgate itself or the floor.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::child::Guarded;
use super::cpu;
use super::wire::Wire;
use super::workspace::ENVIRONMENT;
use crate::app::running;
use crate::problem::{Code, Problem};

/// What orders are signed with.
pub const SECRET: &str = "bench-secret";
/// Where it is handed to a child.
pub const SECRET_VARIABLE: &str = "SHOP_SECRET";
/// The hidden command that runs the floor.
pub const FLOOR_COMMAND: &str = "bench-floor";

/// A running child.
#[derive(Debug)]
pub struct Subject {
    pub name: &'static str,
    pub ingress: SocketAddr,
    settled: SettledAt,
    child: Guarded,
}

/// Where it tells how many messages it has settled.
#[derive(Clone, Copy, Debug)]
enum SettledAt {
    /// Lockgate's metrics.
    Metrics(SocketAddr),
    /// The floor's listener.
    Count(SocketAddr),
}

impl Subject {
    /// `lockgate run` on `workspace`, with its data folder there.
    pub async fn lockgate(workspace: &Path) -> Result<Self, Problem> {
        let free = SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, 0));
        let mut child = run(workspace, free)?;
        let data = workspace.join("data");
        let running = child.ready(async || running::read(&data)).await?;
        let (ingress, admin) = (address(&running.ingress)?, address(&running.admin)?);
        Ok(Self { name: "lockgate", ingress, settled: SettledAt::Metrics(admin), child })
    }

    /// The floor, with its database in `folder`.
    pub async fn floor(folder: &Path, target: SocketAddr, concurrency: usize) -> Result<Self, Problem> {
        let (data, address) = (folder.join("floor"), folder.join("floor.address"));
        let arguments = |command: &mut std::process::Command| {
            command.arg(FLOOR_COMMAND).arg("--data").arg(&data).arg("--address-file").arg(&address);
            command.args(["--target", &target.to_string(), "--concurrency", &concurrency.to_string()]);
        };
        let mut child = Guarded::start("the floor", arguments, &folder.join("floor.log"))?;
        let ingress = child.ready(async || std::fs::read_to_string(&address).ok()?.trim().parse().ok()).await?;
        Ok(Self { name: "floor", ingress, settled: SettledAt::Count(ingress), child })
    }

    /// Processor time its process has used so far.
    pub fn cpu(&self) -> Duration {
        cpu::of_process(self.child.pid())
    }

    /// Memory of its process that is in use.
    pub fn resident_bytes(&self) -> u64 {
        cpu::resident_bytes(self.child.pid())
    }

    /// Its figures, as Prometheus reads them. Nothing of the floor.
    pub async fn metrics(&self) -> Result<String, Problem> {
        match self.settled {
            SettledAt::Count(_) => Ok(String::new()),
            SettledAt::Metrics(at) => Wire::get(at, "/metrics").await.ok_or_else(|| self.is_silent()),
        }
    }

    fn is_silent(&self) -> Problem {
        Problem::new(Code::BenchFailed, format!("{} does not answer any more", self.name)).fix("run it again; if it stays so, report it")
    }

    /// Messages it has settled so far.
    pub async fn settled(&self) -> Result<u64, Problem> {
        let told = match self.settled {
            SettledAt::Count(at) => Wire::get(at, "/settled").await.and_then(|text| text.trim().parse().ok()),
            SettledAt::Metrics(at) => Wire::get(at, "/metrics").await.and_then(|text| delivered(&text)),
        };
        told.ok_or_else(|| self.is_silent())
    }
}

/// `lockgate run` on `workspace`, which has its data folder in it, listening on `ingress`.
pub fn run(workspace: &Path, ingress: SocketAddr) -> Result<Guarded, Problem> {
    let arguments = |command: &mut std::process::Command| {
        command.arg("run").arg(workspace).args(["--env", ENVIRONMENT, "--ingress", &ingress.to_string(), "--admin", "127.0.0.1:0"]);
    };
    Guarded::start("lockgate", arguments, &workspace.join("host.log"))
}

/// The sum over all integrations.
fn delivered(metrics: &str) -> Option<u64> {
    let lines = metrics.lines().filter(|line| line.starts_with("lockgate_messages_delivered_total"));
    lines.map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

/// Where a host says that it listens.
pub fn address(url: &str) -> Result<SocketAddr, Problem> {
    let address = url.trim_start_matches("http://").parse();
    address.map_err(|_| Problem::new(Code::BenchFailed, format!("the host says that it listens on {url}")).fix("report this"))
}
