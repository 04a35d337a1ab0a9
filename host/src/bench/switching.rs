//! `switching-p99`: how long messages take while releases are switched every second, against the same load without.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use super::child::Guarded;
use super::figures::{Row, median, quantile_ms};
use super::load::Pace;
use super::room::Room;
use super::round::{FULL_SPEED, Round};
use super::stopwatch;
use super::workspace::Flow;
use crate::problem::{Code, Problem};

/// The most that switching may cost.
const GOAL: f64 = 1.5;
/// Orders a second: less than a machine can do, so that no queue is measured.
const CALM_PER_SECOND: f64 = 400.0;
const BETWEEN_SWITCHES: Duration = Duration::from_secs(1);

/// The row.
pub async fn p99(room: &Room<'_>) -> Result<Row, Problem> {
    let flow = Flow::example();
    let mut bout = room.lockgate("switching", std::slice::from_ref(&flow)).await?;
    bout.round(room, FULL_SPEED, room.size.warm_up).await?;
    let workspace = room.folder.join("switching");
    let deployed = deploy_another(&workspace, &flow.name).await?;
    let pace = Pace::Open { per_second: CALM_PER_SECOND };
    let (mut quiet, mut switching, mut switches) = (Vec::new(), Vec::new(), 0);
    for number in 1..=room.size.rounds {
        quiet.push(bout.round(room, pace, room.size.lasts).await?);
        let back_and_forth = BackAndForth::start(workspace.clone(), flow.name.clone());
        let round = bout.round(room, pace, room.size.lasts).await;
        let done = back_and_forth.end().await?;
        switching.push(round?);
        switches += done;
        room.say(format!("switching, round {number} of {}: {done} switches", room.size.rounds));
    }
    let at = |rounds: &[Round], q| median(rounds.iter().map(|round| quantile_ms(&round.delivered_us, q)));
    let note = format!(
        "from when an order was to be sent to its arrival at the target, at {CALM_PER_SECOND:.0} msg/s; {switches} switches by `lockgate rollback`, one a second; \
         p50 {:.1} ms, without {:.1} ms; none was refused or failed; a `lockgate deploy` whose plugins were compiled before took {:.0} ms",
        at(&switching, 0.5),
        at(&quiet, 0.5),
        deployed.as_secs_f64() * 1e3
    );
    Ok(Row::at_most("switching-p99", "ms", [at(&switching, 0.99), at(&quiet, 0.99)], GOAL, note))
}

/// A second release to go back and forth with; how long it took until it was active.
async fn deploy_another(workspace: &Path, name: &str) -> Result<Duration, Problem> {
    let file = workspace.join("integrations").join(format!("{name}.toml"));
    let written = std::fs::read_to_string(&file).and_then(|text| std::fs::write(&file, format!("{text}\n# The same in everything.\n")));
    written.map_err(|error| Problem::new(Code::BenchFailed, format!("{}: {error}", file.display())).fix("run it again"))?;
    let started = stopwatch::now();
    command(workspace, &["deploy"])?.done().await?;
    Ok(stopwatch::now().saturating_duration_since(started))
}

pub(super) fn command(workspace: &Path, arguments: &[&str]) -> Result<Guarded, Problem> {
    let arguments = |command: &mut Command| {
        command.arg("-C").arg(workspace).args(arguments);
    };
    Guarded::start("a switch", arguments, &workspace.join("switch.log"))
}

/// Switches until it is told to end.
struct BackAndForth {
    goes_on: Rc<Cell<bool>>,
    switches: tokio::task::JoinHandle<Result<usize, Problem>>,
}

impl BackAndForth {
    fn start(workspace: PathBuf, name: String) -> Self {
        let goes_on = Rc::new(Cell::new(true));
        let switches = tokio::task::spawn_local({
            let goes_on = goes_on.clone();
            async move {
                let mut done = 0;
                while goes_on.get() {
                    command(&workspace, &["rollback", &name])?.done().await?;
                    done += 1;
                    stopwatch::sleep(BETWEEN_SWITCHES).await;
                }
                Ok(done)
            }
        });
        Self { goes_on, switches }
    }

    /// How many there were.
    async fn end(self) -> Result<usize, Problem> {
        self.goes_on.set(false);
        let internal = |stopped: tokio::task::JoinError| Problem::new(Code::Internal, stopped.to_string()).fix("report this");
        self.switches.await.map_err(internal)?
    }
}
