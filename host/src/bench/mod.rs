//! The benchmark: what `docs/performance.md` says is measured, against what, in one run on one machine.
//!
//! What is measured is a child process of its own (Lockgate as `run` runs it, or the floor); load generator and target are this process, on
//! one thread. `orders`, `wire`, `load` and `target` are those; `subject` the children; `round` what happens between them, in a `room`; a file
//! for each group of rows. Uses the host as its users do, but for rows about a part of it. Real time is the point, so nothing of it runs in a
//! simulation.

mod accepts;
pub mod chart;
mod child;
mod console;
mod cpu;
mod deploying;
mod end_to_end;
pub mod figures;
#[cfg(test)]
mod floor_tests;
mod growth;
mod languages;
mod load;
mod machine;
mod neighbour;
mod orders;
mod past;
mod plugins;
mod recording;
mod report;
mod room;
mod round;
mod sandbox;
pub mod standalone;
mod start;
mod stopwatch;
mod store;
mod subject;
mod switching;
mod target;
mod wire;
mod workspace;

pub use sandbox::sandbox_of;

use std::collections::BTreeSet;
use std::future::Future;
use std::path::PathBuf;

use tokio_util::sync::CancellationToken;

pub use figures::Row;
pub use languages::copy_example;
pub use machine::file_system;
pub use report::Report;
pub use room::{Size, Totals};
pub use subject::{FLOOR_COMMAND, SECRET_VARIABLE};
pub use workspace::EXAMPLE;

use crate::problem::{Code, Problem};
use end_to_end::Pair;
use room::Room;

/// The rows there are, in their order.
pub const ROWS: [&str; 21] = [
    "end-to-end",
    "intake-p50",
    "intake-p99",
    "store-accept",
    "sandbox-call",
    "sandbox-over-reused",
    "sandbox-limits",
    "language-js",
    "language-python",
    "growth-waiting",
    "growth-integrations",
    "growth-memory",
    "neighbour-p99",
    "drain",
    "switching-p99",
    "deploy-first-message",
    "recording",
    "rehearsal",
    "console-page",
    "start-plugins",
    "start-first-message",
];

/// What is to be measured, and where.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Names of [`ROWS`].
    pub rows: BTreeSet<String>,
    pub size: Size,
    /// The project's folder: its example and its plugins.
    pub project: PathBuf,
    /// Everything that is written is written here; on the disk that is meant.
    pub folder: PathBuf,
}

/// Measures, telling what it is at. None if it was stopped. Blocks; to be called on a thread of its own.
pub fn run(plan: &Plan, stop: &CancellationToken, say: &dyn Fn(&str)) -> Result<Option<Report>, Problem> {
    on_this_thread(stop, measure(plan, say))
}

/// Runs `work`, with children and tasks of its own, until it is done or stopped. What it started ends with it.
fn on_this_thread<T>(stop: &CancellationToken, work: impl Future<Output = Result<T, Problem>>) -> Result<Option<T>, Problem> {
    let internal = |error: std::io::Error| Problem::new(Code::Internal, format!("no runtime: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(internal)?;
    tokio::task::LocalSet::new().block_on(&runtime, stop.run_until_cancelled(work)).transpose()
}

async fn measure(plan: &Plan, say: &dyn Fn(&str)) -> Result<Report, Problem> {
    let room = Room::open(&plan.project, &plan.folder, &plan.size, say).await?;
    let wants = |names: &[&str]| names.iter().any(|name| plan.rows.contains(*name));
    let mut rows = Vec::new();
    if wants(&["end-to-end", "intake-p50", "intake-p99"]) {
        let mut pair = Pair::start(&room).await?;
        if wants(&["end-to-end"]) {
            rows.push(pair.throughput(&room).await?);
        }
        if wants(&["intake-p50", "intake-p99"]) {
            rows.extend(pair.intake(&room).await?);
        }
    }
    if wants(&["store-accept"]) {
        rows.push(store::accept(&room).await?);
    }
    if wants(&["sandbox-call", "sandbox-over-reused", "sandbox-limits"]) {
        rows.extend(sandbox::measure(&room).await?);
    }
    if wants(&["language-js", "language-python"]) {
        rows.extend(languages::measure(&room, |row| wants(&[row])).await?);
    }
    if wants(&["growth-waiting"]) {
        rows.push(growth::waiting(&room).await?);
    }
    if wants(&["growth-integrations", "growth-memory"]) {
        rows.extend(growth::integrations(&room).await?);
    }
    if wants(&["neighbour-p99"]) {
        rows.push(neighbour::p99(&room).await?);
    }
    if wants(&["drain"]) {
        rows.push(neighbour::drain(&room).await?);
    }
    if wants(&["switching-p99"]) {
        rows.push(switching::p99(&room).await?);
    }
    if wants(&["deploy-first-message"]) {
        rows.push(deploying::first_message(&room).await?);
    }
    if wants(&["recording", "rehearsal"]) {
        rows.extend(recording::measure(&room).await?);
    }
    if wants(&["console-page"]) {
        rows.push(console::page(&room).await?);
    }
    if wants(&["start-plugins", "start-first-message"]) {
        rows.extend(start::measure(&room).await?);
    }
    rows.retain(|row| plan.rows.contains(row.name));
    Ok(Report::of(rows, room.totals(), plan.size, &plan.project, &plan.folder))
}
