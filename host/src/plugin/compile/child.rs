//! The child's side: limits first, then the component from standard input, then its code on standard output.
//!
//! Runs in a process that has nothing else: no runtime, no files, no environment. What it compiles it does not run, but for a `setup`,
//! which is what that child is there for (`setup`).

use std::io::{Read, Write};

use rustix::process::{Resource, Rlimit, setrlimit};
use wasmtime::Engine;

use super::{CANNOT_BE_KEPT, DOES_NOT_COMPILE, DOES_NOT_TAKE_CONFIG, SetUp, setup};
use crate::plugin::component::{COMPONENT_BYTES_MAX, validate};
use crate::plugin::engine::compiling;

/// Files it may have open: its pipes, and what its threads ask the system for.
const FILES_MAX: u64 = 32;

/// What it may use, and what it is to do.
#[derive(Clone, Copy, Debug)]
pub struct Task {
    pub memory_bytes: u64,
    pub cpu_s: u64,
    pub work: Work,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    Compile,
    /// To say whether the component is valid, and no more.
    Validate,
    /// To have its `setup` read the configuration that stands before it, which has so many bytes.
    SetUp(usize),
}

/// Compiles or validates one component. The exit status.
pub fn run(task: Task) -> u8 {
    match confine(task).and_then(|()| work(task)) {
        Ok(status) => status,
        Err(why) => {
            // Where it cannot be written there is nobody to tell.
            drop(writeln!(std::io::stderr(), "{why}"));
            1
        }
    }
}

/// Before a byte of the component is read: nothing that comes behind takes a limit back.
fn confine(limits: Task) -> std::io::Result<()> {
    let bounds = [
        // What is written to and not shared: heap and stacks. Of its addresses a compiler uses more than of its memory.
        (Resource::Data, limits.memory_bytes, limits.memory_bytes),
        (Resource::Cpu, limits.cpu_s, limits.cpu_s.saturating_add(1)),
        (Resource::Core, 0, 0),
        (Resource::Fsize, 0, 0),
        (Resource::Nofile, FILES_MAX, FILES_MAX),
    ];
    for (resource, current, maximum) in bounds {
        setrlimit(resource, Rlimit { current: Some(current), maximum: Some(maximum) })?;
    }
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, Signal, set_dumpable_behavior, set_parent_process_death_signal};
        set_parent_process_death_signal(Some(Signal::KILL))?;
        set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    }
    Ok(())
}

fn work(task: Task) -> std::io::Result<u8> {
    let mut stdin = std::io::stdin().lock();
    let mut config = String::new();
    if let Work::SetUp(bytes) = task.work {
        stdin.by_ref().take(bytes as u64).read_to_string(&mut config)?;
    }
    let mut component = Vec::new();
    stdin.take(COMPONENT_BYTES_MAX as u64 + 1).read_to_end(&mut component)?;
    if component.len() > COMPONENT_BYTES_MAX {
        return Err(std::io::Error::other(format!("more than {COMPONENT_BYTES_MAX} bytes")));
    }
    let does_not = |why: String| (why.into_bytes(), DOES_NOT_COMPILE);
    let (said, status) = match task.work {
        Work::Validate => validate(&component).map_or_else(does_not, |()| (Vec::new(), 0)),
        Work::Compile => compile(&compiling().map_err(std::io::Error::other)?, &component).map_or_else(does_not, |code| (code, 0)),
        Work::SetUp(_) => match setup::set_up(&component, &config) {
            Ok(SetUp::Kept(component)) => (component, 0),
            Ok(SetUp::EachCall(why)) => (why.into_bytes(), CANNOT_BE_KEPT),
            Err(why) => (why.into_bytes(), DOES_NOT_TAKE_CONFIG),
        },
    };
    let mut out = std::io::stdout().lock();
    out.write_all(&said)?;
    out.flush()?;
    Ok(status)
}

/// The one place where Cranelift is let loose on a component.
#[expect(clippy::disallowed_methods, reason = "this is what the child is for")]
pub(super) fn compile(engine: &Engine, component: &[u8]) -> Result<Vec<u8>, String> {
    engine.precompile_component(component).map_err(|why| format!("{why:#}"))
}
