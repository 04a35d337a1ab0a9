//! `end-to-end`: messages a second from the first request to the last settlement, Lockgate against the floor. And `intake-p50` and
//! `intake-p99`: how long an acknowledgement takes at half of that.

use super::figures::{Row, median, quantile_ms};
use super::load::Pace;
use super::room::Room;
use super::round::{Bout, FULL_SPEED, Round, cpu_us, in_turns, rate};
use super::workspace::Flow;
use crate::problem::Problem;

/// The least part of the floor's throughput.
const THROUGHPUT_GOAL: f64 = 0.70;
/// The most of the floor's latency.
const LATENCY_GOAL: f64 = 1.5;
const LABELS: [&str; 2] = ["floor", "lockgate"];

/// Lockgate and the floor, warm.
pub struct Pair {
    floor: Bout,
    lockgate: Bout,
    /// What Lockgate has shown that it can do.
    maximum: f64,
}

impl Pair {
    /// Starts both and lets them run for a while.
    pub async fn start(room: &Room<'_>) -> Result<Self, Problem> {
        let mut lockgate = room.lockgate("end-to-end", &[Flow::example()]).await?;
        let mut floor = room.floor().await?;
        room.say("warming up");
        floor.round(room, FULL_SPEED, room.size.warm_up).await?;
        let maximum = lockgate.round(room, FULL_SPEED, room.size.warm_up).await?.rate();
        Ok(Self { floor, lockgate, maximum })
    }

    /// `end-to-end`.
    pub async fn throughput(&mut self, room: &Room<'_>) -> Result<Row, Problem> {
        let [floor, lockgate] = in_turns(room, "end to end", [&mut self.floor, &mut self.lockgate], LABELS, FULL_SPEED).await?;
        self.maximum = rate(&lockgate);
        let ((ours, own), (theirs, _)) = (cpu_us(&lockgate), cpu_us(&floor));
        let note = format!(
            "processor time a message {ours:.0} µs, floor {theirs:.0} µs, load generator and target {own:.0} µs; acknowledged after {:.1} ms (p50), {:.1} ms (p99)",
            latency(&lockgate, 0.5),
            latency(&lockgate, 0.99)
        );
        Ok(Row::at_least("end-to-end", "msg/s", [self.maximum, rate(&floor)], THROUGHPUT_GOAL, note))
    }

    /// `intake-p50` and `intake-p99`.
    pub async fn intake(&mut self, room: &Room<'_>) -> Result<[Row; 2], Problem> {
        let per_second = (self.maximum / 2.0).max(1.0);
        let pace = Pace::Open { per_second };
        let [floor, lockgate] = in_turns(room, "acknowledgement", [&mut self.floor, &mut self.lockgate], LABELS, pace).await?;
        let at = |q| [latency(&lockgate, q), latency(&floor, q)];
        let note = format!("both at {per_second:.0} msg/s, half of Lockgate's maximum");
        Ok([Row::stated("intake-p50", "ms", at(0.5), note.clone()), Row::at_most("intake-p99", "ms", at(0.99), LATENCY_GOAL, note)])
    }
}

/// The middle of the rounds' quantiles.
fn latency(rounds: &[Round], q: f64) -> f64 {
    median(rounds.iter().map(|round| quantile_ms(&round.latencies_us, q)))
}
