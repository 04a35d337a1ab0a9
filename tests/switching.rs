//! Releases switched while messages flow, over the real binary: nothing lost, nothing doubled, nothing out of order, and nothing half done.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use lockgate::crash_point::{CRASH_VARIABLE, CrashPoint};
use serde_json::{Value, json};

use crate::support::database::assert_whole;
use crate::support::eventually;
use crate::support::host::Host;
use crate::support::stamped::{Stamped, by_key, post};

/// Switches under load. `LOCKGATE_SWITCHES` asks for more.
const SWITCHES: usize = 1000;

fn active(host: &Host) -> String {
    let listed = host.api("/api/v1/integrations/stamped/releases");
    let releases = listed["releases"].as_array().unwrap();
    let active: Vec<&Value> = releases.iter().filter(|release| release["state"] == "active").collect();
    assert_eq!(active.len(), 1, "{listed}");
    active[0]["release"].as_str().unwrap().to_owned()
}

fn waiting(host: &Host) -> u64 {
    let status = host.api("/api/v1/status");
    status["integrations"].as_array().unwrap().iter().map(|one| one["waiting"].as_u64().unwrap()).sum()
}

#[track_caller]
fn wait_until_idle(host: &Host) {
    eventually("nothing waits any more", || (waiting(host) == 0).then_some(()));
}

fn stamp(host: &Host, stamped: &Stamped, number: u64) -> String {
    let answer = post(host, "probe", number);
    assert_eq!(answer.status, 202, "{answer:?}");
    eventually("the message arrives", || {
        let arrived = stamped.arrived();
        let found = arrived.iter().find(|message| message["key"] == "probe" && message["number"] == number)?;
        Some(found["stamp"].as_str().unwrap().to_owned())
    })
}

#[test]
fn a_thousand_switches_under_load_lose_double_and_overtake_nothing() {
    let stamped = Stamped::new();
    let host = Host::start(&stamped.workspace);
    stamped.becomes(2, "");
    let told = stamped.said(&["deploy"], 0);
    assert!(told.contains("Sending stamp 2.0.0") && told.contains("is active"), "{told}");

    let wanted = std::env::var("LOCKGATE_SWITCHES").map_or(SWITCHES, |wanted| wanted.parse().unwrap());
    let (done, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    const KEYS: u64 = 4;
    let last: Vec<u64> = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..KEYS)
            .map(|key| {
                let (host, done, sent) = (&host, &done, &sent);
                scope.spawn(move || {
                    let mut number = 0;
                    while !done.load(Ordering::Relaxed) {
                        number += 1;
                        let answer = post(host, &format!("k{key}"), number);
                        assert_eq!(answer.status, 202, "{answer:?}");
                        sent.fetch_add(1, Ordering::Relaxed);
                    }
                    number
                })
            })
            .collect();
        for _ in 0..wanted {
            let answer = host.api_raw("POST", "/api/v1/integrations/stamped/rollback", "{}");
            assert_eq!(answer.status, 200, "{:?}", answer.body);
            assert_eq!(answer.json()["integrations"][0]["state"], "activated", "{:?}", answer.body);
        }
        done.store(true, Ordering::Relaxed);
        senders.into_iter().map(|sender| sender.join().unwrap()).collect()
    });
    wait_until_idle(&host);

    let arrived = stamped.arrived();
    for (key, numbers) in by_key(&arrived) {
        let expected: Vec<u64> = (1..=last[key[1..].parse::<usize>().unwrap()]).collect();
        assert_eq!(numbers, expected, "{key}");
    }
    assert_eq!(arrived.len() as u64, sent.load(Ordering::Relaxed));
    assert_eq!(stamped.audit.kept().repeats, 0, "nothing was sent twice");
    let of = |stamp: &str| arrived.iter().filter(|message| message["stamp"] == stamp).count();
    assert!(of("1") > 0 && of("2") > 0 && of("1") + of("2") == arrived.len(), "{} and {}", of("1"), of("2"));
    let letters = host.api("/api/v1/dead-letters");
    assert_eq!(letters["dead-letters"], json!([]), "none failed for a switch");
    let metrics = String::from_utf8(host.api_raw("GET", "/metrics", "").body.to_vec()).unwrap();
    let failed = metrics.lines().filter(|line| line.starts_with("lockgate_attempts_total") && line.contains("failed"));
    assert!(failed.clone().all(|line| line.ends_with(" 0")), "{:?}", failed.collect::<Vec<_>>());
    let audited = host.api("/api/v1/audit/verify");
    assert!(audited["misfit"].is_null() && audited["entries"].as_u64() > Some(wanted as u64), "{audited}");
    assert!(host.stop().success());
    assert_whole(&stamped.workspace.data());
}

