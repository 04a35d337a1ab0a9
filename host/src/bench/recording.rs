//! `recording`: throughput with every attempt recorded, against none. `rehearsal`: messages a second that are rehearsed, against what the
//! host delivered while it recorded them.

use std::io::Write;

use super::child::Guarded;
use super::figures::{Row, median};
use super::room::Room;
use super::round::{Bout, FULL_SPEED, cpu_us, in_turns, rate};
use super::stopwatch;
use super::subject::Subject;
use super::workspace::{ENVIRONMENT, Flow};
use crate::problem::{Code, Problem};

/// The least that is left of the throughput.
const RECORDING_GOAL: f64 = 0.90;
/// What took a host an hour is rehearsed within one.
const REHEARSAL_GOAL: f64 = 1.0;
const SILENT: &str = "\n[ledger]\nrecord = \"nothing\"\n";

/// Both.
pub async fn measure(room: &Room<'_>) -> Result<[Row; 2], Problem> {
    let flows = [Flow::example()];
    let mut recording = room.lockgate("recording-all", &flows).await?;
    let silent = room.workspace("recording-nothing", &flows)?;
    let file = silent.join("lockgate.toml");
    let said = std::fs::OpenOptions::new().append(true).open(&file).and_then(|mut file| file.write_all(SILENT.as_bytes()));
    said.map_err(|error| problem(format!("{}: {error}", file.display())))?;
    let mut nothing = Bout::new(Subject::lockgate(&silent).await?, 1)?;
    for bout in [&mut recording, &mut nothing] {
        bout.round(room, FULL_SPEED, room.size.warm_up).await?;
    }
    let [with, without] = in_turns(room, "recording", [&mut recording, &mut nothing], ["all", "nothing"], FULL_SPEED).await?;
    let (figures, dropped) = (recording.subject.metrics().await?, "lockgate_ledger_dropped_total");
    let dropped: u64 =
        figures.lines().filter(|line| line.starts_with(dropped)).filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum();
    let recorded = bytes_of(&crate::ledger::folder(&room.folder.join("recording-all").join("data")));
    let messages: u64 = with.iter().map(|round| round.messages).sum();
    let note = format!(
        "processor time a message {:.0} µs, without {:.0} µs; {} bytes on disk a message; {dropped} records dropped",
        cpu_us(&with).0,
        cpu_us(&without).0,
        recorded / messages.max(1)
    );
    drop(nothing);
    drop(recording);
    let delivered = rate(&with);
    let row = Row::at_least("recording", "msg/s", [delivered, rate(&without)], RECORDING_GOAL, note);
    Ok([row, rehearsal(room, delivered).await?])
}

/// Rehearses what was recorded, as a user does.
async fn rehearsal(room: &Room<'_>, delivered: f64) -> Result<Row, Problem> {
    let workspace = room.folder.join("recording-all");
    let (mut rates, mut told) = (Vec::new(), String::new());
    for number in 1..=room.size.rounds {
        let log = workspace.join("rehearsal.log");
        let arguments = |command: &mut std::process::Command| {
            command
                .args(["rehearse", &Flow::example().name, "--env", ENVIRONMENT, "--limit", "1000000", "--expect-same", "--directory"])
                .arg(&workspace);
        };
        let started = stopwatch::now();
        Guarded::start("the rehearsal", arguments, &log)?.done().await?;
        let took = stopwatch::now().saturating_duration_since(started);
        told = std::fs::read_to_string(&log).unwrap_or_default();
        let messages: f64 =
            told.lines().find_map(|line| line.strip_suffix("  same")?.trim().parse().ok()).ok_or_else(|| problem(told.clone()))?;
        rates.push(messages / took.as_secs_f64());
        room.say(format!("rehearsal, round {number} of {}: {messages} messages in {:.1} s", room.size.rounds, took.as_secs_f64()));
    }
    let of = told.lines().find(|line| line.contains(" release ")).unwrap_or_default().to_owned();
    let note = format!("start, plugins and reading included; {of}; against what the host delivered while it recorded");
    Ok(Row::at_least("rehearsal", "msg/s", [median(rates.into_iter()), delivered], REHEARSAL_GOAL, note))
}

fn bytes_of(folder: &std::path::Path) -> u64 {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum()
}

fn problem(what: String) -> Problem {
    Problem::new(Code::BenchFailed, format!("the recording could not be measured: {what}")).fix("run it again; if it stays so, report it")
}
