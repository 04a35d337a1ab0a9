//! The benchmark: what `docs/performance.md` says is measured, against what, in one run on one machine.
//!
//! Processes: what is measured is a child of its own (Lockgate as `run` runs it, or the floor); load generator and target are this process, on
//! one thread. `orders`, `wire`, `load` and `target` are those; `subject` the children; `round` what happens between them; a file for each
//! row. Uses the host only as its users do, but for rows about a part of it. Real time is the point here, so nothing of it runs in a simulation.

mod cpu;
mod end_to_end;
pub mod figures;
mod load;
mod orders;
mod round;
mod stopwatch;
mod subject;
mod target;
mod wire;
mod workspace;

use std::path::Path;
use std::time::Duration;

pub use figures::Row;
pub use subject::{FLOOR_COMMAND, SECRET_VARIABLE};
pub use workspace::EXAMPLE;

use crate::problem::{Code, Problem};
use end_to_end::Ring;
use target::Target;

/// What is to be measured, and how long.
#[derive(Clone, Debug)]
pub struct Plan {
    /// One round's load.
    pub lasts: Duration,
    pub rounds: usize,
    pub warm_up: Duration,
}

/// Measures, in `folder`, telling what it is at. Blocks; to be called on a thread of its own.
pub fn run(plan: &Plan, example: &Path, folder: &Path, say: &dyn Fn(&str)) -> Result<Vec<Row>, Problem> {
    let internal = |error: std::io::Error| Problem::new(Code::Internal, format!("no runtime: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(internal)?;
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let target = Target::start(None).await?;
        let mut ring = Ring::start(example, folder, &target, plan.warm_up, say).await?;
        let (row, ..) = end_to_end::measure(&mut ring, &target, plan.rounds, plan.lasts, say).await?;
        Ok(vec![row])
    })
}
