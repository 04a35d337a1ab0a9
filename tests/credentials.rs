//! Credentials in use over the real binary: tokens that expire, are kept and are revoked, secrets that are set, an environment that changes.

use std::process::Output;

use serde_json::{Map, Value};

use crate::support::host::{Host, lockgate};
use crate::support::http::request;
use crate::support::shop::{accepted, order, post_order};
use crate::support::shop_to_crm::{Outside, workspace};
use crate::support::workspace::Workspace;
use crate::support::{eventually, holding};

const CANARY: &str = "canary-0x7f-set-by-a-person";
const SECRET: &str = "crm.client-secret";

fn post(host: &Host, numbers: std::ops::Range<u64>) {
    for number in numbers {
        accepted(&post_order(host, &format!("evt-{number}"), &order(7_000 + number, number, "10.00")));
    }
}

fn opportunities(outside: &Outside) -> usize {
    outside.crm.received().records.keys().filter(|(kind, _)| kind == "Opportunity").count()
}

#[track_caller]
fn wait_for(outside: &Outside, count: usize) {
    eventually(&format!("{count} opportunities are in the CRM"), || (opportunities(outside) == count).then_some(()));
}

fn state(host: &Host) -> String {
    let status = host.api("/api/v1/status");
    let aliases = status["aliases"].as_array().unwrap();
    aliases.iter().find(|alias| alias["name"] == "crm").unwrap()["state"].as_str().unwrap().to_owned()
}

fn text(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_token_that_expires_in_the_middle_of_a_batch_is_replaced_once_and_costs_no_attempt() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    let host = Host::start(&workspace);
    post(&host, 0..20);
    eventually("some are through", || (opportunities(&outside) >= 5).then_some(()));
    outside.crm.expire_tokens();
    post(&host, 20..40);
    wait_for(&outside, 40);
    assert_eq!(outside.crm.received().token_requests, 2);
    let metrics = request("GET", &format!("{}/metrics", host.admin), &[], "").unwrap();
    let metrics = String::from_utf8(metrics.body.to_vec()).unwrap();
    assert!(!metrics.contains("result=\"failed\""), "{metrics}");
    assert_eq!(state(&host), "healthy");
}

#[test]
fn messages_wait_for_a_revoked_secret_until_one_is_set_which_nobody_sees() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    let host = Host::start(&workspace);
    outside.crm.rotate_secret(CANARY);
    post(&host, 0..8);
    eventually("the alias is refused", || (state(&host) == "credential-refused").then_some(()));
    let refused = outside.crm.received().token_requests;
    assert!((1..=2).contains(&refused), "{refused} token requests for eight messages");
    assert!(host.logged().contains(&format!("Fix: lockgate secret set {SECRET}")), "{}", host.logged());
    assert_eq!(opportunities(&outside), 0);

    let (status, _, error) = text(&workspace.lockgate_with(CANARY, &["secret", "set", "crm.password"]));
    assert_eq!(status, 1);
    assert!(error.contains("LG-7004") && error.contains(SECRET), "{error}");
    let (status, _, error) = text(&workspace.lockgate_with("", &["secret", "set", SECRET]));
    assert_eq!((status, error.contains("no secret was given")), (2, true), "{error}");
    let (status, told, error) = text(&workspace.lockgate_with(&format!("{CANARY}\n"), &["secret", "set", SECRET]));
    assert_eq!((status, told.as_str()), (0, "crm.client-secret is set\nalias crm goes on\n"), "{error}");
    wait_for(&outside, 8);
    eventually("the alias is healthy", || (state(&host) == "healthy").then_some(()));

    let secrets = host.api("/api/v1/secrets");
    let listed = secrets["secrets"].as_array().unwrap().iter().find(|secret| secret["name"] == SECRET).unwrap();
    assert!(listed["set-at"].is_string() && listed["otherwise"] == "file crm.secret", "{listed}");
    let events = workspace.lockgate(&["logs", "--json"]).stdout;
    for (place, shown) in [
        ("API", secrets.to_string()),
        ("status", host.api("/api/v1/status").to_string()),
        ("messages", host.api("/api/v1/messages").to_string()),
        ("log", host.logged()),
        ("events", String::from_utf8(events).unwrap()),
    ] {
        assert!(!shown.contains(CANARY), "{place}: {shown}");
    }
    let token = format!("token-{}", outside.crm.received().token_requests - refused);
    for secret in [CANARY, &format!("\"{token}\"")] {
        assert_eq!(holding(&workspace.data(), secret), Vec::<String>::new(), "{secret}");
    }
    assert!(host.stop().success());
    assert_eq!(holding(&workspace.data(), CANARY), Vec::<String>::new());

    // The next start has it, and its token too.
    let asked = outside.crm.received().token_requests;
    let host = Host::start(&workspace);
    post(&host, 8..10);
    wait_for(&outside, 10);
    assert_eq!(outside.crm.received().token_requests, asked);
    let (status, _, _) = text(&workspace.lockgate(&["secret", "unset", SECRET]));
    assert_eq!(status, 0);
    outside.crm.expire_tokens();
    post(&host, 10..11);
    eventually("the file's secret counts again", || (state(&host) == "credential-refused").then_some(()));
}