#[test]
fn what_does_not_fit_link_or_exist_leaves_the_active_release_running() {
    let stamped = Stamped::new();
    let host = Host::start(&stamped.workspace);
    let before = active(&host);
    let refused = |body: Value| host.api_raw("POST", "/api/v1/releases", body.to_string());
    let release = |file: &str, plugins: Value| json!({ "releases": [{ "integration": "stamped", "file": file, "plugins": plugins }] });
    let file = std::fs::read_to_string(stamped.workspace.path().join("integrations/stamped.toml")).unwrap();
    let pins = host.api(&format!("/api/v1/releases/{before}"))["plugins"].clone();

    let nowhere = refused(release(&file, json!([{ "name": "stamp", "version": "1.0.0", "digest": "00".repeat(32) }, pins[1]])));
    assert_eq!((nowhere.status, nowhere.json()["code"].as_str()), (409, Some("LG-7016")), "{nowhere:?}");
    assert_eq!(nowhere.json()["lacks"][0]["digest"], "00".repeat(32));
    // Another plugin than the file asks for, one pin too few, a file that is none, an alias that is not there, an endpoint in the file.
    for (body, told) in [
        (release(&file, json!([pins[1], pins[1]])), "LG-1014"),
        (release(&file, json!([pins[0]])), "pins 1"),
        (release("no toml", pins.clone()), "LG-1002"),
        (release(&file.replace("\"audit\"", "\"nowhere\""), pins.clone()), "LG-1006"),
        (release(&file.replace("/orders\"", "/orders\", to = \"https://evil.example\""), pins.clone()), "LG-1008"),
        (release(&file.replace("[delivery]", "[limits]\nmemory = \"2GiB\"\n[delivery]"), pins.clone()), "LG-1015"),
    ] {
        let answer = refused(body);
        let said = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(answer.status == 422 && said.contains(told), "{told}: {} {said}", answer.status);
    }
    // A component that imports what nobody offers does not link, whoever sends it.
    let odd = wat::parse_str("(component (import \"lockgate:plugin/nothing@0.1.0\" (instance)))").unwrap();
    let digest = lockgate::plugin::sha256_hex(&odd);
    let wrong = host.api_raw("PUT", &format!("/api/v1/plugins/{}", "11".repeat(32)), odd.clone());
    assert_eq!(wrong.status, 400, "{wrong:?}");
    assert_eq!(host.api_raw("PUT", &format!("/api/v1/plugins/{digest}"), odd).status, 200);
    let answer = refused(release(&file, json!([{ "name": "stamp", "version": "1.0.0", "digest": digest }, pins[1]])));
    assert!(answer.status == 422 && String::from_utf8_lossy(&answer.body).contains("LG-20"), "{answer:?}");

    for (arguments, told) in [
        (&["rollback", "stamped"][..], "nothing to go back to"),
        (&["rollback", "stamped", "ffffffffffff"], "no release ffffffffffff"),
        (&["rollback", "nobody"], "LG-7004"),
        (&["approve", "stamped", "ffffffffffff", "--note", "fine"], "waits for approval"),
    ] {
        assert!(stamped.said(arguments, 1).contains(told), "{arguments:?}");
    }
    assert!(stamped.said(&["deploy", "stampd"], 2).contains("did you mean `stamped`?"));
    assert_eq!(active(&host), before);
    assert_eq!(stamp(&host, &stamped, 1), "1");
    assert!(stamped.said(&["deploy"], 0).contains("is active already"));
}

#[test]
fn a_deploy_is_shown_first_and_rolled_back_and_forth() {
    let stamped = Stamped::new();
    let host = Host::start(&stamped.workspace);
    let first = active(&host);
    stamped.becomes(2, "");
    let plan = stamped.said(&["deploy", "--plan"], 0);
    for told in ["step 1: stamp 1.0.0", "→ stamp 2.0.0", "step[1].plugin: \"stamp@1\" → \"stamp@2\"", "would be activated"] {
        assert!(plan.contains(told), "{told}: {plan}");
    }
    assert_eq!(active(&host), first, "a plan changes nothing that runs");
    let deployed: Value = serde_json::from_str(&stamped.said(&["deploy", "--json"], 0)).unwrap();
    assert_eq!(deployed["integrations"][0]["state"], "activated");
    let second = active(&host);
    assert_eq!(stamp(&host, &stamped, 1), "2");

    // Who looked before somebody else was faster is told.
    let file = std::fs::read_to_string(stamped.workspace.path().join("integrations/stamped.toml")).unwrap();
    let plugins = host.api(&format!("/api/v1/releases/{second}"))["plugins"].clone();
    let late =
        json!({ "releases": [{ "integration": "stamped", "file": format!("{file}\n# later\n"), "plugins": plugins, "replaces": first }] });
    let late = host.api_raw("POST", "/api/v1/releases", late.to_string());
    assert_eq!((late.status, late.json()["code"].as_str()), (409, Some("LG-7017")), "{late:?}");

    assert!(stamped.said(&["rollback", "stamped"], 0).contains("is active"));
    assert_eq!((active(&host), stamp(&host, &stamped, 2).as_str()), (first.clone(), "1"));
    assert!(stamped.said(&["rollback", "stamped", &second[..12]], 0).contains("is active"));
    assert_eq!(stamp(&host, &stamped, 3), "2");
    let listed = stamped.said(&["releases", "stamped"], 0);
    assert!(listed.contains("rollback") && listed.contains(&second[..12]) && listed.contains(&first[..12]), "{listed}");
    let audit = host.api("/api/v1/audit");
    let acts: BTreeSet<&str> = audit["entries"].as_array().unwrap().iter().filter_map(|entry| entry["act"].as_str()).collect();
    assert!(acts.contains("activate") && acts.contains("roll-back"), "{acts:?}");
    host.kill();
    let host = Host::start(&stamped.workspace);
    assert_eq!((active(&host), stamp(&host, &stamped, 4).as_str()), (second, "2"), "over a kill");
}

