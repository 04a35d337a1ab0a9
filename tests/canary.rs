//! A release tried on a share of the keys, over the real binary: a key stays on one side, a bad candidate costs no message and ends by itself.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::host::Host;
use crate::support::stamped::{Stamped, by_key, post, token};

fn listed(host: &Host) -> Value {
    host.api("/api/v1/integrations/stamped/releases")
}

fn active(host: &Host) -> String {
    let listed = listed(host);
    let active = listed["releases"].as_array().unwrap().iter().find(|release| release["state"] == "active").unwrap();
    active["release"].as_str().unwrap().to_owned()
}

#[track_caller]
fn wait_for(stamped: &Stamped, count: usize) {
    eventually(&format!("{count} messages arrive"), || (stamped.arrived().len() == count).then_some(()));
}

/// Posts the `number`-th message of each of `keys` keys.
fn round(host: &Host, keys: u64, number: u64) {
    for key in 0..keys {
        let answer = post(host, &format!("k{key}"), number);
        assert_eq!(answer.status, 202, "{answer:?}");
    }
}

/// The stamps of each key.
fn stamps(arrived: &[Value]) -> BTreeMap<String, BTreeSet<String>> {
    let mut keys = BTreeMap::<String, BTreeSet<String>>::new();
    for message in arrived {
        keys.entry(message["key"].as_str().unwrap().to_owned()).or_default().insert(message["stamp"].as_str().unwrap().to_owned());
    }
    keys
}

#[test]
fn a_key_stays_on_its_side_over_a_kill_until_the_canary_is_finished() {
    let stamped = Stamped::new();
    let host = Host::start(&stamped.workspace);
    let before = active(&host);
    stamped.becomes(2, "");
    let plan = stamped.said(&["deploy", "--canary", "40%", "--plan"], 0);
    assert!(plan.contains("would be tried on a share of the keys"), "{plan}");
    assert!(stamped.said(&["deploy", "--canary", "40%"], 0).contains("is tried on a share of the keys"));
    assert_eq!(active(&host), before);
    round(&host, 20, 1);
    round(&host, 20, 2);
    wait_for(&stamped, 40);
    host.kill();
    let host = Host::start(&stamped.workspace);
    round(&host, 20, 3);
    wait_for(&stamped, 60);
    let sides = stamps(&stamped.arrived());
    assert!(sides.values().all(|stamps| stamps.len() == 1), "{sides:?}");
    let on_two = sides.values().filter(|stamps| stamps.contains("2")).count();
    assert!((1..20).contains(&on_two), "{sides:?}");
    // One is counted when it is settled, which is after it has arrived; what the kill cut off before that is run again, and counted here.
    eventually("all twenty since the start are counted", || {
        let figures = listed(&host)["canary"]["figures"].clone();
        (figures["active"]["attempts"].as_u64()? + figures["candidate"]["attempts"].as_u64()? >= 20).then_some(())
    });
    let told = stamped.said(&["releases", "stamped"], 0);
    assert!(told.contains("is tried on 40.0 % of the keys") && told.contains("candidate:"), "{told}");

    // The values of the environment reach what is tried, too, and nothing else is tried meanwhile.
    let again = stamped.said(&["deploy", "--canary", "5%"], 1);
    assert!(again.contains("LG-7020") && again.contains("already"), "{again}");
    let retired = host.api_raw("POST", "/api/v1/integrations/stamped/retire", "{}");
    assert_eq!((retired.status, retired.json()["code"].as_str()), (409, Some("LG-7020")));

    assert!(stamped.said(&["canary", "finish", "stamped"], 0).contains("is active"));
    round(&host, 20, 4);
    wait_for(&stamped, 80);
    assert!(stamped.arrived()[60..].iter().all(|message| message["stamp"] == "2"));
    assert!(listed(&host)["canary"].is_null());
    for (key, numbers) in by_key(&stamped.arrived()) {
        assert_eq!(numbers, [1, 2, 3, 4], "{key}");
    }
}

