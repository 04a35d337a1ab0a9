//! A plugin that turns what it is granted against the host, other integrations and the systems behind its slots.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use serde_json::Value;

use super::flows::{Scene, flow, webhook, workspace};
use crate::support::build::attacks_guest;
use crate::support::eventually;
use crate::support::http::runtime;
use crate::support::shop::accepted;

/// What a target was asked, and how many requests were under way at once.
#[derive(Default)]
struct Asked {
    requests: Vec<(String, http::HeaderMap)>,
    under_way: usize,
    at_once_max: usize,
}

type Target = Arc<Mutex<Asked>>;

async fn answer(State(target): State<Target>, request: Request) -> &'static str {
    {
        let mut asked = target.lock().unwrap();
        asked.requests.push((request.uri().to_string(), request.headers().clone()));
        asked.under_way += 1;
        asked.at_once_max = asked.under_way.max(asked.at_once_max);
    }
    if request.uri().path().ends_with("/hang") {
        std::future::pending::<()>().await;
    }
    tokio::task::yield_now().await;
    target.lock().unwrap().under_way -= 1;
    "fine"
}

/// A host with the attacker, whose slot `target` is bound to a recording server under `/base`, and a victim that stores data.
fn scene(limits: &str) -> (Scene, Target) {
    let target = Target::default();
    let (listener, app) = (runtime().block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap(), Router::new().fallback(answer));
    let address = listener.local_addr().unwrap();
    runtime().spawn(axum::serve(listener, app.with_state(target.clone())).into_future());

    let workspace = workspace(&std::fs::read(attacks_guest()).unwrap(), "");
    let step = "[[step]]\nplugin = \"attack@1\"\ngrant = [\"key-value\", \"queue\"]\nbind = { target = \"target\" }\n[sink]\nchannel = \"attack.out\"\n";
    let auth = "network = [\"127.0.0.0/8\"]\nauth = { api-key = { header = \"X-Api-Key\", key = { env = \"SHOP_SECRET\" } } }\n";
    let environment =
        format!("[alias.target]\nurl = \"http://{address}/base\"\n{auth}[alias.unbound]\nurl = \"http://{address}/unbound\"\n{auth}");
    workspace
        // The guest holds what it tries to reach; that it does would else be found out before it runs.
        .write("lockgate.toml", "[plugins]\npaths = [\"plugins\"]\nknown-urls = [\"http://evil.example/\", \"https://evil.example/\"]\n")
        .write("environments/test.toml", &environment)
        .write("integrations/attack.toml", &flow(&webhook("attack"), &format!("{step}[limits]\n{limits}")))
        .write("integrations/victim.toml", &flow(&webhook("victim"), step));
    (Scene::over(workspace), target)
}

/// What the attack reports: it has found nothing that gives way.
#[track_caller]
fn holds(scene: &Scene, body: &str) -> String {
    scene.attack(1, body);
    let letter = scene.dead_letters(1).remove(0);
    assert_eq!(letter["code"], "held", "{letter:#}");
    scene.is_as_before();
    letter["detail"].as_str().unwrap().to_owned()
}

fn others_data() {
    let (scene, _) = scene("");
    let id = accepted(&scene.host.post("/victim", &[], "store secret of the other"));
    eventually("the victim has stored it", || {
        (scene.host.api(&format!("/api/v1/messages/{id}"))["outcomes"][0]["outcome"] == "skipped").then_some(())
    });
    holds(&scene, "others_data victim");
}

fn key_spellings() {
    holds(&scene("").0, "key_spellings");
}

fn alias_guessing() {
    let (scene, target) = scene("host-calls = 100000\ncpu = \"10s\"\n");
    holds(&scene, "alias_guessing unbound attack none shop crm");
    assert!(target.lock().unwrap().requests.is_empty());
}

fn header_injection() {
    let (scene, target) = scene("requests = 1000\n");
    holds(&scene, "header_injection");
    assert!(target.lock().unwrap().requests.is_empty());
}

fn path_escapes() {
    let (scene, target) = scene("requests = 1000\n");
    let sent = holds(&scene, "path_escapes");
    let asked = target.lock().unwrap();
    for (uri, headers) in &asked.requests {
        assert!(uri.starts_with("/base/") || uri == "/base", "{uri}: {sent}");
        assert!(!uri.contains("..") && headers["host"].to_str().unwrap().starts_with("127.0.0.1:"), "{uri} {headers:?}");
    }
}

