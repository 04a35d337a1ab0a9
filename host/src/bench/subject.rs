//! What is measured, as a process of its own: [`Subject`], which is Lockgate itself or the floor.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::cpu;
use super::stopwatch;
use super::wire::Wire;
use crate::app::running;
use crate::problem::{Code, Problem};

/// What orders are signed with.
pub const SECRET: &str = "bench-secret";
/// Where it is handed to a child.
pub const SECRET_VARIABLE: &str = "SHOP_SECRET";
/// The hidden command that runs the floor.
pub const FLOOR_COMMAND: &str = "bench-floor";
/// How long a start may take: the first one compiles plugins.
const READY_WITHIN: Duration = Duration::from_secs(600);
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// Of its log, in an error.
const LOG_LINES: usize = 8;

/// A child process. Killed when dropped.
#[derive(Debug)]
pub struct Subject {
    pub name: &'static str,
    pub ingress: SocketAddr,
    settled: SettledAt,
    child: Child,
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
    /// `lockgate run` on `workspace`, with `data` for its data folder.
    pub async fn lockgate(workspace: &Path, environment: &str, data: &Path) -> Result<Self, Problem> {
        let log = data.with_extension("log");
        let mut command = program()?;
        command.args(["run", "--env", environment, "--ingress", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        command.arg("--data").arg(data).arg(workspace).env(SECRET_VARIABLE, SECRET);
        let child = Reaped(Some(spawn(&mut command, &log, Stdio::null())?));
        let mut child = child;
        let running = wait_for("Lockgate", &mut child, &log, || running::read(data)).await?;
        let ingress = address(&running.ingress)?;
        let admin = address(&running.admin)?;
        Ok(Self { name: "lockgate", ingress, settled: SettledAt::Metrics(admin), child: child.take()? })
    }

    /// The floor, with its database in `data`.
    pub async fn floor(data: &Path, target: SocketAddr, concurrency: usize) -> Result<Self, Problem> {
        let log = data.with_extension("log");
        let address_file = data.with_extension("address");
        let mut command = program()?;
        command.arg(FLOOR_COMMAND).arg("--data").arg(data).arg("--address-file").arg(&address_file);
        command.args(["--target", &target.to_string(), "--concurrency", &concurrency.to_string()]).env(SECRET_VARIABLE, SECRET);
        let mut child = Reaped(Some(spawn(&mut command, &log, Stdio::piped())?));
        let read = || std::fs::read_to_string(&address_file).ok()?.trim().parse().ok();
        let ingress: SocketAddr = wait_for("the floor", &mut child, &log, read).await?;
        Ok(Self { name: "floor", ingress, settled: SettledAt::Count(ingress), child: child.take()? })
    }

    /// Processor time its process has used so far.
    pub fn cpu(&self) -> Duration {
        cpu::of_process(self.child.id())
    }

    /// Messages it has settled so far.
    pub async fn settled(&self) -> Option<u64> {
        match self.settled {
            SettledAt::Count(at) => get(at, "/settled").await?.trim().parse().ok(),
            SettledAt::Metrics(at) => {
                let metrics = get(at, "/metrics").await?;
                let lines = metrics.lines().filter(|line| line.starts_with("lockgate_messages_delivered_total"));
                lines.map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
            }
        }
    }

    /// Memory of its process that is in use, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        cpu::resident_bytes(self.child.id())
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// A child that is not a subject yet. Killed when dropped.
struct Reaped(Option<Child>);

impl Reaped {
    fn take(&mut self) -> Result<Child, Problem> {
        self.0.take().ok_or_else(|| Problem::new(Code::Internal, "a child process was taken twice"))
    }
}

impl Drop for Reaped {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            end(child);
        }
    }
}

fn end(child: &mut Child) {
    // It may have ended by itself.
    drop(child.kill());
    drop(child.wait());
}

fn program() -> Result<Command, Problem> {
    let this = std::env::current_exe().map_err(|error| failed("this program cannot be found", &error))?;
    let mut command = Command::new(this);
    for variable in ["LOCKGATE_HOST", "LOCKGATE_TOKEN", "LOCKGATE_LOG"] {
        command.env_remove(variable);
    }
    Ok(command)
}

fn spawn(command: &mut Command, log: &Path, stdin: Stdio) -> Result<Child, Problem> {
    let open = |error| failed(&format!("{} cannot be written", log.display()), &error);
    let file = File::create(log).map_err(open)?;
    let copy = file.try_clone().map_err(open)?;
    command.stdin(stdin).stdout(file).stderr(copy).spawn().map_err(|error| failed("a child process cannot be started", &error))
}

async fn wait_for<T>(name: &str, child: &mut Reaped, log: &Path, look: impl Fn() -> Option<T>) -> Result<T, Problem> {
    let until = stopwatch::now() + READY_WITHIN;
    while stopwatch::now() < until {
        if let Some(found) = look() {
            return Ok(found);
        }
        if let Some(Ok(Some(status))) = child.0.as_mut().map(Child::try_wait) {
            return Err(Problem::new(Code::Internal, format!("{name} ended at its start with {status}:\n{}", tail(log))));
        }
        stopwatch::sleep(LOOK_AGAIN).await;
    }
    Err(Problem::new(Code::Internal, format!("{name} was not ready within {READY_WITHIN:?}:\n{}", tail(log))))
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(PathBuf::from(log)).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
}

async fn get(at: SocketAddr, path: &str) -> Option<String> {
    let mut wire = Wire::connect(at).await.ok()?;
    wire.send(format!("GET {path} HTTP/1.1\r\nHost: {at}\r\n\r\n").as_bytes()).await.ok()?;
    Some(wire.receive().await.ok()??.text())
}

fn address(url: &str) -> Result<SocketAddr, Problem> {
    let address = url.trim_start_matches("http://").parse();
    address.map_err(|_| Problem::new(Code::Internal, format!("{url} is no address")))
}

fn failed(what: &str, error: &std::io::Error) -> Problem {
    Problem::new(Code::Internal, format!("{what}: {error}"))
}
