//! The child's side: limits first, then the component from standard input, then its code on standard output.
//!
//! Runs in a process that has nothing else: no runtime, no files, no environment. It never runs what it compiles.

use std::io::{Read, Write};

use rustix::process::{Resource, Rlimit, setrlimit};
use wasmtime::Engine;

use super::DOES_NOT_COMPILE;
use crate::plugin::component::{COMPONENT_BYTES_MAX, validate};
use crate::plugin::engine::compiling;

/// Files it may have open: its pipes, and what its threads ask the system for.
const FILES_MAX: u64 = 32;

/// What it may use, and what it is to do.
#[derive(Clone, Copy, Debug)]
pub struct Task {
    pub memory_bytes: u64,
    pub cpu_s: u64,
    /// To say whether the component is valid, and no more.
    pub validate: bool,
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
    let mut component = Vec::new();
    std::io::stdin().lock().take(COMPONENT_BYTES_MAX as u64 + 1).read_to_end(&mut component)?;
    if component.len() > COMPONENT_BYTES_MAX {
        return Err(std::io::Error::other(format!("more than {COMPONENT_BYTES_MAX} bytes")));
    }
    let done = if task.validate {
        validate(&component).map(|()| Vec::new())
    } else {
        compile(&compiling().map_err(std::io::Error::other)?, &component)
    };
    let (said, status) = match done {
        Ok(code) => (code, 0),
        Err(why) => (why.into_bytes(), DOES_NOT_COMPILE),
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
