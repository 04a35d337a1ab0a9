//! One round: a load on a subject, until the last message is settled and accounted for.

use std::time::Duration;

use super::cpu;
use super::load::{Load, Loaded, Pace};
use super::orders::Orders;
use super::stopwatch;
use super::subject::{SECRET, Subject};
use super::target::Target;
use crate::problem::{Code, Problem};

/// Connections of the load generator.
pub const CONNECTIONS: usize = 64;
/// Orders accepted and not delivered at most, in a closed loop: what is measured is a rate that lasts, not how fast a backlog grows.
pub const WINDOW: u64 = 2_000;
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
    /// Processor time of the subject.
    pub cpu: Duration,
    /// Processor time of load generator and target.
    pub own_cpu: Duration,
    pub lost: u64,
    pub doubled: u64,
}

impl Round {
    /// Messages a second, end to end.
    pub fn rate(&self) -> f64 {
        self.messages as f64 / self.took.as_secs_f64()
    }

    /// Processor time for a message, in microseconds.
    pub fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.messages.max(1) as f64
    }
}

impl Bout {
    pub fn new(subject: Subject) -> Result<Self, Problem> {
        let orders = Orders::new(&subject.ingress.to_string(), "/orders", &[], SECRET)?;
        Ok(Self { subject, orders, next: 0 })
    }

    /// Sends orders for as long as `lasts` and waits for the last settlement.
    pub async fn round(&mut self, target: &Target, pace: Pace, lasts: Duration) -> Result<Round, Problem> {
        let per_second = match pace {
            Pace::Open { per_second } => per_second,
            Pace::Closed { .. } => ORDERS_PER_SECOND,
        };
        let batch = self.orders.sign(self.next, (per_second * lasts.as_secs_f64()).ceil() as usize);
        self.next += batch.len() as u64;
        let settled_before = self.settled().await?;
        let (cpu, own_cpu) = (self.subject.cpu(), cpu::own());
        let load = Load { to: self.subject.ingress, orders: self.orders.clone(), batch, connections: CONNECTIONS, pace, lasts };
        let loaded = load.run(target).await;
        self.refuse_failures(&loaded)?;
        let until = stopwatch::now() + SETTLED_WITHIN;
        while target.distinct() < loaded.accepted && stopwatch::now() < until {
            stopwatch::sleep(LOOK_AGAIN).await;
        }
        while self.settled().await? < settled_before + loaded.accepted && stopwatch::now() < until {
            stopwatch::sleep(LOOK_AGAIN).await;
        }
        Ok(Round {
            messages: loaded.accepted,
            took: stopwatch::now().saturating_duration_since(loaded.started),
            latencies_us: loaded.latencies_us,
            cpu: self.subject.cpu().saturating_sub(cpu),
            own_cpu: cpu::own().saturating_sub(own_cpu),
            lost: loaded.accepted.saturating_sub(target.distinct()),
            doubled: target.doubled(),
        })
    }

    async fn settled(&self) -> Result<u64, Problem> {
        let told = self.subject.settled().await;
        told.ok_or_else(|| Problem::new(Code::HostUnreachable, format!("{} does not answer any more", self.subject.name)))
    }

    /// A figure with failures in it says nothing.
    fn refuse_failures(&self, loaded: &Loaded) -> Result<(), Problem> {
        if loaded.refused + loaded.failed == 0 {
            return Ok(());
        }
        let text = format!("{} refused {} orders and did not answer {}", self.subject.name, loaded.refused, loaded.failed);
        Err(Problem::new(Code::Internal, text).fix("look whether the machine is out of disk, memory or ports, and run it again"))
    }
}
