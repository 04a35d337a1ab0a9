//! `lockgate link-python`: linking a plugin in Python as a process of its own. Hidden: a build starts it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::plugin::build::python::link::{Task, run};

/// Link a stage of `lockgate_build` with the interpreter, under a limit of CPU time
#[derive(Clone, Debug, Args)]
pub struct LinkPython {
    /// The program that carries the interpreter
    #[arg(long)]
    program: PathBuf,
    /// The folder of modules
    #[arg(long)]
    app: PathBuf,
    /// The module that starts it all
    #[arg(long)]
    main: String,
    /// The world that is linked
    #[arg(long)]
    world: String,
    /// The component
    #[arg(long)]
    out: PathBuf,
    /// Folders of WIT
    worlds: Vec<PathBuf>,
}

impl LinkPython {
    pub fn run(&self) -> ExitCode {
        let Self { program, app, main, world, out, worlds } = self.clone();
        ExitCode::from(run(&Task { program, app, main, world, worlds, out }))
    }
}
