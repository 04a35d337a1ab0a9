//! Retiring over the real binary: nothing new comes in, what waits is delivered, over restarts; then it is gone, and the others go on.

use serde_json::Value;

use crate::support::eventually;
use crate::support::host::Host;
use crate::support::shop::{accepted, order, post_order};
use crate::support::shop_to_crm::{Outside, workspace};
use crate::support::workspace::Workspace;

/// How often each opportunity was written in the CRM.
fn opportunities(outside: &Outside) -> Vec<u64> {
    let received = outside.crm.received();
    received.writes.iter().filter(|((kind, _), _)| kind == "Opportunity").map(|(_, writes)| *writes).collect()
}

fn integration(host: &Host, name: &str) -> Value {
    let status = host.api("/api/v1/status");
    status["integrations"].as_array().unwrap().iter().find(|entry| entry["name"] == name).cloned().unwrap_or_default()
}

#[track_caller]
fn wait_for_state(host: &Host, name: &str, state: &str) {
    eventually(&format!("{name} is {state}"), || (integration(host, name)["state"] == state).then_some(()));
}

#[track_caller]
fn wait_for_audited(outside: &Outside, count: usize) {
    eventually(&format!("{count} orders are with the audit service"), || (outside.audit.kept().bodies.len() == count).then_some(()));
}

/// What a command says that ends with `status`.
#[track_caller]
fn said(workspace: &Workspace, arguments: &[&str], status: i32) -> String {
    let output = workspace.lockgate(arguments);
    assert_eq!(output.status.code(), Some(status), "{output:?}");
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

fn post(host: &Host, number: u64) {
    accepted(&post_order(host, &format!("evt-{number}"), &order(1000 + number, number, "10.00")));
}

#[test]
fn what_waits_while_the_crm_is_down_is_delivered_once_over_a_kill_and_then_it_is_inactive() {
    let mut outside = Outside::start();
    let workspace = workspace(&outside);
    outside.crm_down();
    let host = Host::start(&workspace);
    (0..3).for_each(|number| post(&host, number));
    eventually("three wait for the CRM", || (integration(&host, "orders-to-crm")["waiting"] == 3).then_some(()));
    wait_for_audited(&outside, 3);

    let told = said(&workspace, &["retire", "orders-to-crm", "--reason", "the old CRM goes"], 0);
    assert!(told.contains("takes nothing new; 3 waiting are delivered first"), "{told}");
    assert!(said(&workspace, &["status"], 0).contains("the old CRM goes"));
    let told = said(&workspace, &["retire", "orders-to-audit"], 1);
    assert!(told.contains("what shop-orders writes to it would go to nobody"), "{told}");
    post(&host, 3);
    wait_for_audited(&outside, 4);
    assert_eq!(integration(&host, "orders-to-crm")["waiting"], 3, "the channel feeds it no more");
    host.kill();

    let host = Host::start(&workspace);
    assert_eq!(integration(&host, "orders-to-crm")["state"], "retiring");
    post(&host, 4);
    wait_for_audited(&outside, 5);
    assert_eq!(integration(&host, "orders-to-crm")["waiting"], 3);
    outside.crm_up();
    let told = said(&workspace, &["retire", "orders-to-crm", "--wait"], 0);
    assert!(told.contains("orders-to-crm is retired"), "{told}");
    assert_eq!(opportunities(&outside), [1, 1, 1], "each once");
    wait_for_state(&host, "orders-to-crm", "inactive");
    assert!(host.stop().success());

    let host = Host::start(&workspace);
    assert!(host.logged().contains("workspace differs from active releases (1: orders-to-crm)"), "{}", host.logged());
    assert_eq!(integration(&host, "orders-to-crm")["state"], "inactive", "its file alone does not bring it back");
    assert!(host.stop().success());
    let host = Host::start_with(&workspace, &["--deploy"]);
    post(&host, 5);
    wait_for_audited(&outside, 6);
    eventually("it delivers again", || (opportunities(&outside).len() == 4).then_some(()));
}

#[test]
fn senders_to_one_that_is_retired_get_404_and_who_takes_it_back_listens_again() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    let host = Host::start(&workspace);
    let sent = |number: u64| post_order(&host, &format!("evt-{number}"), &order(1000 + number, number, "10.00")).status;
    assert_eq!(sent(1), 202);
    wait_for_audited(&outside, 1);
    said(&workspace, &["pause", "shop-orders", "--reason", "a look"], 0);
    assert_eq!(sent(2), 202);
    let told = said(&workspace, &["retire", "shop-orders"], 0);
    assert!(told.contains("shop-orders is paused") && told.contains("will get nothing more through it"), "{told}");
    assert_eq!(sent(3), 404);
    assert!(said(&workspace, &["resume", "shop-orders"], 0).contains("still being retired"));
    wait_for_audited(&outside, 2);
    wait_for_state(&host, "shop-orders", "inactive");
    assert_eq!(sent(4), 404);
    assert!(said(&workspace, &["retire", "crm"], 2).contains("`lockgate env apply`"));

    // Now that nobody writes to what they read, both may go; nothing runs then, and nothing comes back by itself.
    said(&workspace, &["retire", "orders-to-audit", "--wait"], 0);
    said(&workspace, &["retire", "orders-to-crm", "--wait"], 0);
    assert!(host.stop().success());
    let host = Host::start(&workspace);
    assert_eq!(host.api("/api/v1/integrations")["integrations"], serde_json::json!([]));
}

#[test]
fn one_that_drains_is_taken_back_and_its_messages_go_on() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    let host = Host::start(&workspace);
    said(&workspace, &["pause", "crm", "--reason", "their maintenance"], 0);
    post(&host, 1);
    eventually("it waits", || (integration(&host, "orders-to-crm")["waiting"] == 1).then_some(()));
    said(&workspace, &["retire", "orders-to-crm"], 0);
    assert!(said(&workspace, &["resume", "orders-to-crm"], 0).contains("is taken back"));
    post(&host, 2);
    eventually("both wait", || (integration(&host, "orders-to-crm")["waiting"] == 2).then_some(()));
    said(&workspace, &["resume", "crm"], 0);
    eventually("both are delivered", || (opportunities(&outside).len() == 2).then_some(()));
    assert_ne!(integration(&host, "orders-to-crm")["state"], "inactive");
}
