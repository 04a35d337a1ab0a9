//! `lockgate compile-plugin`: compiling as a process of its own. Hidden: a host starts it.

use std::process::ExitCode;

use clap::Args;

use crate::plugin::compile::child::{self, Task, Work};

/// Compile the component on standard input, under limits
#[derive(Debug, Args)]
pub struct CompilePlugin {
    /// Bytes of memory it may use
    #[arg(long, value_name = "BYTES")]
    memory: u64,
    /// Seconds of CPU time it may use
    #[arg(long, value_name = "SECONDS")]
    cpu: u64,
    /// Only say whether it is valid
    #[arg(long)]
    validate: bool,
    /// Have its `setup` read the configuration of so many bytes that stands before it, and give back what it is then
    #[arg(long, value_name = "BYTES", conflicts_with = "validate")]
    set_up: Option<usize>,
}

impl CompilePlugin {
    pub fn run(&self) -> ExitCode {
        let work = match self.set_up {
            Some(bytes) => Work::SetUp(bytes),
            None if self.validate => Work::Validate,
            None => Work::Compile,
        };
        ExitCode::from(child::run(Task { memory_bytes: self.memory, cpu_s: self.cpu, work }))
    }
}
