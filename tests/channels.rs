//! Channels over the real binary: an integration that comes later begins where it says.

use bytes::Bytes;

use crate::support::eventually;
use crate::support::host::Host;
use crate::support::shop::{accepted, order, post_order};
use crate::support::shop_to_crm::{Outside, workspace};
use crate::support::workspace::Workspace;

const AUDIT: &str = "integrations/orders-to-audit.toml";

fn post(host: &Host, numbers: std::ops::Range<u64>) {
    for number in numbers {
        accepted(&post_order(host, &format!("evt-{number}"), &order(1000 + number, 7, "10.00")));
    }
}

/// The names of the orders that the audit service has, as they came.
fn audited(outside: &Outside) -> Vec<String> {
    let name = |(_, body): &(String, Bytes)| serde_json::from_slice::<serde_json::Value>(body).unwrap()["name"].to_string();
    outside.audit.kept().bodies.iter().map(name).collect()
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
fn a_reader_from_the_earliest_gets_what_was_there_before_it_once_and_in_order_over_a_kill() {
    let outside = Outside::start();
    let (workspace, audit) = without_audit(&outside, "earliest");
    let host = Host::start(&workspace);
    post(&host, 0..5);
    eventually("all are in the CRM", || (host.api("/api/v1/status")["integrations"][0]["delivered-last-hour"] == 5).then_some(()));
    assert!(host.stop().success());

    add(&workspace, &audit);
    let host = Host::start_with(&workspace, &["--deploy"]);
    post(&host, 5..8);
    host.kill();
    let host = Host::start(&workspace);
    post(&host, 8..10);
    wait_for_audited(&outside, 10);
    let names: Vec<String> = (0..10).map(|number| format!("\"#{}\"", 1000 + number)).collect();
    assert_eq!(audited(&outside), names, "all of one customer, so in order");
    let entry = |status: &serde_json::Value| {
        status["integrations"].as_array().unwrap().iter().find(|entry| entry["name"] == "orders-to-audit").cloned()
    };
    let entry =
        eventually("it reads live", || entry(&host.api("/api/v1/status")).filter(|entry| entry["takes-over"] == serde_json::json!([])));
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
    assert_eq!(audited(&outside), ["\"#1002\""]);
}