#[test]
fn a_token_outlives_a_kill() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    for life in 0..3_u64 {
        let host = Host::start(&workspace);
        post(&host, life..life + 1);
        wait_for(&outside, usize::try_from(life).unwrap() + 1);
        host.kill();
    }
    assert_eq!(outside.crm.received().token_requests, 1);
}

/// The example with its CRM's secret in the store alone.
fn stored_only(outside: &Outside) -> Workspace {
    let workspace = workspace(outside);
    let environment = std::fs::read_to_string(workspace.path().join("environments/test.toml")).unwrap();
    let stored = environment.replace("client-secret = { file = \"crm.secret\" }", "client-secret = { store = true }");
    assert_ne!(environment, stored);
    workspace.write("environments/test.toml", &stored);
    workspace
}

#[test]
fn a_secret_is_set_before_the_first_start_and_a_lost_key_is_named() {
    let outside = Outside::start();
    let workspace = stored_only(&outside);
    let start = || text(&workspace.command("run").args(["--ingress", "127.0.0.1:0", "--admin", "127.0.0.1:0"]).output().unwrap());
    let (status, _, error) = start();
    assert_eq!(status, 1);
    assert!(error.contains("LG-1013") && error.contains("fix: lockgate secret set crm.client-secret"), "{error}");
    let (status, _, error) = text(&workspace.lockgate_with("x", &["secret", "set", "crm.nothing"]));
    assert_eq!((status, error.contains("crm.client-secret, ")), (1, true), "{error}");
    let (status, told, error) = text(&workspace.lockgate_with(lockgate::demo::crm::CLIENT_SECRET, &["secret", "set", SECRET]));
    assert_eq!((status, told.as_str()), (0, "crm.client-secret is set\n"), "{error}");
    let host = Host::start(&workspace);
    post(&host, 0..1);
    wait_for(&outside, 1);
    assert!(host.stop().success());

    let key = workspace.path().join(".config/lockgate/secrets.key");
    std::fs::rename(&key, workspace.path().join("kept.key")).unwrap();
    let (status, _, error) = start();
    assert_eq!(status, 1);
    assert!(error.contains("LG-3010") && error.contains("secret unset --all"), "{error}");
    workspace.write("lockgate.toml", &format!("{}\n[secrets]\nkey = {{ file = \"kept.key\" }}\n", read(&workspace, "lockgate.toml")));
    let host = Host::start(&workspace);
    let (status, _, error) = text(&workspace.lockgate(&["secret", "unset", "--all"]));
    assert_eq!((status, error.contains("the host runs")), (2, true), "{error}");
    assert!(host.stop().success());
    std::fs::remove_file(workspace.path().join("kept.key")).unwrap();
    assert_eq!(text(&workspace.lockgate(&["secret", "unset", "--all"])).0, 0);
    let (_, _, error) = start();
    assert!(error.contains("LG-1013"), "{error}");
}