#[test]
fn what_waits_for_a_target_is_tried_again_by_the_release_that_is_active_then() {
    let stamped = Stamped::new();
    stamped.becomes(1, ", behave = \"refuse\"");
    let host = Host::start(&stamped.workspace);
    assert_eq!(post(&host, "a", 1).status, 202);
    eventually("it is a dead letter", || (host.api("/api/v1/dead-letters")["dead-letters"].as_array()?.len() == 1).then_some(()));
    stamped.becomes(2, "");
    stamped.said(&["deploy"], 0);
    let replayed = host.api_raw("POST", "/api/v1/dead-letters/replay", json!({ "integration": "stamped" }).to_string());
    assert_eq!(replayed.status, 200, "{replayed:?}");
    wait_until_idle(&host);
    assert_eq!(stamped.arrived().iter().map(|message| message["stamp"].as_str().unwrap().to_owned()).collect::<Vec<_>>(), ["2"]);
}

#[test]
fn another_rule_for_the_key_lets_what_waits_by_the_old_one_go_first() {
    let stamped = Stamped::new();
    let host = Host::start(&stamped.workspace);
    let paused = host.api_raw("POST", "/api/v1/integrations/stamped/pause", json!({ "reason": "a look" }).to_string());
    assert_eq!(paused.status, 200);
    for number in 1..=20 {
        post(&host, &format!("k{}", number % 5), number);
    }
    stamped.becomes_keyed(2, "", "json:/other");
    let told = stamped.said(&["deploy"], 0);
    assert!(told.contains("order: another rule; 20 waiting go first"), "{told}");
    for number in 21..=40 {
        post(&host, &format!("k{}", number % 5), number);
    }
    host.kill();
    let host = Host::start(&stamped.workspace);
    assert_eq!(waiting(&host), 40);
    let resumed = host.api_raw("POST", "/api/v1/integrations/stamped/resume", "{}");
    assert_eq!(resumed.status, 200);
    wait_until_idle(&host);
    let numbers: Vec<u64> = stamped.arrived().iter().map(|message| message["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers.len(), 40);
    assert!(numbers[..20].iter().all(|number| *number <= 20), "the old ones first: {numbers:?}");
    assert_eq!(numbers[20..], (21..=40).collect::<Vec<_>>(), "then one lane, in order");
    assert_eq!(stamp(&host, &stamped, 41), "2");
}

#[test]
fn a_host_that_is_killed_at_any_step_of_a_deploy_has_the_old_release_or_the_new_one() {
    if !cfg!(debug_assertions) {
        return crate::support::skipped("switching", "a released binary has no crash points");
    }
    let stamped = Stamped::new();
    let host = Host::start(&stamped.workspace);
    let mut known = BTreeSet::from([active(&host)]);
    assert!(host.stop().success());
    let points = [
        (CrashPoint::PluginKept, 1),
        (CrashPoint::CompileCacheWriting, 1),
        (CrashPoint::CompileCacheWritten, 1),
        (CrashPoint::ReleaseStored, 1),
        (CrashPoint::ReleaseSwitching, 1),
        (CrashPoint::ReleaseSwitched, 1),
    ];
    let mut number = 0;
    for (round, (point, nth)) in (2_u32..).zip(points) {
        let crash = format!("{}:{nth}", point.as_str());
        let mut host = Host::try_start(&stamped.workspace, &[], &[(CRASH_VARIABLE, &crash)]).unwrap();
        let before = active(&host);
        number += 1;
        assert_eq!(post(&host, "k", number).status, 202);
        stamped.becomes(round, "");
        let output = stamped.workspace.lockgate(&["deploy"]);
        assert!(!output.status.success(), "{point:?}: {output:?}");
        host.wait();
        assert_whole(&stamped.workspace.data());

        let host = Host::start(&stamped.workspace);
        let after = active(&host);
        let switched = point == CrashPoint::ReleaseSwitched;
        assert_eq!(after != before, switched, "{point:?}: it is on disk whole, or not at all");
        // What was interrupted is repeated.
        stamped.said(&["deploy"], 0);
        assert!(known.insert(active(&host)), "{point:?}");
        assert_eq!(stamp(&host, &stamped, u64::from(round)), round.to_string());
        wait_until_idle(&host);
        assert!(host.stop().success());
    }
    let arrived = stamped.arrived();
    assert_eq!(by_key(&arrived)["k"], (1..=number).collect::<Vec<_>>());
}
