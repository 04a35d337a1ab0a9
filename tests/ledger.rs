//! What the ledger keeps and how people find it, over the real binary.

use serde_json::Value;

use crate::support::eventually;
use crate::support::host::Host;
use crate::support::shop::{accepted, order, post_order};
use crate::support::shop_to_crm::{Outside, workspace};
use crate::support::workspace::Workspace;
use lockgate::demo::crm::{CLIENT_SECRET, Scripted};

/// What a command prints; it must succeed.
#[track_caller]
fn printed(workspace: &Workspace, arguments: &[&str]) -> String {
    let output = workspace.lockgate(arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The message that the CRM was sent for the order accepted as `id`.
fn delivered_child(host: &Host, id: &str) -> Value {
    eventually("the order is delivered", || {
        let message = host.api(&format!("/api/v1/messages/{id}"));
        let delivered = |row: &&Value| row["integration"] == "orders-to-crm" && row["state"] == "delivered";
        message["integrations"].as_array().unwrap().iter().find(delivered).map(|_| message.clone()).or_else(|| {
            let made =
                host.api(&format!("/api/v1/messages?key={}&integration=orders-to-crm&outcome=delivered", message["key"].as_str().unwrap()));
            let child = made["messages"].as_array().unwrap().first()?.clone();
            Some(host.api(&format!("/api/v1/messages/{}", child["id"].as_str().unwrap())))
        })
    })
}

#[test]
fn keeps_what_was_sent_and_answered_and_nothing_of_a_credential() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    let host = Host::start(&workspace);
    // A target that echoes all it knows: the token it was sent, and the client's secret.
    let echo = format!(
        "{{\"error\":\"no\",\"authorization\":\"Bearer token-1\",\"secret\":\"{CLIENT_SECRET}\",\"padding\":\"{}\"}}",
        "x".repeat(70_000)
    );
    outside.crm.answer_next(Scripted { body: echo, ..Scripted::status(500) }.header("content-type", "application/json"));
    let id = accepted(&post_order(&host, "evt-1", &order(1001, 7, "10.00")));
    let message = delivered_child(&host, &id);
    let found = message["id"].as_str().unwrap();

    let attempts = message["attempts"].as_array().unwrap();
    let failed = attempts.iter().find(|attempt| attempt["result"] == "failed").unwrap();
    let exchanges = host.api(&format!("/api/v1/messages/{found}/attempts/{}", failed["id"]))["exchanges"].clone();
    let (sent, answer) = (&exchanges[0]["sent"], &exchanges[0]["answer"]);
    assert!(sent["body"]["text"].as_str().unwrap().contains("compositeRequest"), "{sent:#}");
    assert_eq!(answer["content-type"], "application/json");
    assert_eq!((&answer["truncated"], answer["body"]["text"].as_str().unwrap().len()), (&true.into(), 65_536));
    assert!(answer["body"]["text"].as_str().unwrap().contains("[blanked]"), "{answer:#}");

    let shown = printed(&workspace, &["message", &found[..18], "--bodies"]);
    for part in ["attempt failed", "attempt delivered", "compositeRequest", "the beginning is kept", "remote-id"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let data = workspace.data();
    assert!(host.stop().success());
    for file in std::fs::read_dir(data).unwrap() {
        let path = file.unwrap().path();
        let Ok(bytes) = std::fs::read(&path) else { continue };
        for secret in [CLIENT_SECRET, "token-1", lockgate::demo::audit::TOKEN] {
            let leaked = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!leaked, "{secret} is in {}", path.display());
        }
    }
}

#[test]
fn finds_a_message_by_what_people_know_of_it_and_says_when_there_is_none() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    let host = Host::start(&workspace);
    let id = accepted(&post_order(&host, "evt-1", &order(1001, 7, "10.00")));
    delivered_child(&host, &id);
    let list = |arguments: &[&str]| printed(&workspace, &[&["messages"], arguments].concat());
    assert!(list(&["--track", "order=#1001"]).contains(&id));
    assert!(list(&["--id", &id[..13]]).contains(&id));
    assert!(list(&["--since", "1h", "--outcome", "delivered"]).contains("orders-to-crm"));
    assert_eq!(list(&["--until", "1h"]), "no message fits\n");
    assert_eq!(list(&["--before", "1"]), "no more messages: that was the last page\n");
    let unknown = workspace.lockgate(&["message", "00000000"]);
    assert_eq!(unknown.status.code(), Some(1));
    let told = String::from_utf8(unknown.stderr).unwrap();
    assert!(told.contains("there is no message 00000000") && told.contains("fix:"), "{told}");
}

#[test]
fn of_two_operators_who_replay_the_same_dead_letter_one_does_and_the_other_is_told() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    let host = Host::start(&workspace);
    outside.crm.refuse("StageName", "Prospecting");
    accepted(&post_order(&host, "evt-1", &order(1001, 7, "10.00")));
    eventually("there is a dead letter", || {
        (!host.api("/api/v1/dead-letters")["dead-letters"].as_array().unwrap().is_empty()).then_some(())
    });
    outside.crm.accept_all();
    let operators: Vec<_> = (0..2).map(|_| workspace.command("dead-letters").args(["replay", "1"]).output()).map(Result::unwrap).collect();
    let told: Vec<_> = operators.iter().map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).collect();
    assert_eq!(told[0], "dead letter 1: on its way again, replay 1\n");
    assert!(told[1].starts_with("dead letter 1: already replayed at ") && told[1].ends_with(" as replay 1\n"), "{told:?}");
    assert_eq!(operators.iter().map(|output| output.status.code().unwrap()).collect::<Vec<_>>(), [0, 1]);
    eventually("it was delivered", || outside.crm.received().records.keys().find(|(kind, _)| kind == "Opportunity").map(|_| ()));
    assert!(outside.crm.received().writes.iter().all(|((kind, _), writes)| kind != "Opportunity" || *writes == 1), "one effect");
}
