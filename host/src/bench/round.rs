//! One round: a load on a subject, until the last message is settled and accounted for.

use std::time::{Duration, Instant};

use super::cpu;
use super::figures::{median, quantile_ms};
use super::load::{Load, Loaded, Pace};
use super::orders::{Batch, Orders, Paths};
use super::room::Room;
use super::stopwatch;
use super::subject::{SECRET, Subject};
use super::workspace::PATH;
use crate::problem::{Code, Problem};

/// Connections of the load generator.
pub const CONNECTIONS: usize = 64;
/// A closed loop: what is measured is a rate that lasts, not how fast a backlog grows.
pub const FULL_SPEED: Pace = Pace::Closed { undelivered_max: 2_000 };
/// How long the last messages may take.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(2);
/// Orders that are made for a second of a closed loop: more than any host takes on two cores.
const ORDERS_PER_SECOND: f64 = 60_000.0;

/// A subject with its orders: every round has new ones.
pub struct Bout {
    pub subject: Subject,
    orders: Orders,
    next: u64,
}

/// What came of a round.
#[derive(Clone, Debug)]
pub struct Round {
    pub messages: u64,
    /// From the first request to the last settlement.
    pub took: Duration,
    pub latencies_us: Vec<u32>,
    /// From when an order was to be sent to its arrival at the target.
    pub delivered_us: Vec<u32>,
    /// Processor time of the subject.
    pub cpu: Duration,
    /// Processor time of load generator and target.
    pub own_cpu: Duration,
    pub lost: u64,
    pub doubled: u64,
}

/// How things stood before it.
struct Before {
    settled: u64,
    cpu: Duration,
    own_cpu: Duration,
}

impl Round {
    /// Messages a second, end to end.
    pub fn rate(&self) -> f64 {
        self.messages as f64 / self.took.as_secs_f64()
    }

    /// `cpu` for a message, in microseconds.
    fn a_message(&self, cpu: Duration) -> f64 {
        cpu.as_secs_f64() * 1e6 / self.messages.max(1) as f64
    }
}

impl Bout {
    /// A subject that has `flows` integrations that take orders.
    pub fn new(subject: Subject, flows: usize) -> Result<Self, Problem> {
        let paths = if flows == 1 { Paths::one(PATH) } else { Paths::many(PATH, flows) };
        let orders = Orders::new(&subject.ingress.to_string(), &paths, &[], SECRET)?;
        Ok(Self { subject, orders, next: 0 })
    }

    /// Sends orders for as long as `lasts` and waits for the last settlement.
    pub async fn round(&mut self, room: &Room<'_>, pace: Pace, lasts: Duration) -> Result<Round, Problem> {
        let batch = self.sign(pace, lasts);
        let before = self.before().await?;
        let loaded = self.send(room, &batch, pace, lasts).await?;
        self.finish(room, &before, loaded.started, loaded, SETTLED_WITHIN).await
    }

    /// The same while the target is down; it took from when the target is back.
    pub async fn backlog(&mut self, room: &Room<'_>, pace: Pace, lasts: Duration, within: Duration) -> Result<Round, Problem> {
        let batch = self.sign(pace, lasts);
        let before = self.before().await?;
        room.target.is_down(true);
        let loaded = self.send(room, &batch, pace, lasts).await;
        room.target.is_down(false);
        self.finish(room, &before, stopwatch::now(), loaded?, within).await
    }

    fn sign(&mut self, pace: Pace, lasts: Duration) -> Batch {
        let per_second = match pace {
            Pace::Open { per_second } => per_second,
            Pace::Closed { .. } => ORDERS_PER_SECOND,
        };
        let batch = self.orders.sign(self.next, (per_second * lasts.as_secs_f64()).ceil() as usize);
        self.next += batch.len() as u64;
        batch
    }

    async fn before(&self) -> Result<Before, Problem> {
        Ok(Before { settled: self.subject.settled().await?, cpu: self.subject.cpu(), own_cpu: cpu::own() })
    }

