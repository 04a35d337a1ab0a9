//! `cargo test kill`: the real binary is ended by SIGKILL, at random and at named points (`lockgate::crash_point`), again and again
//! on the same data folder; and what was acknowledged is held against what arrived. `LOCKGATE_KILLS` says how often,
//! `LOCKGATE_KILL_SEED` where chance begins.

mod flow;
mod item;
mod life;
mod receiver;
mod sender;
mod verdict;

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Instant;

use lockgate::crash_point::{CONTROL_VARIABLE, CRASH_VARIABLE, CrashPoint};
use serde_json::Value;

use crate::support::host::Host;
use crate::support::http::request;
use crate::support::{eventually, skipped};
use life::{End, Flow, ends};
use receiver::Outside;
use verdict::Verdict;

/// Kills where `LOCKGATE_KILLS` does not say.
const KILLS: usize = 300;
/// Flows beside each other, each with a host of its own.
const FLOWS: usize = 3;

fn from_environment(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn a_kill_at_any_point_loses_nothing_doubles_nothing_and_inverts_nothing() {
    let kills = from_environment("LOCKGATE_KILLS").map_or(KILLS, |kills| usize::try_from(kills).unwrap());
    let seed = from_environment("LOCKGATE_KILL_SEED").unwrap_or(1);
    let started = Instant::now();
    let lived: Vec<(BTreeMap<&str, u64>, Verdict)> = std::thread::scope(|scope| {
        let flows: Vec<_> = (0..FLOWS)
            .map(|flow| {
                let ends = ends(kills / FLOWS + usize::from(flow < kills % FLOWS), seed + flow as u64);
                // All but the first begin on what an old version left.
                scope.spawn(move || live(if flow == 0 { Flow::new() } else { Flow::of_version_1() }, &ends))
            })
            .collect();
        flows.into_iter().map(|flow| flow.join().unwrap()).collect()
    });
    summarise(&lived, started);
    let complaints: Vec<&String> = lived.iter().flat_map(|(_, verdict)| &verdict.complaints).collect();
    assert!(complaints.is_empty(), "LOCKGATE_KILL_SEED={seed}: {complaints:#?}");
    if !cfg!(debug_assertions) {
        skipped("kill at named points", "a release build has none; run it without --release");
    } else if kills >= KILLS {
        let missed = CrashPoint::ALL.iter().filter(|point| !life::is_of_a_deploy(**point));
        let missed = missed.filter(|point| lived.iter().all(|(kills, _)| !kills.contains_key(point.as_str())));
        assert_eq!(missed.collect::<Vec<_>>(), Vec::<&CrashPoint>::new(), "points that no life ended at");
    }
}

fn live(mut flow: Flow, ends: &[End]) -> (BTreeMap<&'static str, u64>, Verdict) {
    for end in ends {
        flow.live(*end);
    }
    (flow.kills.clone(), flow.end())
}

#[test]
fn a_host_that_answers_before_it_commits_is_found_out() {
    if !cfg!(debug_assertions) {
        return skipped("kill, negative control", "a release build cannot be broken on purpose; run it without --release");
    }
    let mut flow = Flow::negative_control();
    for nth in [30, 20, 10, 25, 15] {
        flow.live(End::At(CrashPoint::BeforeCommit, nth));
    }
    let complaints = flow.end().complaints;
    // What was acknowledged and is gone is lost, or, where its sender sends it again, taken for new.
    let is_gone = |complaint: &String| complaint.starts_with("lost") || complaint.contains("was acknowledged as");
    assert!(complaints.iter().any(is_gone), "{complaints:#?}");
}

#[test]
fn a_crash_point_that_there_is_not_is_refused() {
    for (variable, value) in [(CRASH_VARIABLE, "before-comit"), (CRASH_VARIABLE, "before-commit:0"), (CONTROL_VARIABLE, "synchronous")] {
        let workspace = flow::workspace(([127, 0, 0, 1], 9).into());
        let output = workspace.command("run").env(variable, value).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("LG-7006") && said.contains(value), "{said}");
        assert!(!workspace.data().exists());
    }
}

#[test]
fn an_attempt_that_may_repeat_one_that_was_cut_off_says_so() {
    let outside = Outside::start();
    let workspace = flow::workspace(outside.address);
    let host = Host::start(&workspace);
    outside.leave_unanswered(1);
    let headers = [("content-type", "text/plain"), ("x-id", "1"), ("x-key", "k")];
    assert_eq!(request("POST", &format!("{}/orders", host.ingress), &headers, item::sent("k", 1)).unwrap().status, 202);
    eventually("a request is left without an answer", || outside.world().unanswered.then_some(()));
    host.kill();
    let host = Host::start(&workspace);
    let delivered = |integration: &str| {
        eventually("it is delivered", || {
            let found = host.api(&format!("/api/v1/messages?integration={integration}&outcome=delivered"));
            Some(found["messages"][0]["id"].as_str()?.to_owned())
        })
    };
    let attempt = |integration: &str| {
        let message = host.api(&format!("/api/v1/messages/{}", delivered(integration)));
        message["attempts"].as_array().unwrap().iter().find(|attempt| attempt["integration"] == integration).unwrap().clone()
    };
    assert_eq!(attempt(flow::TO_CARELESS)["trace"]["may-repeat"], true);
    assert_eq!(attempt(flow::INTAKE)["trace"]["may-repeat"], Value::Null);
    assert_eq!(outside.world().careless.arrivals.len(), 2);
    let shown = String::from_utf8(workspace.lockgate(&["message", &delivered(flow::TO_CARELESS)]).stdout).unwrap();
    assert!(shown.contains("may repeat what an attempt before it sent"), "{shown}");
}

/// One line, past the harness, which keeps what tests print to itself.
fn summarise(lived: &[(BTreeMap<&str, u64>, Verdict)], started: Instant) {
    let mut kills = BTreeMap::<&str, u64>::new();
    for (end, count) in lived.iter().flat_map(|(kills, _)| kills) {
        *kills.entry(end).or_default() += count;
    }
    let sum = |figure: fn(&Verdict) -> u64| lived.iter().map(|(_, verdict)| figure(verdict)).sum::<u64>();
    let ends: Vec<String> = kills.iter().map(|(end, count)| format!("{end} {count}")).collect();
    drop(writeln!(
        std::io::stderr(),
        "kill: {} kills in {} s ({}); {} messages acknowledged, {} sent again and recognised; {} repeats at the receiver that knows keys, \
         {} duplicates at the one that does not; {} dead letters of three ends; {} complaints",
        kills.values().sum::<u64>(),
        started.elapsed().as_secs(),
        ends.join(", "),
        sum(|verdict| verdict.messages),
        sum(|verdict| verdict.recognised),
        sum(|verdict| verdict.repeats),
        sum(|verdict| verdict.duplicates),
        sum(|verdict| verdict.crashed),
        sum(|verdict| verdict.complaints.len() as u64),
    ));
}
