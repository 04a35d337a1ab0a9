//! Channels over the real binary: an integration that comes later begins where it says.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::host::Host;
use crate::support::shop::{accepted, order, post_order};
use crate::support::shop_to_crm::{Outside, workspace};
use crate::support::workspace::Workspace;

const CUSTOMERS: u64 = 3;
const AUDIT: &str = "integrations/orders-to-audit.toml";

fn post(host: &Host, numbers: std::ops::Range<u64>) {
    for number in numbers {
        accepted(&post_order(host, &format!("evt-{number}"), &order(1000 + number, number % CUSTOMERS, "10.00")));
    }
}

/// The orders that the audit service has, as they came.
fn audited(outside: &Outside) -> Vec<u64> {
    let number = |(_, body): &(String, Bytes)| {
        let name = serde_json::from_slice::<Value>(body).unwrap()["name"].as_str().unwrap().to_owned();
        name.trim_start_matches('#').parse::<u64>().unwrap() - 1000
    };
    outside.audit.kept().bodies.iter().map(number).collect()
}

#[track_caller]
fn wait_for_audited(outside: &Outside, count: usize) {
    eventually(&format!("{count} orders are with the audit service"), || (audited(outside).len() == count).then_some(()));
}

/// The example before anybody thought of the audit service; and its file, reading `from` there.
fn without_audit(outside: &Outside, from: &str) -> (Workspace, String) {
    let workspace = workspace(outside);
    let file = workspace.path().join(AUDIT);
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(file).unwrap();
    let channel = format!("channel = {{ name = \"orders.canonical\", from = \"{from}\" }}");
    (workspace, text.replace("channel = \"orders.canonical\"", &channel))
}

fn add(workspace: &Workspace, audit: &str) {
    workspace.write(AUDIT, audit);
    let updated = workspace.lockgate(&["update"]);
    assert!(updated.status.success(), "{updated:?}");
}

#[test]
fn a_reader_from_the_earliest_gets_what_was_there_before_it_once_and_in_order_over_kills() {
    let outside = Outside::start();
    let (workspace, audit) = without_audit(&outside, "earliest");
    let host = Host::start(&workspace);
    post(&host, 0..60);
    eventually("all are in the CRM", || (host.api("/api/v1/status")["integrations"][0]["delivered-last-hour"] == 60).then_some(()));
    assert!(host.stop().success());

    add(&workspace, &audit);
    let mut host = Host::start_with(&workspace, &["--deploy"]);
    for (some, numbers) in [(1, 60..70), (15, 70..75), (40, 75..80)] {
        post(&host, numbers);
        eventually(&format!("{some} orders are with the audit service"), || (audited(&outside).len() >= some).then_some(()));
        host.kill();
        host = Host::start(&workspace);
    }
    post(&host, 80..90);
    wait_for_audited(&outside, 90);
    let all = audited(&outside);
    for customer in 0..CUSTOMERS {
        let of = |numbers: Vec<u64>| numbers.into_iter().filter(|number| number % CUSTOMERS == customer).collect::<Vec<_>>();
        assert_eq!(of(all.clone()), of((0..90).collect()), "of one customer in order, each once");
    }
    let entry =
        |status: &Value| status["integrations"].as_array().unwrap().iter().find(|entry| entry["name"] == "orders-to-audit").cloned();
    let entry = eventually("it reads live", || entry(&host.api("/api/v1/status")).filter(|entry| entry["takes-over"] == json!([])));
    assert_eq!(entry["dead-letters"], 0);
}

#[test]
fn a_reader_from_now_on_gets_what_comes_and_nothing_of_before() {
    let outside = Outside::start();
    let (workspace, audit) = without_audit(&outside, "now");
    let host = Host::start(&workspace);
    post(&host, 0..2);
    eventually("all are in the CRM", || (host.api("/api/v1/status")["integrations"][0]["delivered-last-hour"] == 2).then_some(()));
    assert!(host.stop().success());
    add(&workspace, &audit);
    let host = Host::start_with(&workspace, &["--deploy"]);
    post(&host, 2..3);
    wait_for_audited(&outside, 1);
    assert_eq!(audited(&outside), [2]);
}

#[test]
fn a_reader_that_is_full_holds_its_writer_and_status_names_it() {
    let mut outside = Outside::start();
    let workspace = workspace(&outside);
    let file = std::fs::read_to_string(workspace.path().join("lockgate.toml")).unwrap();
    workspace.write("lockgate.toml", &format!("{file}\n[limits]\nwaiting = 3\n"));
    outside.crm_down();
    let host = Host::start(&workspace);
    let entry =
        |name: &str| host.api("/api/v1/status")["integrations"].as_array().unwrap().iter().find(|entry| entry["name"] == name).cloned();
    let waiting = |name: &str, count: u64| entry(name).filter(|entry| entry["waiting"] == count);
    post(&host, 0..3);
    eventually("three wait for the CRM", || waiting("orders-to-crm", 3));
    post(&host, 3..6);
    let writer = eventually("its writer waits for that", || waiting("shop-orders", 3));
    assert_eq!((&writer["state"], &writer["held-by-readers"]), (&json!("held"), &json!(["orders-to-crm"])));
    assert_eq!(writer["drained-in-s"], Value::Null);
    let told = String::from_utf8(workspace.lockgate(&["status"]).stdout).unwrap();
    assert!(told.contains("integration shop-orders: 3 waiting, and as much waits in orders-to-crm as may"), "{told}");
    outside.crm_up();
    eventually("all is delivered", || waiting("orders-to-crm", 0).and(waiting("shop-orders", 0)));
    wait_for_audited(&outside, 6);
}