    async fn send(&self, room: &Room<'_>, batch: &Batch, pace: Pace, lasts: Duration) -> Result<Loaded, Problem> {
        let load = Load { to: self.subject.ingress, orders: &self.orders, batch, connections: CONNECTIONS, pace, lasts };
        let loaded = load.run(&room.target).await;
        self.refuse_failures(&loaded)?;
        Ok(loaded)
    }

    /// Waits for the last settlement, and counts. Time counts from `started`.
    async fn finish(&self, room: &Room<'_>, before: &Before, started: Instant, loaded: Loaded, within: Duration) -> Result<Round, Problem> {
        self.wait_until_settled(room, before.settled, loaded.accepted, within).await?;
        let round = Round {
            messages: loaded.accepted,
            took: stopwatch::now().saturating_duration_since(started),
            latencies_us: loaded.latencies_us,
            delivered_us: room.target.delivered_us(),
            cpu: self.subject.cpu().saturating_sub(before.cpu),
            own_cpu: cpu::own().saturating_sub(before.own_cpu),
            lost: loaded.accepted.saturating_sub(room.target.distinct()),
            doubled: room.target.doubled(),
        };
        room.count(&round);
        Ok(round)
    }

    /// The host is asked only once all has been delivered, so that asking costs nothing that is measured.
    async fn wait_until_settled(&self, room: &Room<'_>, before: u64, accepted: u64, within: Duration) -> Result<(), Problem> {
        let until = stopwatch::now() + within;
        while room.target.distinct() < accepted && stopwatch::now() < until {
            stopwatch::sleep(LOOK_AGAIN).await;
        }
        while self.subject.settled().await? < before + accepted && stopwatch::now() < until {
            stopwatch::sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    /// A figure with failures in it says nothing.
    fn refuse_failures(&self, loaded: &Loaded) -> Result<(), Problem> {
        if loaded.refused + loaded.failed == 0 {
            return Ok(());
        }
        let text = format!("{} refused {} orders and did not answer {}", self.subject.name, loaded.refused, loaded.failed);
        Err(Problem::new(Code::BenchFailed, text).fix("look whether the machine is out of disk, memory or ports, and run it again"))
    }
}

/// Rounds of two subjects in turns, so that what else happens on the machine falls on both. `what` is said with each.
pub async fn in_turns(
    room: &Room<'_>,
    what: &str,
    mut bouts: [&mut Bout; 2],
    labels: [&str; 2],
    pace: Pace,
) -> Result<[Vec<Round>; 2], Problem> {
    let rounds = room.size.rounds;
    let mut done = [Vec::new(), Vec::new()];
    for number in 1..=rounds {
        for ((bout, label), done) in bouts.iter_mut().zip(labels).zip(&mut done) {
            let round = bout.round(room, pace, room.size.lasts).await?;
            room.say(format!("{what}, round {number} of {rounds}, {label}: {}", told(&round)));
            done.push(round);
        }
    }
    Ok(done)
}

/// The middle of the rounds' rates.
pub fn rate(rounds: &[Round]) -> f64 {
    median(rounds.iter().map(Round::rate))
}

/// The middle of the rounds' processor time for a message, of the subject and of load generator and target, in microseconds.
pub fn cpu_us(rounds: &[Round]) -> (f64, f64) {
    (median(rounds.iter().map(|round| round.a_message(round.cpu))), median(rounds.iter().map(|round| round.a_message(round.own_cpu))))
}

fn told(round: &Round) -> String {
    format!(
        "{:.0} msg/s; answered after {:.2} ms (p50), {:.2} ms (p99); processor time a message {:.0} µs, of load generator and target {:.0} µs",
        round.rate(),
        quantile_ms(&round.latencies_us, 0.5),
        quantile_ms(&round.latencies_us, 0.99),
        round.a_message(round.cpu),
        round.a_message(round.own_cpu),
    )
}
