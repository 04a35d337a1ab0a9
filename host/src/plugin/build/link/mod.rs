//! Linking: what a plugin was made into becomes one component with its language's engine. The plugin's module is run once for that, with
//! nothing within reach but its own files, and may loop; so it is done in a process of its own, under limits.
//!
//! [`link`] is the parent's side, [`run`] the child's. What is linked is kept: it takes seconds, and follows from what goes in alone.

mod javascript;
mod python;
mod tree;

use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, Signal, setrlimit};
use serde::{Deserialize, Serialize};

pub use javascript::JavaScriptTask;
pub use python::PythonTask;
use tree::tree;

use super::follow::{Ended, follow};
use super::kept::{Key, Work};
use super::told::Told;
use super::{Event, Progress};

/// The hidden command that is the child.
const COMMAND: &str = "link-plugin";
/// Several times what an engine alone takes, and what a module may take to start.
const CPU_S_MAX: u64 = 300;
/// For a module that waits for something; on a machine that has a lot to do.
const WALL_MAX: Duration = Duration::from_secs(1_200);
/// What a child says is read up to this length.
const SAID_BYTES_MAX: u64 = 1 << 20;
/// The exit status of a child whose time is over.
const LATE: i32 = 3;
/// What to do about a module that does not end.
const LEAVE_TO_THE_CALL: &str = "a module is run once, when the component is built: leave to the call what takes long";

/// What is linked with what.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    JavaScript(JavaScriptTask),
    Python(PythonTask),
}

/// Why it is not linked.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    Told(Box<Told>),
    /// In the words of a JavaScript engine, with places in the bundle.
    Engine(String),
}

impl From<Told> for Why {
    fn from(told: Told) -> Self {
        Self::Told(Box::new(told))
    }
}

impl Task {
    /// Files and folders it is made of, with those of the engine.
    fn sources(&self) -> Vec<&Path> {
        match self {
            Self::JavaScript(task) => task.sources(),
            Self::Python(task) => task.sources(),
        }
    }

    /// Where everything is put that is made.
    fn work(&self, out: &Path) -> Result<(), Why> {
        match self {
            Self::JavaScript(task) => task.link(out),
            Self::Python(task) => task.link(out),
        }
    }
}

fn unusable(path: &Path, error: &std::io::Error) -> Why {
    Told::of(format!("{}: {error}", path.display())).into()
}

/// The component of `task`, in a file below `work`: linked by a child, unless the latest one was of the same.
///
/// # Errors
/// What the plugin or its engine says.
pub fn linked(task: &Task, work: &Work, plugin: &str, progress: &Progress<'_>) -> Result<PathBuf, Why> {
    let unusable = |error: std::io::Error| unusable(&work.folder, &error);
    let key = key(task).map_err(unusable)?;
    if !work.component(&key).is_file() {
        progress(Event::Step { plugin, step: "linking it with its engine" });
        let out = work.folder.join("component.partial");
        by_child(task, &out, plugin, progress)?;
        work.keep(&key, &out).map_err(unusable)?;
    }
    Ok(work.component(&key))
}

/// What a component follows from, and who makes it.
fn key(task: &Task) -> std::io::Result<Key> {
    let this = std::env::current_exe()?.metadata()?;
    let mut parts = vec![serde_json::to_vec(task)?, format!("{} {:?}", this.len(), this.modified()?).into_bytes()];
    for source in task.sources() {
        for (name, content) in tree(source)? {
            parts.extend([name.into_bytes(), content]);
        }
    }
    Ok(parts.into_iter().collect())
}

fn by_child(task: &Task, out: &Path, plugin: &str, progress: &Progress<'_>) -> Result<(), Why> {
    let not_started = |error: std::io::Error| Why::from(Told::of(format!("linking cannot be started: {error}")));
    let task = serde_json::to_string(&(task, out)).map_err(|error| not_started(error.into()))?;
    let mut command = Command::new(std::env::current_exe().map_err(not_started)?);
    // Nothing of the machine's own is in its environment.
    command.args([COMMAND, &task]).env_clear();
    let ended = follow(&mut command, plugin, progress, |stdout| {
        let mut told = Vec::new();
        // What cannot be read is nothing that it says.
        drop(stdout.take(SAID_BYTES_MAX).read_to_end(&mut told));
        serde_json::from_slice(&told).ok()
    });
    let Ended { status, output, said } = ended.map_err(not_started)?;
    let is_late = status.code() == Some(LATE) || status.signal() == Some(Signal::XCPU.as_raw());
    if status.success() {
        Ok(())
    } else if is_late {
        let told = Told::of("linking it takes too long: is there a loop, or something that waits, at the top of a module?");
        Err(told.fix(LEAVE_TO_THE_CALL).into())
    } else {
        Err(output.unwrap_or_else(|| Told::of(format!("linking it ended with {status}: {said}")).into()))
    }
}

/// The child: does `task`, and says on standard output why it cannot. The exit status.
pub fn run(task: &str) -> u8 {
    let told = |error: &dyn std::fmt::Display| Why::from(Told::of(error.to_string()));
    let done = confine()
        .map_err(|error| told(&error))
        .and_then(|()| serde_json::from_str::<(Task, PathBuf)>(task).map_err(|error| told(&error)))
        .and_then(|(task, out)| task.work(&out));
    let Err(why) = done else { return 0 };
    // Where it cannot be written there is nobody to tell.
    drop(writeln!(std::io::stdout(), "{}", serde_json::to_string(&why).unwrap_or_default()));
    1
}

/// Before anything of the plugin is read.
fn confine() -> std::io::Result<()> {
    for (resource, bound) in [(Resource::Cpu, CPU_S_MAX), (Resource::Core, 0)] {
        setrlimit(resource, Rlimit { current: Some(bound), maximum: Some(bound.saturating_add(1)) })?;
    }
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    std::thread::Builder::new().spawn(|| {
        // Nobody sends: it waits until its time is over.
        let (_open, ended) = std::sync::mpsc::channel::<()>();
        if ended.recv_timeout(WALL_MAX).is_err() {
            std::process::exit(LATE);
        }
    })?;
    Ok(())
}
