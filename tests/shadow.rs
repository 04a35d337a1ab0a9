//! A release beside the active one, over the real binary: it runs on what that one settled, has no effect, and what it would make otherwise is
//! told field by field.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::console::link;
use crate::support::browser::Browser;
use crate::support::eventually;
use crate::support::host::Host;
use crate::support::http::request;
use crate::support::stamped::{Stamped, post, token};

fn listed(host: &Host) -> Value {
    host.api("/api/v1/integrations/stamped/releases")
}

fn active(host: &Host) -> String {
    let listed = listed(host);
    let active = listed["releases"].as_array().unwrap().iter().find(|release| release["state"] == "active").unwrap();
    active["release"].as_str().unwrap().to_owned()
}

/// What is told of the shadow once it was shown `count` messages, as `lockgate shadow show` has it.
#[track_caller]
fn told(host: &Host, stamped: &Stamped, count: u64) -> Value {
    eventually(&format!("{count} messages are told"), || (listed(host)["shadow"]["messages"].as_u64()? == count).then_some(()));
    let output = stamped.workspace.lockgate(&["shadow", "show", "stamped", "--json"]);
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn verdicts(told: &Value) -> BTreeMap<String, u64> {
    let verdicts = told["report"]["verdicts"].as_object().unwrap_or_else(|| panic!("{told:#}"));
    verdicts.iter().map(|(verdict, count)| (verdict.clone(), count.as_u64().unwrap())).filter(|(_, count)| *count > 0).collect()
}

fn only(verdict: &str, count: u64) -> BTreeMap<String, u64> {
    BTreeMap::from([(verdict.to_owned(), count)])
}

fn groups(told: &Value, kind: &str) -> Vec<(String, String, u64)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let groups = told["report"][kind].as_array().unwrap().iter();
    groups.map(|group| (text(&group["of"]), text(&group["path"]), group["count"].as_u64().unwrap())).collect()
}

fn post_all(host: &Host, from: u64, to: u64) {
    for number in from..=to {
        let answer = post(host, &format!("k{}", number % 3), number);
        assert_eq!(answer.status, 202, "{answer:?}");
    }
}

#[test]
fn it_tells_what_it_would_make_otherwise_and_has_no_effect() {
    let stamped = Stamped::new();
    let host = Host::start(&stamped.workspace);
    let before = active(&host);
    post_all(&host, 1, 5);
    stamped.becomes(2, "");
    let plan = stamped.said(&["deploy", "--shadow", "--plan"], 0);
    assert!(plan.contains("would run beside the active release, without effect") && listed(&host)["shadow"].is_null(), "{plan}");
    let said = stamped.said(&["deploy", "--shadow"], 0);
    assert!(said.contains("lockgate shadow show stamped"), "{said}");
    post_all(&host, 6, 25);
    // What came before it began may have ended after that; it began on the active release alone, and is not shown.
    let report = told(&host, &stamped, 20);
    assert_eq!(verdicts(&report), only("changed", 20));
    let changes = groups(&report, "changes");
    assert_eq!(changes, [("output".into(), "/stamp".into(), 20), ("request audit POST /orders".into(), "/stamp".into(), 20)]);
    let sample = &report["report"]["changes"][1]["samples"][0];
    assert_eq!((&sample["before"], &sample["after"]), (&json!("1"), &json!("2")));
    assert_eq!((&report["shadow"]["missed"], &report["shadow"]["under-way"]), (&json!(0), &json!(0)));

    // The target heard of none of it.
    assert_eq!(stamped.arrived().len(), 25);
    assert!(stamped.arrived().iter().all(|message| message["stamp"] == "1"));
    assert_eq!(stamped.audit.kept().repeats, 0);
    assert_eq!(active(&host), before);
    let listing = stamped.said(&["releases", "stamped"], 0);
    assert!(listing.contains("20 changed") && listing.contains("without effect"), "{listing}");
    let shown = stamped.said(&["shadow", "show", "stamped"], 0);
    assert!(shown.contains("request audit POST /orders /stamp  (20 messages)") && shown.contains("\"1\" -> \"2\""), "{shown}");
    stamped.said(&["shadow", "show", "stamped", "--expect-same"], 1);
    let page = stamped.workspace.path().join("report.html");
    stamped.said(&["shadow", "show", "stamped", "--html", page.to_str().unwrap()], 0);
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("Shadow of stamped") && page.contains("beside the active release since"), "{page}");

    // It goes on after a kill; what is counted begins anew, and is said to.
    host.kill();
    let host = Host::start(&stamped.workspace);
    assert_eq!(listed(&host)["shadow"]["messages"], 0);
    post_all(&host, 26, 30);
    // What the kill cut off between its arrival and its settlement is run again, and shown then.
    eventually("those since the start are told", || (listed(&host)["shadow"]["messages"].as_u64()? >= 5).then_some(()));
    let shown = stamped.said(&["shadow", "show", "stamped"], 0);
    assert!(shown.contains("counted anew since"), "{shown}");
    assert!(!shown.contains("not-comparable"), "{shown}");
    stamped.becomes(3, "");
    let plan = stamped.said(&["deploy", "--plan"], 0);
    assert!(plan.contains("ends what is tried: release") && plan.contains("as a shadow"), "{plan}");
    assert!(stamped.said(&["shadow", "finish", "stamped"], 0).contains("is active"));
    post_all(&host, 31, 31);
    eventually("the last arrives", || {
        stamped.arrived().iter().find(|message| message["number"] == 31).map(|last| assert_eq!(last["stamp"], "2"))
    });
    let audit = host.api("/api/v1/audit?limit=20");
    let acts: Vec<_> = audit["entries"].as_array().unwrap().iter().map(|entry| entry["act"].as_str().unwrap()).collect();
    assert!(acts.contains(&"start-shadow"), "{acts:?}");
    let ended = audit["entries"].as_array().unwrap().iter().find(|entry| entry["act"] == "end-shadow").cloned().unwrap();
    assert!(ended["after"]["why"] == "finished" && ended["after"]["figures"]["changed"].as_u64() >= Some(5), "{ended}");
    assert_eq!(listed(&host)["releases"][0]["how"], "shadow");
    assert!(listed(&host)["shadow"].is_null());
}

