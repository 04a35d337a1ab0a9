//! `end-to-end`: messages a second from the first request to the last settlement, Lockgate against the floor, in turns.

use std::path::Path;
use std::time::Duration;

use super::figures::{Row, median, ratio_row};
use super::load::Pace;
use super::round::{Bout, Round, WINDOW};
use super::subject::Subject;
use super::target::Target;
use super::workspace;
use crate::problem::Problem;

/// Deliveries under way at once, for both.
pub const CONCURRENCY: usize = 64;
/// The least part of the floor's throughput.
const GOAL: f64 = 0.70;

/// Both subjects, warm.
pub struct Ring {
    pub lockgate: Bout,
    pub floor: Bout,
}

impl Ring {
    /// Starts both in `folder` and lets them run for a while.
    pub async fn start(example: &Path, folder: &Path, target: &Target, warm_up: Duration, say: &dyn Fn(&str)) -> Result<Self, Problem> {
        let home = folder.join("workspace");
        workspace::write(example, &home, target.address, CONCURRENCY)?;
        say("starting Lockgate and the floor");
        let lockgate = Subject::lockgate(&home, workspace::ENVIRONMENT, &folder.join("lockgate-data")).await?;
        let floor = Subject::floor(&folder.join("floor-data"), target.address, CONCURRENCY).await?;
        let mut ring = Self { lockgate: Bout::new(lockgate)?, floor: Bout::new(floor)? };
        say("warming up");
        for bout in [&mut ring.floor, &mut ring.lockgate] {
            bout.round(target, Pace::Closed { window: WINDOW }, warm_up).await?;
        }
        Ok(ring)
    }
}

/// `rounds` of each, in turns. Gives the row, and the median rates of Lockgate and the floor.
pub async fn measure(
    ring: &mut Ring,
    target: &Target,
    rounds: usize,
    lasts: Duration,
    say: &dyn Fn(&str),
) -> Result<(Row, f64, f64), Problem> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        for (bout, all) in [(&mut ring.floor, &mut theirs), (&mut ring.lockgate, &mut ours)] {
            let done = bout.round(target, Pace::Closed { window: WINDOW }, lasts).await?;
            say(&format!("end-to-end {round}/{rounds}: {}", told(bout.subject.name, &done)));
            all.push(done);
        }
    }
    let rate = |rounds: &[Round]| median(rounds.iter().map(Round::rate));
    let (ours, theirs) = (rate(&ours), rate(&theirs));
    Ok((ratio_row("end-to-end", "msg/s", ours, theirs, GOAL), ours, theirs))
}

fn told(name: &str, round: &Round) -> String {
    let own = round.own_cpu.as_secs_f64() * 1e6 / round.messages.max(1) as f64;
    format!(
        "{name:<8} {:>7.0} msg/s, {:>5.1} µs of processor time a message (load generator and target {own:.1}), ack p50 {:.2} ms, lost {}, doubled {}",
        round.rate(),
        round.cpu_us(),
        super::figures::quantile(&round.latencies_us, 0.5) / 1000.0,
        round.lost,
        round.doubled
    )
}