#[test]
fn one_that_traps_ends_by_itself_and_costs_no_message() {
    let stamped = Stamped::new();
    let host = Host::start(&stamped.workspace);
    let before = active(&host);
    stamped.becomes(2, ", behave = \"trap\"");
    stamped.said(&["deploy", "--canary", "50%"], 0);
    round(&host, 40, 1);
    eventually("the canary has ended", || listed(&host)["canary"].is_null().then_some(()));
    wait_for(&stamped, 40);
    assert!(stamped.arrived().iter().all(|message| message["stamp"] == "1"), "the active release did them all");
    assert_eq!(host.api("/api/v1/dead-letters")["dead-letters"], json!([]));
    assert_eq!(active(&host), before);
    let audit = host.api("/api/v1/audit?limit=20");
    let ended = audit["entries"].as_array().unwrap().iter().find(|entry| entry["act"] == "end-canary").cloned().unwrap();
    assert!(ended["who"] == "host" && ended["after"]["why"].as_str().unwrap().contains("failed"), "{ended}");
    assert!(host.logged().contains("a canary has ended"));
}

#[test]
fn one_that_is_slow_ends_by_itself() {
    let stamped = Stamped::new();
    let host = Host::start(&stamped.workspace);
    stamped.becomes(2, ", behave = \"slow\"");
    stamped.said(&["deploy", "--canary", "50%"], 0);
    for number in 1..=8 {
        round(&host, 20, number);
    }
    eventually("the canary has ended", || listed(&host)["canary"].is_null().then_some(()));
    wait_for(&stamped, 160);
    let audit = host.api("/api/v1/audit?limit=20");
    let ended = audit["entries"].as_array().unwrap().iter().find(|entry| entry["act"] == "end-canary").cloned().unwrap();
    assert!(ended["after"]["why"].as_str().unwrap().contains("took up to"), "{ended}");
}

#[test]
fn what_cannot_be_compared_is_refused_and_what_is_tried_can_be_given_up() {
    let stamped = Stamped::new();
    let host = Host::start(&stamped.workspace);
    for share in ["0%", "100%", "101%", "-1%", "a tenth"] {
        let told = stamped.said(&["deploy", &format!("--canary={share}")], 2);
        assert!(told.contains("percentage") || told.contains("from 0.1% to 99.9%"), "{told}");
    }
    assert!(stamped.said(&["canary", "finish", "stamped"], 1).contains("tries no release"));
    stamped.becomes_keyed(2, "", "json:/other");
    let told = stamped.said(&["deploy", "--canary", "10%"], 1);
    assert!(told.contains("LG-7020") && told.contains("its sources are others"), "{told}");
    let none = json!({ "releases": [], "canary-per-mille": 0 }).to_string();
    assert_eq!(host.api_raw("POST", "/api/v1/releases", none).status, 400);

    stamped.becomes(2, "");
    stamped.said(&["deploy", "--canary", "99.9%"], 0);
    round(&host, 1, 1);
    wait_for(&stamped, 1);
    assert!(stamped.said(&["canary", "abort", "stamped"], 0).contains("tries no release any more"));
    round(&host, 1, 2);
    wait_for(&stamped, 2);
    assert_eq!(stamped.arrived().iter().map(|message| message["stamp"].clone()).collect::<Vec<_>>(), [json!("2"), json!("1")]);
    // Another deploy ends what is tried.
    stamped.said(&["deploy", "--canary", "10%"], 0);
    stamped.becomes(3, "");
    assert!(stamped.said(&["deploy"], 0).contains("is active"));
    assert!(listed(&host)["canary"].is_null());
}

#[test]
fn what_has_to_be_approved_is_tried_once_it_is() {
    let stamped = Stamped::new();
    let path = stamped.workspace.path().join("lockgate.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(path, format!("{text}[approval]\nof = \"every\"\n")).unwrap();
    let host = Host::start(&stamped.workspace);
    let before = active(&host);
    stamped.becomes(2, "");
    assert!(stamped.said(&["deploy", "--canary", "50%"], 0).contains("waits for approval"));
    assert!(listed(&host)["canary"].is_null());
    let release = listed(&host)["waits-for-approval"]["release"].as_str().unwrap().to_owned();
    let anna = token(&stamped.workspace, "anna", "approver");
    let told = stamped.said(&["approve", "stamped", &release, "--note", "try it", "--token", &anna], 0);
    assert!(told.contains("is tried on a share of the keys"), "{told}");
    assert_eq!(listed(&host)["canary"]["release"], json!(release));
    assert_eq!(active(&host), before);
}