#[test]
fn one_that_fails_or_asks_what_nobody_asked_costs_nothing_but_its_name() {
    let stamped = Stamped::new();
    // Nothing need be recorded for it.
    let path = stamped.workspace.path().join("lockgate.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(path, format!("{text}[ledger]\nrecord = \"nothing\"\n")).unwrap();
    let host = Host::start(&stamped.workspace);
    let file = stamped.workspace.path().join("integrations/stamped.toml");
    let own = std::fs::read_to_string(&file).unwrap();

    stamped.becomes(2, ", behave = \"trap\"");
    stamped.said(&["deploy", "--shadow"], 0);
    post_all(&host, 1, 7);
    let report = told(&host, &stamped, 7);
    assert_eq!(verdicts(&report), only("newly-failing", 7));
    assert_eq!(groups(&report, "newly-failing"), [("step 1: trapped".into(), String::new(), 7)]);
    assert!(stamped.said(&["shadow", "abort", "stamped"], 0).contains("has no shadow any more"));
    assert!(stamped.said(&["shadow", "show", "stamped"], 1).contains("LG-7004"));

    stamped.becomes(1, "");
    std::fs::write(&file, own.replace("\"/orders\"", "\"/elsewhere\"")).unwrap();
    stamped.said(&["deploy", "--shadow"], 0);
    post_all(&host, 8, 12);
    let report = told(&host, &stamped, 5);
    assert_eq!(verdicts(&report), only("diverged", 5));
    assert_eq!(groups(&report, "diverged"), [("audit POST /elsewhere".into(), String::new(), 5)]);

    assert_eq!(stamped.arrived().len(), 12);
    assert_eq!(host.api("/api/v1/dead-letters")["dead-letters"], json!([]));
    let ended = host.api("/api/v1/audit?limit=20");
    let ended = ended["entries"].as_array().unwrap().iter().find(|entry| entry["act"] == "end-shadow").cloned().unwrap();
    assert!(ended["after"]["figures"]["newly-failing"] == 7 && ended["after"]["why"] == "aborted", "{ended}");
    let sample = &report["report"]["diverged"][0]["samples"][0];
    assert!(sample["before"].is_null() && sample["after"]["stamp"] == "1", "{sample}");
    // Another deploy ends what is tried.
    std::fs::write(&file, format!("# another\n{own}")).unwrap();
    assert!(stamped.said(&["deploy"], 0).contains("is active"));
    assert!(listed(&host)["shadow"].is_null());
    let audit = host.api("/api/v1/audit?limit=20");
    let ended = audit["entries"].as_array().unwrap().iter().find(|entry| entry["act"] == "end-shadow").cloned().unwrap();
    assert!(ended["after"]["why"] == "another release was activated" && ended["after"]["figures"]["diverged"] == 5, "{ended}");
}

