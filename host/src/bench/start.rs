//! `start-plugins` and `start-first-message`: from exec to the first message that is acknowledged, with plugins that were compiled before.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::figures::{Row, median};
use super::orders::{Orders, Paths};
use super::room::{Room, free_address};
use super::stopwatch;
use super::subject::{self, SECRET};
use super::wire::Wire;
use super::workspace::{Flow, PATH};
use crate::problem::Problem;

/// The most of the time that one plugin takes.
const GOAL: f64 = 2.0;
/// The most a start may take, in milliseconds.
const FIRST_MESSAGE_MS_MAX: f64 = 300.0;

/// Both rows.
pub async fn measure(room: &Room<'_>) -> Result<[Row; 2], Problem> {
    let count = room.size.plugins;
    let one = room.workspace("start-one", &Flow::with_plugins(1))?;
    let many = room.workspace("start-many", &Flow::with_plugins(count))?;
    room.say(format!("compiling {count} plugins"));
    let mut orders = 0;
    for workspace in [&one, &many] {
        first_message(room, workspace, &mut orders).await?;
    }
    let (mut ones, mut manys) = (Vec::new(), Vec::new());
    for round in 1..=room.size.rounds {
        for (workspace, took) in [(&one, &mut ones), (&many, &mut manys)] {
            took.push(first_message(room, workspace, &mut orders).await?.as_secs_f64() * 1000.0);
        }
        let last = |took: &[f64]| took.last().copied().unwrap_or_default();
        room.say(format!("start, round {round} of {}: {:.0} ms, with one plugin {:.0} ms", room.size.rounds, last(&manys), last(&ones)));
    }
    let (one, many) = (median(ones.into_iter()), median(manys.into_iter()));
    let note = format!("{count} plugins and a sink, all compiled before, against one and a sink; until the first message is acknowledged");
    Ok([
        Row::at_most("start-plugins", "ms", [many, one], GOAL, note),
        Row::at_most(
            "start-first-message",
            "ms",
            [many, FIRST_MESSAGE_MS_MAX],
            1.0,
            format!("with {count} plugins, against what it may take"),
        ),
    ])
}

/// Starts a host, sends one order until it is acknowledged, and ends the host.
async fn first_message(room: &Room<'_>, workspace: &Path, orders: &mut u64) -> Result<Duration, Problem> {
    let ingress = free_address()?;
    let sender = Orders::new(&ingress.to_string(), &Paths::one(PATH), &[], SECRET)?;
    let batch = sender.sign(*orders, 1);
    room.target.expect(*orders, 1);
    *orders += 1;
    let mut request = sender.blank();
    sender.write(&mut request, &batch, 0);
    let started = stopwatch::now();
    let mut child = subject::run(workspace, ingress)?;
    child.ready(async || acknowledged(ingress, &request).await).await?;
    let took = started.elapsed();
    child.end().await?;
    Ok(took)
}

async fn acknowledged(ingress: SocketAddr, request: &[u8]) -> Option<()> {
    let mut wire = Wire::connect(ingress).await.ok()?;
    wire.send(request).await.ok()?;
    (wire.receive().await.ok()??.status()? == 202).then_some(())
}
