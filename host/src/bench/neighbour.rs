//! `neighbour-p99`: how long messages of one integration take while another's target hangs. And `drain`: how long a backlog takes when its
//! target is back.

use std::time::Duration;

use tokio::net::TcpListener;

use super::figures::{Row, median, quantile_ms};
use super::load::{Load, Pace};
use super::orders::{Orders, Paths};
use super::room::Room;
use super::round::{CONNECTIONS, FULL_SPEED, Round, in_turns, rate};
use super::subject::SECRET;
use super::workspace::Flow;
use crate::problem::{Code, Problem};

/// The most that another integration's trouble may cost.
const NEIGHBOUR_GOAL: f64 = 1.5;
/// Orders a second for the integration that is measured: less than a machine can do, so that no queue is measured.
const CALM_PER_SECOND: f64 = 400.0;
/// Orders that get stuck, in each of two rounds more than the hanging integration may have under way at once.
const STUCK: usize = 1_000;
/// Orders a second while a backlog is made.
const BACKLOG_PER_SECOND: f64 = 1_500.0;
/// How long a backlog may take; no run comes near it.
const DRAINED_WITHIN: Duration = Duration::from_secs(300);
/// Backlogs that are made and drained at most.
const BACKLOGS_MAX: usize = 3;

/// `neighbour-p99`.
pub async fn p99(room: &Room<'_>) -> Result<Row, Problem> {
    let nowhere = hang().await?;
    let mut alone = room.lockgate("neighbour-alone", &[Flow::example()]).await?;
    let mut beside = room.lockgate_beside("neighbour-beside", &[Flow::example(), Flow::hanging()], nowhere).await?;
    for bout in [&mut alone, &mut beside] {
        bout.round(room, FULL_SPEED, room.size.warm_up).await?;
    }
    let stuck = Orders::new(&beside.subject.ingress.to_string(), &Paths::one(Flow::HANGING_PATH), &[], SECRET)?;
    let batch = stuck.sign(0, STUCK);
    let pace = Pace::Open { per_second: CALM_PER_SECOND * 4.0 };
    let lasts = Duration::from_secs(10);
    let load = Load { to: beside.subject.ingress, orders: &stuck, batch: &batch, connections: CONNECTIONS, pace, lasts };
    let loaded = load.run(&room.target).await;
    if loaded.accepted < STUCK as u64 {
        let what = format!("{} of {STUCK} orders for a target that hangs were accepted", loaded.accepted);
        return Err(Problem::new(Code::BenchFailed, what).fix("look whether the machine is out of disk or memory"));
    }
    let labels = ["alone", "beside one that hangs"];
    let pace = Pace::Open { per_second: CALM_PER_SECOND };
    let [alone, beside] = in_turns(room, "neighbour", [&mut alone, &mut beside], labels, pace).await?;
    let at = |rounds: &[Round], q| median(rounds.iter().map(|round| quantile_ms(&round.delivered_us, q)));
    let note = format!(
        "from when an order was to be sent to its arrival at the target, at {CALM_PER_SECOND:.0} msg/s; {STUCK} orders of the other integration wait for a target that takes connections and never answers; \
         p50 {:.1} ms, alone {:.1} ms",
        at(&beside, 0.5),
        at(&alone, 0.5)
    );
    Ok(Row::at_most("neighbour-p99", "ms", [at(&beside, 0.99), at(&alone, 0.99)], NEIGHBOUR_GOAL, note))
}

/// `drain`.
pub async fn drain(room: &Room<'_>) -> Result<Row, Problem> {
    let mut bout = room.lockgate("drain", &[Flow::example()]).await?;
    bout.round(room, FULL_SPEED, room.size.warm_up).await?;
    let lasts = Duration::from_secs_f64(room.size.backlog as f64 / BACKLOG_PER_SECOND);
    let (mut backlogs, mut steady) = (Vec::new(), Vec::new());
    for number in 1..=room.size.rounds.min(BACKLOGS_MAX) {
        steady.push(bout.round(room, FULL_SPEED, room.size.lasts).await?);
        let backlog = bout.backlog(room, Pace::Open { per_second: BACKLOG_PER_SECOND }, lasts, DRAINED_WITHIN).await?;
        let seconds = backlog.took.as_secs_f64();
        room.say(format!("drain, round {number}: {} waited, all delivered {seconds:.1} s after the target was back", backlog.messages));
        backlogs.push(backlog);
    }
    let seconds = median(backlogs.iter().map(|backlog| backlog.took.as_secs_f64()));
    let backlog = median(backlogs.iter().map(|backlog| backlog.messages as f64));
    let steady = backlog / rate(&steady);
    let note = format!(
        "{backlog:.0} messages waited for a target that answered 503; against as many at full speed; up to 10 s of it pass before a try finds it back, and the slow start takes some"
    );
    Ok(Row::stated("drain", "s", [seconds, steady], note))
}

/// Takes connections and never answers.
async fn hang() -> Result<std::net::SocketAddr, Problem> {
    let failed =
        |error: std::io::Error| Problem::new(Code::BenchFailed, format!("no listener: {error}")).fix("close what holds so many ports open");
    let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    tokio::task::spawn_local(async move {
        let mut held = Vec::new();
        loop {
            if let Ok((stream, _)) = listener.accept().await {
                held.push(stream);
            }
        }
    });
    Ok(address)
}