#[test]
fn a_message_that_becomes_several_is_told_with_all_of_them() {
    let stamped = Stamped::new();
    stamped.becomes(1, ", behave = \"split\"");
    let host = Host::start(&stamped.workspace);
    stamped.becomes(2, ", behave = \"split\"");
    stamped.said(&["deploy", "--shadow"], 0);
    post_all(&host, 1, 9);
    let report = told(&host, &stamped, 9);
    assert_eq!(verdicts(&report), only("changed", 9));
    // In each part of each message, and what is sent of each part.
    let changes = groups(&report, "changes");
    assert_eq!(changes, [("output".into(), "/stamp".into(), 9), ("request audit POST /orders".into(), "/stamp".into(), 9)]);
    assert_eq!(report["shadow"]["under-way"], 0);
    assert_eq!(stamped.arrived().len(), 18);

    // The same release in other words makes nothing otherwise.
    stamped.said(&["shadow", "abort", "stamped"], 0);
    stamped.becomes(1, ", behave = \"split\"");
    let file = stamped.workspace.path().join("integrations/stamped.toml");
    let own = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("# in other words\n{own}")).unwrap();
    stamped.said(&["deploy", "--shadow"], 0);
    post_all(&host, 10, 14);
    assert_eq!(verdicts(&told(&host, &stamped, 5)), only("same", 5));
    stamped.said(&["shadow", "show", "stamped", "--expect-same"], 0);
}

/// Waits until everything that was shown to it is told, or given up.
fn nothing_left(host: &Host) {
    eventually("nothing is left to be told", || {
        let shadow = listed(host)["shadow"].clone();
        (shadow["waiting"] == 0 && shadow["under-way"] == 0).then_some(())
    });
}

#[test]
fn of_a_message_that_became_several_before_it_began_nothing_is_told() {
    let stamped = Stamped::new();
    stamped.becomes(1, ", behave = \"split\"");
    let environment = stamped.workspace.path().join("environments/test.toml");
    let own = std::fs::read_to_string(&environment).unwrap();
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    std::fs::write(&environment, own.replace(&stamped.audit.address().to_string(), &nowhere.to_string())).unwrap();
    let host = Host::start(&stamped.workspace);
    post_all(&host, 1, 1);
    eventually("it became two that wait for their target", || {
        (host.api("/api/v1/status")["integrations"][0]["waiting"] == 2).then_some(())
    });
    // Its steps always fail, and never ran on that message. Nor does the host know after a restart that the message was there before.
    stamped.becomes(2, ", behave = \"refuse\"");
    stamped.said(&["deploy", "--shadow"], 0);
    host.kill();
    std::fs::write(&environment, own).unwrap();
    let host = Host::start(&stamped.workspace);
    eventually("both arrive", || (stamped.arrived().len() == 2).then_some(()));
    nothing_left(&host);
    let shadow = listed(&host)["shadow"].clone();
    assert_eq!((&shadow["messages"], &shadow["missed"]), (&json!(0), &json!(0)), "{shadow}");
    post_all(&host, 2, 2);
    assert_eq!(verdicts(&told(&host, &stamped, 1)), only("newly-failing", 1));
}

#[test]
fn a_request_that_was_not_let_out_then_is_not_the_same_now() {
    let stamped = Stamped::new();
    let file = stamped.workspace.path().join("integrations/stamped.toml");
    let own = std::fs::read_to_string(&file).unwrap();
    let allows = |path: &str| own.replace("\"audit\" }", &format!("{{ alias = \"audit\", allow = [\"POST {path}\"] }} }}"));
    std::fs::write(&file, allows("/x")).unwrap();
    let host = Host::start(&stamped.workspace);
    std::fs::write(&file, allows("/orders")).unwrap();
    stamped.said(&["deploy", "--shadow"], 0);
    post_all(&host, 1, 3);
    let report = told(&host, &stamped, 3);
    assert_eq!(verdicts(&report), only("diverged", 3));
    assert_eq!(groups(&report, "diverged"), [("audit POST /orders".into(), String::new(), 3)]);
    stamped.said(&["shadow", "show", "stamped", "--expect-same"], 1);
    // What is denied both times is the same.
    stamped.said(&["shadow", "abort", "stamped"], 0);
    std::fs::write(&file, allows("/y")).unwrap();
    stamped.said(&["deploy", "--shadow"], 0);
    post_all(&host, 4, 5);
    assert_eq!(verdicts(&told(&host, &stamped, 2)), only("same", 2));
    assert!(stamped.arrived().is_empty());
}