#[test]
fn a_key_in_the_data_folder_is_refused() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    workspace
        .write("lockgate.toml", &format!("{}\n[secrets]\nkey = {{ file = \"data/secrets.key\" }}\n", read(&workspace, "lockgate.toml")));
    let (status, _, error) = text(&workspace.command("run").args(["--ingress", "127.0.0.1:0", "--admin", "127.0.0.1:0"]).output().unwrap());
    assert_eq!((status, error.contains("LG-3010"), error.contains("is in the data folder")), (1, true, true), "{error}");
}

fn read(workspace: &Workspace, file: &str) -> String {
    std::fs::read_to_string(workspace.path().join(file)).unwrap()
}

#[test]
fn a_changed_environment_takes_effect_while_messages_flow_and_a_wrong_one_changes_nothing() {
    let (old, new) = (Outside::start(), Outside::start());
    let workspace = workspace(&old);
    let host = Host::start(&workspace);
    post(&host, 0..3);
    wait_for(&old, 3);
    let before = read(&workspace, "environments/test.toml");
    let apply = |more: &[&str]| text(&workspace.lockgate(&[&["env", "apply"], more].concat()));
    assert_eq!(apply(&[]), (0, "environment test is as the host runs it\n".to_owned(), String::new()));

    // Wrong in itself, and then for what runs: everything is told, nothing is done.
    workspace.write("environments/test.toml", &before.replace("http://", "htp://"));
    let (status, _, error) = apply(&[]);
    assert_eq!((status, error.matches("LG-1005").count()), (1, 3), "{error}");
    workspace.write("environments/test.toml", &before.replace("[alias.crm]", "[alias.erp]").replace("audit.secret", "nothing.secret"));
    let (status, _, error) = apply(&[]);
    assert_eq!((status, error.contains("LG-1006"), error.contains("LG-1013")), (1, true, true), "{error}");
    post(&host, 3..4);
    wait_for(&old, 4);

    let changed = before.replace(&old.crm.address().to_string(), &new.crm.address().to_string());
    workspace.write("environments/test.toml", &changed.replace("\"Prospecting\"", "\"Qualification\""));
    let (status, told, error) = apply(&["--plan"]);
    assert_eq!(status, 0, "{error}");
    let url = |outside: &Outside| format!("\"http://{}/services/data/v60.0\"", outside.crm.address());
    assert!(told.contains(&format!("alias.crm.url: {} → {}\n", url(&old), url(&new))), "{told}");
    assert!(told.ends_with("values.new-order-stage: \"Prospecting\" → \"Qualification\"\nenvironment test would change\n"), "{told}");
    post(&host, 4..5);
    wait_for(&old, 5);

    post(&host, 5..15);
    let (status, told, error) = apply(&["--json"]);
    assert_eq!(status, 0, "{error}");
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&told["applied"], told["changes"].as_array().unwrap().len()), (&true.into(), 3), "{told}");
    post(&host, 15..20);
    eventually("all are in one or the other", || (opportunities(&old) + opportunities(&new) == 20).then_some(()));
    assert!(opportunities(&new) >= 5, "those that came after are in the new one");
    let in_the_new_stage = |outside: &Outside| {
        let is_in_it = |record: &&Map<String, Value>| record.get("StageName").and_then(Value::as_str) == Some("Qualification");
        outside.crm.received().records.values().filter(is_in_it).count()
    };
    assert!(in_the_new_stage(&new) >= 5, "and have the new value");
    assert_eq!(new.crm.received().token_requests, 1, "the token of the old endpoint is not the new one's");
    let letters = host.api("/api/v1/dead-letters");
    assert_eq!(letters["dead-letters"].as_array().unwrap().len(), 0, "{letters}");
    // Without the value nothing more could be transformed.
    workspace.write("environments/test.toml", &changed.replace("new-order-stage", "another"));
    let (status, _, error) = apply(&[]);
    assert_eq!((status, error.contains("LG-1007") && error.contains("orders-to-crm, step 1")), (1, true), "{error}");
    let (status, _, error) = text(&lockgate(workspace.path()).args(["env", "apply", "--env", "none"]).output().unwrap());
    assert_eq!((status, error.contains("LG-1012")), (1, true), "{error}");
}
