//! The load generator: connections that are kept, requests that are ready, one thread.
//!
//! Closed loop: each connection sends the next order when its last one was answered, as long as not too many are on their way. Open loop:
//! orders have times, and latency counts from an order's time, whenever it could be sent: a server that stands still for a second has made
//! everybody wait that had wanted something in it.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::{Mutex, mpsc};

use super::orders::{Batch, Orders};
use super::stopwatch;
use super::target::Target;
use super::wire::Wire;

/// How often a connection for which the window has no room looks at the time.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// Failed requests after which a connection gives up.
const FAILURES_MAX: u64 = 100;

/// What is sent, where to, and how.
#[derive(Clone, Copy)]
pub struct Load<'a> {
    pub to: SocketAddr,
    pub orders: &'a Orders,
    pub batch: &'a Batch,
    pub connections: usize,
    pub pace: Pace,
    pub lasts: Duration,
}

#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// As fast as it goes, with at most so many orders sent and not delivered.
    Closed { undelivered_max: u64 },
    /// So many a second, whatever becomes of them.
    Open { per_second: f64 },
}

/// What became of it.
#[derive(Debug)]
pub struct Loaded {
    /// Answered with 2xx.
    pub accepted: u64,
    /// Answered otherwise.
    pub refused: u64,
    /// Not answered.
    pub failed: u64,
    /// The first request was sent.
    pub started: Instant,
    /// The last answer came.
    pub ended: Instant,
    /// Time to each answer with 2xx, in microseconds.
    pub latencies_us: Vec<u32>,
}

/// One order: its place in the batch, and when it was to be sent.
type Ticket = (usize, Instant);

/// What the connections share.
struct Shared<'a> {
    load: Load<'a>,
    target: &'a Target,
    ends: Instant,
    next: Cell<usize>,
    /// Open loop: the connections take turns in waiting for the next order.
    due: Option<Mutex<mpsc::UnboundedReceiver<Ticket>>>,
    accepted: Cell<u64>,
    refused: Cell<u64>,
    failed: Cell<u64>,
    latencies_us: RefCell<Vec<u32>>,
}

impl Load<'_> {
    /// Sends it, and returns once everything sent is answered. Within a `LocalSet`.
    pub async fn run(self, target: &Target) -> Loaded {
        target.expect(self.batch.first, self.batch.len());
        let mut wires = Vec::new();
        for _ in 0..self.connections {
            wires.push(Wire::connect(self.to).await.ok());
        }
        let started = stopwatch::now();
        let ends = started + self.lasts;
        let due = match self.pace {
            Pace::Closed { .. } => None,
            Pace::Open { per_second } => Some(Mutex::new(schedule(started, self.lasts, per_second, self.batch.len()))),
        };
        let shared = Shared {
            latencies_us: RefCell::new(Vec::with_capacity(self.batch.len())),
            load: self,
            target,
            ends,
            next: Cell::new(0),
            due,
            accepted: Cell::new(0),
            refused: Cell::new(0),
            failed: Cell::new(0),
        };
        let connections: FuturesUnordered<_> = wires.into_iter().map(|wire| connection(&shared, wire)).collect();
        connections.collect::<()>().await;
        Loaded {
            accepted: shared.accepted.get(),
            refused: shared.refused.get(),
            failed: shared.failed.get(),
            started,
            ended: stopwatch::now(),
            latencies_us: shared.latencies_us.take(),
        }
    }
}

/// Gives each order out at its time. A thread of its own sleeps to the microsecond, which a runtime's timer does not.
fn schedule(started: Instant, lasts: Duration, per_second: f64, count: usize) -> mpsc::UnboundedReceiver<Ticket> {
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for index in 0..count {
            let after = Duration::from_secs_f64(index as f64 / per_second);
            let at = started + after;
            if after > lasts {
                return;
            }
            let early = at.saturating_duration_since(stopwatch::now());
            if !early.is_zero() {
                stopwatch::block(early);
            }
            if sender.send((index, at)).is_err() {
                return;
            }
        }
    });
    receiver
}

async fn connection(shared: &Shared<'_>, mut wire: Option<Wire>) {
    let mut request = shared.load.orders.blank();
    let mut failures = 0;
    while let Some((index, at)) = shared.next().await {
        shared.load.orders.write(&mut request, shared.load.batch, index);
        shared.target.sent(index, at);
        let status = match &mut wire {
            Some(wire) => exchange(wire, &request).await,
            None => None,
        };
        shared.note(status, at);
        if status.is_none() {
            failures += 1;
            if failures > FAILURES_MAX {
                return;
            }
            wire = Wire::connect(shared.load.to).await.ok();
        }
    }
}

/// The status of the answer; none where there is none.
async fn exchange(wire: &mut Wire, request: &[u8]) -> Option<u16> {
    wire.send(request).await.ok()?;
    wire.receive().await.ok()??.status()
}

impl Shared<'_> {
    /// The next order, when it is time for it; none when it is over.
    async fn next(&self) -> Option<Ticket> {
        match self.load.pace {
            Pace::Open { .. } => self.due.as_ref()?.lock().await.recv().await,
            Pace::Closed { undelivered_max } => loop {
                let now = stopwatch::now();
                if now >= self.ends || self.next.get() >= self.load.batch.len() {
                    return None;
                }
                if self.undelivered() < undelivered_max {
                    return Some((self.next.replace(self.next.get() + 1), now));
                }
                // The time is looked at even if nothing more arrives.
                tokio::select! {
                    () = self.target.arrived() => {}
                    () = stopwatch::sleep(LOOK_AGAIN) => {}
                }
            },
        }
    }

    /// Orders that were sent, and may still arrive.
    fn undelivered(&self) -> u64 {
        let gone = self.refused.get() + self.failed.get() + self.target.distinct();
        (self.next.get() as u64).saturating_sub(gone)
    }

    fn note(&self, status: Option<u16>, at: Instant) {
        match status {
            Some(200..300) => {
                self.accepted.set(self.accepted.get() + 1);
                let took = stopwatch::now().saturating_duration_since(at);
                self.latencies_us.borrow_mut().push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
            }
            Some(_) => self.refused.set(self.refused.get() + 1),
            None => self.failed.set(self.failed.get() + 1),
        }
    }
}