#[test]
fn what_is_being_told_is_not_all_told_and_ends_with_its_shadow() {
    let stamped = Stamped::new();
    let limits = "[limits]\ncpu = \"10s\"\n";
    let file = stamped.workspace.path().join("integrations/stamped.toml");
    let limited = |version: u32, rest: &str| {
        stamped.becomes(version, rest);
        let own = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, format!("{own}{limits}")).unwrap();
    };
    limited(1, "");
    let host = Host::start(&stamped.workspace);
    limited(2, ", behave = \"for-long\"");
    stamped.said(&["deploy", "--shadow"], 0);
    post_all(&host, 1, 1);
    eventually("it arrives", || (stamped.arrived().len() == 1).then_some(()));
    eventually("the shadow is at it", || (listed(&host)["shadow"]["waiting"] == 1).then_some(()));
    let said = stamped.said(&["shadow", "show", "stamped", "--expect-same"], 1);
    assert!(said.contains("1 wait to be told"), "{said}");

    // Somebody else's eyes were on another release.
    let looked_at = listed(&host)["shadow"]["release"].as_str().unwrap().to_owned();
    stamped.said(&["shadow", "abort", "stamped", &looked_at], 0);
    limited(3, "");
    stamped.said(&["deploy", "--shadow"], 0);
    for act in ["finish", "abort"] {
        let refused = stamped.said(&["shadow", act, "stamped", &looked_at[..12]], 1);
        assert!(refused.contains("LG-7017") && refused.contains("is not the one"), "{refused}");
    }
    // The place of the one that was given up is free, whatever it was at.
    post_all(&host, 2, 2);
    assert_eq!(verdicts(&told(&host, &stamped, 1)), only("changed", 1));
    nothing_left(&host);
    let by = listed(&host)["shadow"]["release"].as_str().unwrap()[..12].to_owned();
    assert!(stamped.said(&["shadow", "show", "stamped"], 0).contains(&format!("lockgate shadow finish stamped {by}")));
    assert!(stamped.said(&["shadow", "finish", "stamped", &by], 0).contains("is active"));
}