fn ten_million_host_calls() {
    let (scene, _) = scene("");
    scene.attack(1, "ten_million_host_calls");
    let letter = scene.dead_letters(1).remove(0);
    assert_eq!(letter["class"], "host-calls-exceeded");
    assert!(letter["detail"].as_str().unwrap().contains("10001 made of 10000 a call (limits.host-calls)"), "{letter}");
    scene.is_as_before();
}

fn gigabyte_of_log() {
    let (scene, _) = scene("host-calls = 100000\ncpu = \"10s\"\n");
    holds(&scene, "gigabyte_of_log");
    let logged =
        eventually("the end of the call is told", || Some(scene.host.logged()).filter(|logged| logged.contains("more lines dropped")));
    assert!(logged.len() < 1 << 20, "{} bytes of log", logged.len());
    assert!(logged.contains("(limits.log)"));
}

fn log_lines_that_act() {
    let (scene, _) = scene("");
    holds(&scene, "log_lines_that_act");
    let shown = scene.workspace.lockgate(&["logs", "--json"]).stdout;
    let letters = scene.workspace.lockgate(&["dead-letters", "list"]).stdout;
    let shown = [scene.host.logged(), String::from_utf8(shown).unwrap(), String::from_utf8(letters).unwrap()];
    for text in shown {
        assert!(text.contains("forged line"), "{text}");
        assert!(!text.lines().any(|line| line.starts_with("2026-01-01T")), "a line of its own: {text}");
        assert!(!text.contains(['\x1b', '\r', '\x07']), "{text:?}");
        // JSON is for programs, and gives every letter as it is.
        assert!(text.starts_with('{') || !text.contains(['\u{9b}', '\u{202e}', '\u{2028}']), "{text:?}");
    }
}

fn requests_that_hang() {
    let (scene, target) = scene("wall = \"3s\"\n");
    let sent = scene.attack(8, "requests_that_hang");
    eventually("the target is asked", || (!target.lock().unwrap().requests.is_empty()).then_some(()));
    scene.innocent_flows();
    // Whether it gave up, was cut off, or waits for its target: no call lasts longer than it may, and each is in the ledger.
    for id in sent {
        let attempt = eventually("every call has ended", || {
            let message = scene.host.api(&format!("/api/v1/messages/{id}"));
            message["attempts"].as_array()?.first().cloned()
        });
        let calls = attempt["trace"]["calls"].as_array().cloned().unwrap_or_default();
        let sent = calls.iter().flat_map(|call| call["requests"].as_array().cloned().unwrap_or_default());
        assert!(sent.clone().count() <= 32 && sent.into_iter().all(|request| request["answer"] != "200"), "{attempt:#}");
    }
    scene.is_as_before();
}

fn five_thousand_requests() {
    let (scene, target) = scene("");
    holds(&scene, "five_thousand_requests");
    let asked = target.lock().unwrap();
    assert_eq!(asked.requests.len(), 32);
    assert!(asked.at_once_max <= 6, "{} at once", asked.at_once_max);
    assert!(scene.host.logged().contains("over the limit on requests: 5000 asked for of 32 (limits.requests)"));
}

fn quota_exhaustion() {
    let (scene, _) = scene("key-value = \"4MiB\"\ncpu = \"10s\"\n");
    holds(&scene, "quota_exhaustion");
    assert!(scene.host.logged().contains("(limits.key-value)"));
}

fn idempotency_key_forgery() {
    let (scene, target) = scene("");
    holds(&scene, "idempotency_key_forgery");
    assert!(target.lock().unwrap().requests.is_empty());
}

macro_rules! attacks {
    ($($name:ident,)*) => {
        /// One test for each attack that the guest has.
        mod each {
            $(#[test]
            fn $name() {
                super::$name();
            })*
        }
    };
}

include!("../guests/attacks/src/list.rs");

#[test]
fn a_slot_with_an_allow_list_sends_nothing_else() {
    let (scene, target) = scene("");
    let Scene { workspace, host, .. } = scene;
    assert!(host.stop().success());
    let integration = std::fs::read_to_string(workspace.path().join("integrations/attack.toml")).unwrap();
    let narrow = integration.replace("target = \"target\"", "target = { alias = \"target\", allow = [\"GET /v2/*\"] }");
    workspace.write("integrations/attack.toml", &narrow);
    let scene = Scene::deployed(workspace);
    scene.attack(1, "five_thousand_requests");
    let letter: Value = scene.dead_letters(1).remove(0);
    assert_eq!(letter["code"], "broke", "nothing is sent: {letter:#}");
    assert!(letter["detail"].as_str().unwrap().starts_with("0 sent"), "{letter:#}");
    assert!(target.lock().unwrap().requests.is_empty());
    scene.is_as_before();
}
