//! `deploy-first-message`: from `lockgate deploy` to the first message that went through the new release, with plugins that nobody compiled
//! before, against plugins that were.

use std::path::Path;
use std::time::Duration;

use super::figures::{Row, median};
use super::load::Pace;
use super::plugins::unwritable;
use super::room::Room;
use super::round::{Bout, FULL_SPEED};
use super::stopwatch;
use super::switching::command;
use super::workspace::Flow;
use crate::problem::Problem;

/// One order, at once.
const ONE: (Pace, Duration) = (Pace::Open { per_second: 1_000.0 }, Duration::from_millis(1));

/// The row.
pub async fn first_message(room: &Room<'_>) -> Result<Row, Problem> {
    let flow = Flow::example();
    let mut bout = room.lockgate("deploying", std::slice::from_ref(&flow)).await?;
    bout.round(room, FULL_SPEED, room.size.warm_up).await?;
    let workspace = room.folder.join("deploying");
    let (mut fresh, mut before) = (Vec::new(), Vec::new());
    for number in 1..=room.size.rounds {
        let mark = number.to_string();
        room.plugins()?.write_fresh(&workspace.join("plugins"), &mark)?;
        fresh.push(deploy(room, &mut bout, (&workspace, &flow.name), &format!("plugins {mark}")).await?);
        before.push(deploy(room, &mut bout, (&workspace, &flow.name), &format!("words {mark}")).await?);
        let last = |took: &[f64]| took.last().copied().unwrap_or_default();
        room.say(format!(
            "deploying, round {number} of {}: {:.0} ms, compiled before {:.0} ms",
            room.size.rounds,
            last(&fresh),
            last(&before)
        ));
    }
    let note = "from the start of `lockgate deploy` to the settlement of the first message through the new release, a transformer and a sink; \
                what the host lacks is sent, checked and compiled in a child process, on an idle host";
    Ok(Row::stated("deploy-first-message", "ms", [median(fresh.into_iter()), median(before.into_iter())], note.to_owned()))
}

/// Deploys the workspace with other words in its file, and sends one order. In milliseconds.
async fn deploy(room: &Room<'_>, bout: &mut Bout, (workspace, name): (&Path, &str), words: &str) -> Result<f64, Problem> {
    let file = workspace.join("integrations").join(format!("{name}.toml"));
    let written = std::fs::read_to_string(&file).and_then(|text| std::fs::write(&file, format!("{text}\n# {words}\n")));
    written.map_err(|error| unwritable(&file, &error))?;
    // Plugins are pinned anew.
    drop(std::fs::remove_file(workspace.join("lockgate.lock")));
    let started = stopwatch::now();
    command(workspace, &["deploy"])?.done().await?;
    bout.round(room, ONE.0, ONE.1).await?;
    Ok(stopwatch::now().saturating_duration_since(started).as_secs_f64() * 1e3)
}