#[test]
fn what_cannot_be_its_shadow_is_refused_and_approved_first() {
    let stamped = Stamped::new();
    let path = stamped.workspace.path().join("lockgate.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(path, format!("{text}[approval]\nof = \"every\"\n")).unwrap();
    let host = Host::start(&stamped.workspace);
    assert!(stamped.said(&["deploy", "--shadow", "--canary", "10%"], 2).contains("cannot be used with"));
    let both =
        json!({ "releases": [{ "integration": "stamped", "file": "", "plugins": [] }], "canary-per-mille": 1, "shadow": true }).to_string();
    assert_eq!(host.api_raw("POST", "/api/v1/releases", both).status, 400);
    for command in ["show", "finish", "abort"] {
        assert!(stamped.said(&["shadow", command, "stamped"], 1).contains("LG-7004"), "{command}");
        assert!(stamped.said(&["shadow", command, "nobody"], 1).contains("LG-7004"), "{command}");
    }
    let first = std::fs::read_to_string(stamped.workspace.path().join("integrations/stamped.toml")).unwrap();
    stamped.workspace.write("integrations/another.toml", &first.replace("\"/in\"", "\"/another\""));
    let refused = stamped.said(&["deploy", "another", "--shadow"], 1);
    assert!(refused.contains("LG-7020") && refused.contains("nothing is active"), "{refused}");
    // Which of them, somebody has to say.
    let which = stamped.said(&["deploy", "--shadow"], 2);
    assert!(which.contains("--shadow takes one integration") && which.contains("lockgate deploy another --shadow"), "{which}");
    std::fs::remove_file(stamped.workspace.path().join("integrations/another.toml")).unwrap();
    // What other sources would take in, it could not tell.
    stamped.becomes_keyed(2, "", "json:/other");
    let refused = stamped.said(&["deploy", "--shadow"], 1);
    assert!(refused.contains("LG-7020") && refused.contains("its sources are others"), "{refused}");

    stamped.becomes(2, "");
    assert!(stamped.said(&["deploy", "--shadow"], 0).contains("waits for approval"));
    assert!(listed(&host)["shadow"].is_null());
    let release = listed(&host)["waits-for-approval"]["release"].as_str().unwrap().to_owned();
    let waits = stamped.said(&["releases", "stamped"], 0);
    assert!(waits.contains("waits for approval to be a shadow; once approved, it may be made the active one"), "{waits}");
    let anna = token(&stamped.workspace, "anna", "approver");
    let told = stamped.said(&["approve", "stamped", &release, "--note", "look at it", "--token", &anna], 0);
    assert!(told.contains("runs beside the active one"), "{told}");
    assert_eq!(listed(&host)["shadow"]["release"], json!(release));

    let otherwise = stamped.said(&["canary", "abort", "stamped"], 1);
    assert!(otherwise.contains("as a shadow, not as a canary") && otherwise.contains("lockgate shadow abort"), "{otherwise}");
    let again = stamped.said(&["deploy", "--shadow"], 1);
    assert!(again.contains("LG-7020") && again.contains("already"), "{again}");
    let retired = host.api_raw("POST", "/api/v1/integrations/stamped/retire", "{}");
    assert_eq!((retired.status, retired.json()["code"].as_str()), (409, Some("LG-7020")));
    assert!(stamped.said(&["shadow", "finish", "stamped"], 0).contains("is active"), "what was approved need not be approved again");
    stamped.becomes(3, "");
    stamped.said(&["deploy", "--shadow"], 0);
    let viewer = token(&stamped.workspace, "wallboard", "viewer");
    let as_viewer = |method: &str| {
        let url = format!("{}/api/v1/integrations/stamped/shadow", host.admin);
        let bearer = format!("Bearer {viewer}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        request(method, &url, &headers, if method == "GET" { "" } else { "{\"act\":\"abort\"}" }).unwrap().status
    };
    // Nobody has approved this one yet.
    assert_eq!((as_viewer("GET"), as_viewer("POST")), (404, 403));
}

#[test]
fn a_person_sees_it_as_it_goes_and_each_rehearsal_afterwards() {
    let stamped = Stamped::new();
    let host = Host::start(&stamped.workspace);
    stamped.becomes(2, "");
    stamped.said(&["deploy", "--shadow"], 0);
    let Some(mut browser) = Browser::start("a_person_sees_it_as_it_goes_and_each_rehearsal_afterwards") else { return };
    browser.open(&link(&stamped.workspace));
    browser.click("a[href='/integrations/stamped']");
    browser.wait_for_text("Runs beside the active release, without effect");
    browser.evaluate("window.loadedOnce = true");
    browser.wait_for_text("Live");
    post_all(&host, 1, 12);
    browser.wait_until("twelve are told", "document.querySelector('ul.verdicts li:nth-child(2) b').innerText === '12'");
    assert_eq!(browser.evaluate("window.loadedOnce"), true, "without a page being loaded");
    browser.picture("shadow-integration");
    browser.click("a[href='/integrations/stamped/shadow']");
    browser.wait_for_text("What would be another");
    for (scheme, name) in [("dark", "shadow-dark"), ("light", "shadow-light")] {
        browser.prefers(scheme);
        browser.picture(name);
    }
    browser.phone();
    browser.picture("shadow-phone");
    let width = browser.evaluate("document.documentElement.scrollWidth");
    assert!(width.as_u64().unwrap() <= 390, "{width}: wider than a phone");
    browser.desktop();

    eventually("all of it is recorded", || {
        let output = stamped.workspace.lockgate(&["rehearse", "stamped", "--env", "test", "--json"]);
        let report: Value = serde_json::from_slice(&output.stdout).ok()?;
        (report["messages"] == 12).then_some(())
    });
    browser.click("a[href='/integrations/stamped']");
    browser.wait_for_text("Rehearsals");
    browser.picture("rehearsals");
    browser.click("a[href*='/rehearsals/']");
    browser.wait_for_text("Rehearsal of stamped");
    browser.picture("rehearsal");
    assert!(browser.complaints().is_empty());
}
