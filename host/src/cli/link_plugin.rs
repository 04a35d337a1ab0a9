//! `lockgate link-plugin`: linking a plugin with its language's engine as a process of its own. Hidden: a build starts it.

use std::process::ExitCode;

use clap::Args;

use crate::plugin::build::link::run;

/// Link a plugin with its language's engine, under limits
#[derive(Debug, Args)]
pub struct LinkPlugin {
    /// What is linked with what, as JSON
    task: String,
}

impl LinkPlugin {
    pub fn run(&self) -> ExitCode {
        ExitCode::from(run(&self.task))
    }
}
