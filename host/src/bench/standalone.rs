//! The load generator and the target alone, for whatever takes a webhook and sends an HTTP request for it: how peers are measured.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::cpu;
use super::figures::quantile_ms;
use super::load::{Load, Pace};
use super::on_this_thread;
use super::orders::{Orders, Paths};
use super::stopwatch;
use super::target::Target;
use crate::problem::Problem;

/// Orders made for a second of a closed loop.
const ORDERS_PER_SECOND: f64 = 60_000.0;
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// What is aimed where.
#[derive(Clone, Debug)]
pub struct Aim {
    pub to: SocketAddr,
    /// The `Host` header.
    pub host: String,
    pub path: String,
    /// Sent with each request.
    pub headers: Vec<(String, String)>,
    /// `X-Signature` has HMAC-SHA256 over the body under it, in hex.
    pub secret: String,
    /// Where deliveries are to arrive.
    pub target: SocketAddr,
    pub connections: usize,
    pub lasts: Duration,
    /// Before it counts.
    pub warm_up: Duration,
    /// So many a second; else as many as are answered.
    pub per_second: Option<f64>,
    /// Sent and not delivered at most, where no rate is given.
    pub undelivered_max: u64,
    /// How long the target waits for more once nothing comes.
    pub quiet: Duration,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Shown {
    /// Answered with 2xx.
    pub accepted: u64,
    /// Answered otherwise, and not answered.
    pub refused: u64,
    pub failed: u64,
    /// Accepted and arrived.
    pub delivered: u64,
    /// Accepted, and not arrived until nothing came any more.
    pub lost: u64,
    /// Arrived more than once.
    pub doubled: u64,
    /// Requests at the target that speak of no order that was sent.
    pub strays: u64,
    pub accepted_per_second: f64,
    /// From the first request to the last arrival.
    pub delivered_per_second: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    /// Processor time of load generator and target, a message.
    pub own_cpu_us: f64,
}

/// Aims. None if it was stopped. Blocks; to be called on a thread of its own.
pub fn aim(aim: &Aim, stop: &CancellationToken) -> Result<Option<Shown>, Problem> {
    on_this_thread(stop, async {
        let target = Target::start(Some(aim.target)).await?;
        let orders = Orders::new(&aim.host, &Paths::one(&aim.path), &aim.headers, &aim.secret)?;
        let warm = load(aim, &orders, &target, 0, aim.warm_up).await;
        Ok(load(aim, &orders, &target, warm.next, aim.lasts).await.shown)
    })
}

struct Loaded {
    shown: Shown,
    /// The first number that was not used.
    next: u64,
}

async fn load(aim: &Aim, orders: &Orders, target: &Target, first: u64, lasts: Duration) -> Loaded {
    let (pace, per_second) = match aim.per_second {
        Some(per_second) => (Pace::Open { per_second }, per_second),
        None => (Pace::Closed { undelivered_max: aim.undelivered_max }, ORDERS_PER_SECOND),
    };
    let batch = orders.sign(first, (per_second * lasts.as_secs_f64()).ceil() as usize);
    let cpu = cpu::own();
    let load = Load { to: aim.to, orders, batch: &batch, connections: aim.connections, pace, lasts };
    let loaded = load.run(target).await;
    let last_arrival = until_quiet(target, loaded.accepted, aim.quiet).await.max(loaded.ended);
    let delivered = target.distinct().min(loaded.accepted);
    let over = |ended: std::time::Instant| ended.saturating_duration_since(loaded.started).as_secs_f64();
    let shown = Shown {
        accepted: loaded.accepted,
        refused: loaded.refused,
        failed: loaded.failed,
        delivered,
        lost: loaded.accepted - delivered,
        doubled: target.doubled(),
        strays: target.strays(),
        accepted_per_second: loaded.accepted as f64 / over(loaded.ended),
        delivered_per_second: delivered as f64 / over(last_arrival),
        p50_ms: quantile_ms(&loaded.latencies_us, 0.5),
        p99_ms: quantile_ms(&loaded.latencies_us, 0.99),
        own_cpu_us: cpu::own().saturating_sub(cpu).as_secs_f64() * 1e6 / loaded.accepted.max(1) as f64,
    };
    Loaded { shown, next: first + batch.len() as u64 }
}

/// Waits until all has arrived or nothing came for `quiet`; gives when something came last.
async fn until_quiet(target: &Target, accepted: u64, quiet: Duration) -> std::time::Instant {
    let (mut seen, mut at) = (target.distinct(), stopwatch::now());
    while target.distinct() < accepted && at.elapsed() < quiet {
        stopwatch::sleep(LOOK_AGAIN).await;
        if target.distinct() != seen {
            (seen, at) = (target.distinct(), stopwatch::now());
        }
    }
    at
}
