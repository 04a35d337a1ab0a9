//! Child processes that do not outlive whoever started them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::stopwatch;
use super::subject::{SECRET, SECRET_VARIABLE};
use crate::problem::{Code, Problem};

const LOOK_AGAIN: Duration = Duration::from_millis(1);
/// How long a start may take: the first one compiles plugins.
const READY_WITHIN: Duration = Duration::from_secs(120);
/// How long an end may take.
const ENDED_WITHIN: Duration = Duration::from_secs(30);
/// How long a command may take.
const DONE_WITHIN: Duration = Duration::from_secs(600);
/// Of its log, in an error.
const LOG_LINES: usize = 8;

/// A child, killed when dropped.
#[derive(Debug)]
pub struct Guarded {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Guarded {
    /// Starts `lockgate` with `arguments`, its output in the file `log`. Its standard input ends with this process.
    pub fn start(name: &'static str, arguments: impl FnOnce(&mut Command), log: &Path) -> Result<Self, Problem> {
        let failed = |error: std::io::Error| problem(format!("{name} cannot be started: {error}"));
        let file = File::create(log).map_err(failed)?;
        let mut command = Command::new(std::env::current_exe().map_err(failed)?);
        for variable in ["LOCKGATE_HOST", "LOCKGATE_TOKEN", "LOCKGATE_LOG"] {
            command.env_remove(variable);
        }
        arguments(command.env(SECRET_VARIABLE, SECRET));
        let stderr = file.try_clone().map_err(failed)?;
        let child = command.stdin(Stdio::piped()).stdout(file).stderr(stderr).spawn().map_err(failed)?;
        Ok(Self { name, child, log: log.to_owned() })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `look` finds something.
    pub async fn ready<T>(&mut self, mut look: impl AsyncFnMut() -> Option<T>) -> Result<T, Problem> {
        let until = stopwatch::now() + READY_WITHIN;
        while stopwatch::now() < until {
            if let Some(found) = look().await {
                return Ok(found);
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(problem(format!("{} ended at its start with {status}:\n{}", self.name, self.tail())));
            }
            stopwatch::sleep(LOOK_AGAIN).await;
        }
        Err(problem(format!("{} was not ready within {} s:\n{}", self.name, READY_WITHIN.as_secs(), self.tail())))
    }

    /// Asks it to end, and waits.
    pub async fn end(mut self) -> Result<(), Problem> {
        // It may have ended by itself.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let until = stopwatch::now() + ENDED_WITHIN;
        while stopwatch::now() < until {
            if let Ok(Some(_)) = self.child.try_wait() {
                return Ok(());
            }
            stopwatch::sleep(LOOK_AGAIN).await;
        }
        Err(problem(format!("{} did not end within {} s:\n{}", self.name, ENDED_WITHIN.as_secs(), self.tail())))
    }

    /// Waits until it has done what it was started for.
    pub async fn done(mut self) -> Result<(), Problem> {
        let until = stopwatch::now() + DONE_WITHIN;
        while stopwatch::now() < until {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(problem(format!("{} ended with {status}:\n{}", self.name, self.tail()))),
                _ => stopwatch::sleep(LOOK_AGAIN).await,
            }
        }
        Err(problem(format!("{} was not done within {} s:\n{}", self.name, DONE_WITHIN.as_secs(), self.tail())))
    }

    fn tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines.get(lines.len().saturating_sub(LOG_LINES)..).unwrap_or_default().join("\n")
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn problem(message: String) -> Problem {
    Problem::new(Code::BenchFailed, message).fix("look whether the machine is out of disk, memory or ports, and run it again")
}
