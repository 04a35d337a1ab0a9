//! Targets that hang, throttle or have a rate, over the real binary: who waits for them, who does not, and what outlives a crash.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::support::build::{odd_guest, plugin_files};
use crate::support::eventually;
use crate::support::host::Host;
use crate::support::http::{request, runtime};
use crate::support::shop::accepted;
use crate::support::workspace::Workspace;

/// What a target does with a request.
#[derive(Clone, Copy, Debug)]
enum Mood {
    Takes,
    /// Answers 200.
    Answers,
    /// Answers 503.
    Fails,
    /// Takes the connection and never answers.
    Hangs,
    /// Answers 429 with this `Retry-After`.
    Throttles(&'static str),
}

/// What the target's handler has.
type Seen = Arc<Mutex<(Mood, Vec<String>)>>;

/// A target on loopback.
struct Target {
    address: SocketAddr,
    seen: Seen,
    server: JoinHandle<()>,
}

impl Target {
    fn start(mood: Mood) -> Self {
        runtime().block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let seen: Seen = Arc::new(Mutex::new((mood, Vec::new())));
            let app = Router::new().fallback(answer).with_state(seen.clone());
            let server = tokio::spawn(async move { drop(axum::serve(listener, app).await) });
            Self { address, seen, server }
        })
    }

    fn set(&self, mood: Mood) {
        self.seen.lock().unwrap().0 = mood;
    }

    /// Requests so far, but for those that ask for nothing.
    fn asked(&self) -> usize {
        self.seen.lock().unwrap().1.len()
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(State(seen): State<Seen>, body: String) -> Response {
    let mood = {
        let mut seen = seen.lock().unwrap();
        if !body.is_empty() {
            seen.1.push(body);
        }
        seen.0
    };
    match mood {
        Mood::Takes => StatusCode::CREATED.into_response(),
        Mood::Answers => "here".into_response(),
        Mood::Fails => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Mood::Hangs => std::future::pending().await,
        Mood::Throttles(after) => (StatusCode::TOO_MANY_REQUESTS, [("retry-after", after)]).into_response(),
    }
}

/// An integration called as its alias is, which posts what comes in at `/<name>`.
fn flow(workspace: &Workspace, name: &str, target: &Target, concurrency: usize, rate: &str) -> String {
    let integration = format!(
        "[integration]\ndescription = \"d\"\nowner = {{ team = \"t\", contact = \"c\" }}\n\
         [[source]]\nwebhook = {{ path = \"/{name}\", verify = \"none\" }}\n\
         [sink]\nplugin = \"http-post@1\"\nbind = {{ target = \"{name}\" }}\n\
         [delivery]\norder = \"none\"\nconcurrency = {concurrency}\n"
    );
    workspace.write(&format!("integrations/{name}.toml"), &integration);
    format!("[alias.{name}]\nurl = \"http://{}/\"\nnetwork = [\"127.0.0.0/8\"]\n{rate}\n", target.address)
}

fn workspace(flows: impl FnOnce(&Workspace) -> String) -> Workspace {
    let workspace = Workspace::empty();
    workspace.write("lockgate.toml", &format!("[plugins]\npaths = [{:?}]\n", plugin_files().display().to_string()));
    let environment = flows(&workspace);
    workspace.write("environments/test.toml", &environment);
    workspace
}

/// Messages that differ by their numbers.
fn post(host: &Host, name: &str, numbers: Range<usize>) {
    for number in numbers {
        accepted(&host.post(&format!("/{name}"), &[("content-type", "text/plain")], format!("{name} {number}")));
    }
}

fn entry(host: &Host, list: &str, name: &str) -> Value {
    let status = host.api("/api/v1/status");
    status[list].as_array().unwrap().iter().find(|entry| entry["name"] == name).unwrap().clone()
}

fn waiting(host: &Host, name: &str) -> u64 {
    entry(host, "integrations", name)["waiting"].as_u64().unwrap()
}

#[test]
fn a_target_that_hangs_under_hundreds_of_requests_holds_up_nobody_else() {
    let (hanging, well) = (Target::start(Mood::Hangs), Target::start(Mood::Takes));
    let workspace = workspace(|workspace| flow(workspace, "hanging", &hanging, 1_024, "") + &flow(workspace, "well", &well, 8, ""));
    let host = Host::start(&workspace);
    post(&host, "hanging", 0..400);
    eventually("the target that hangs has all it gets at once", || (hanging.asked() >= 96).then_some(()));
    post(&host, "well", 0..40);
    eventually("the other target has everything", || (well.asked() == 40).then_some(()));
    assert_eq!(waiting(&host, "hanging"), 400, "and meanwhile nothing of the first was answered or given up");
    // And those that took the place of the first that timed out, on a slow machine. More would have been all of the host's plugin calls.
    assert!(hanging.asked() <= 160, "{}", hanging.asked());
    host.kill();
}

#[test]
fn a_wait_the_target_asked_for_outlives_a_crash_and_a_person_can_end_it() {
    let target = Target::start(Mood::Throttles("3600"));
    let workspace = workspace(|workspace| flow(workspace, "crm", &target, 8, ""));
    let host = Host::start(&workspace);
    post(&host, "crm", 0..1);
    let throttled = |host: &Host| Some(entry(host, "aliases", "crm")).filter(|alias| alias["state"] == "throttled");
    let before = eventually("the alias is throttled", || throttled(&host));
    eventually("that is on disk", || stored(&workspace).filter(|state| state.contains("429")));
    host.kill();
    let asked = target.asked();
    let host = Host::start(&workspace);
    let after = throttled(&host).expect("it still is");
    assert_eq!((&after["since"], &after["until"], &after["detail"]), (&before["since"], &before["until"], &before["detail"]));
    post(&host, "crm", 1..6);
    assert_eq!(waiting(&host, "crm"), 6);
    assert_eq!(target.asked(), asked, "nothing was sent");
    target.set(Mood::Takes);
    let test = host.api_raw("POST", "/api/v1/aliases/crm/test", "{}");
    assert_eq!((test.status, &test.json()["reachable"]), (200, &json!(true)));
    eventually("everything is delivered", || (waiting(&host, "crm") == 0).then_some(()));
    assert_eq!(entry(&host, "aliases", "crm")["state"], "healthy");
}

/// What is kept of the one alias.
fn stored(workspace: &Workspace) -> Option<String> {
    let database = rusqlite::Connection::open(workspace.data().join(lockgate::message_store::sqlite::DATABASE_FILE)).ok()?;
    database.query_row("SELECT state FROM alias_state", [], |row| row.get(0)).ok()
}

#[test]
fn a_rate_is_kept_to_whatever_comes_in_and_over_a_crash() {
    let target = Target::start(Mood::Takes);
    let workspace = workspace(|workspace| flow(workspace, "crm", &target, 8, "rate = [\"2/s\", \"5/h\"]"));
    let host = Host::start(&workspace);
    post(&host, "crm", 0..12);
    let used_up = || Some(entry(&host, "aliases", "crm")).filter(|alias| alias["detail"] == "its rate of 5/h is used up");
    let alias = eventually("the hour is used up", used_up);
    assert_eq!((&alias["state"], &alias["limited-by"]), (&json!("throttled"), &json!("5/h")));
    let tested = workspace.command("alias").args(["test", "crm", "--host", &host.admin]).output().unwrap();
    let told = String::from_utf8(tested.stdout).unwrap();
    assert!(told.starts_with("crm: not asked (its own rate of 5/h leaves no room for a request before "), "{told}");
    assert_eq!(tested.status.code(), Some(1));
    eventually("five are delivered", || (waiting(&host, "crm") == 7).then_some(()));
    eventually("that is on disk", || stored(&workspace).filter(|state| kept_requests(state) >= 5));
    host.kill();
    let host = Host::start(&workspace);
    assert_eq!(entry(&host, "aliases", "crm")["detail"], "its rate of 5/h is used up");
    post(&host, "crm", 12..13);
    assert!(host.stop().success());
    let host = Host::start(&workspace);
    assert_eq!((target.asked(), waiting(&host, "crm")), (5, 8));
    let metrics = request("GET", &format!("{}/metrics", host.admin), &[], "").unwrap();
    let text = String::from_utf8(metrics.body.to_vec()).unwrap();
    assert!(!text.contains("result=\"failed\""), "waiting uses no attempt:\n{text}");
}

#[test]
fn a_rate_of_a_second_that_holds_up_what_waits_is_named_told_once_and_says_when_it_is_drained() {
    let target = Target::start(Mood::Takes);
    let workspace = workspace(|workspace| flow(workspace, "crm", &target, 8, "rate = [\"2/s\"]"));
    let host = Host::start(&workspace);
    post(&host, "crm", 0..60);
    let alias = eventually("the rate is named", || Some(entry(&host, "aliases", "crm")).filter(|alias| alias["state"] == "throttled"));
    assert_eq!((&alias["limited-by"], &alias["until"]), (&json!("2/s"), &json!(null)));
    assert_eq!(alias["detail"], "its rate of 2/s is the bottleneck");
    let integration = entry(&host, "integrations", "crm");
    assert_eq!((&integration["state"], &integration["held-by"]), (&json!("delivering"), &json!([])), "it goes on all the while");
    let (waiting, drained) = (integration["waiting"].as_u64().unwrap(), integration["drained-in-s"].as_u64().unwrap());
    assert!((waiting / 2 - 1..=waiting / 2 + 1).contains(&drained), "{integration}");
    let told = || workspace.lockgate(&["logs", "--json", "--host", &host.admin, "--kind", "alias"]);
    let told = eventually("it is told", || Some(String::from_utf8(told().stdout).unwrap()).filter(|told| told.contains("throttled")));
    assert!(told.contains("its rate of 2/s is the bottleneck") && told.lines().count() == 1, "{told}");
    host.kill();
}

#[test]
fn nothing_is_said_of_when_a_queue_is_drained_while_its_target_is_to_be_left_alone() {
    let target = Target::start(Mood::Takes);
    let workspace = workspace(|workspace| flow(workspace, "crm", &target, 8, ""));
    let host = Host::start(&workspace);
    post(&host, "crm", 0..10);
    eventually("some are delivered", || (waiting(&host, "crm") == 0).then_some(()));
    target.set(Mood::Throttles("3600"));
    post(&host, "crm", 10..13);
    eventually("the others are held", || (entry(&host, "integrations", "crm")["state"] == "held").then_some(()));
    assert_eq!(entry(&host, "integrations", "crm")["drained-in-s"], json!(null));
    let shown = String::from_utf8(workspace.lockgate(&["status", "--host", &host.admin]).stdout).unwrap();
    let row: Vec<&str> = shown.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!((row[..3].to_vec(), row[row.len() - 1]), (vec!["crm", "held", "3"], "-"), "{shown}");
    host.kill();
}

/// What `orders` does with each message: asks `erp`, of which answers are kept, and sends what it was answered to `crm`.
fn asks_erp_and_sends_to_crm(erp: &Target, crm: &Target) -> Workspace {
    let workspace = Workspace::empty();
    let folder = workspace.path().join("own");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::copy(odd_guest(), folder.join("odd@1.0.0.wasm")).unwrap();
    let alias = |name, target: &Target| format!("[alias.{name}]\nurl = \"http://{}/\"\nnetwork = [\"127.0.0.0/8\"]\n", target.address);
    workspace
        .write("lockgate.toml", &format!("[plugins]\npaths = [\"own\", {:?}]\n", plugin_files().display().to_string()))
        .write("environments/test.toml", &(alias("crm", crm) + &alias("erp", erp) + "stale-if-error = \"1h\"\n"))
        .write(
            "integrations/orders.toml",
            "[integration]\ndescription = \"d\"\nowner = { team = \"t\", contact = \"c\" }\n\
             [[source]]\nwebhook = { path = \"/orders\", verify = \"none\" }\nid = [\"header:X-Id\"]\n\
             [[step]]\nplugin = \"odd@1\"\ngrant = [\"key-value\", \"queue\"]\nbind = { target = \"erp\" }\n\
             [sink]\nplugin = \"http-post@1\"\nbind = { target = \"crm\" }\n[delivery]\norder = \"none\"\n",
        );
    workspace
}

#[test]
fn deliveries_go_on_with_kept_answers_while_a_target_is_down_and_their_timeline_says_so() {
    let (erp, crm) = (Target::start(Mood::Answers), Target::start(Mood::Takes));
    let workspace = asks_erp_and_sends_to_crm(&erp, &crm);
    let host = Host::start(&workspace);
    let numbers = std::cell::Cell::new(0);
    let order = || {
        numbers.set(numbers.get() + 1);
        accepted(&host.post("/orders", &[("content-type", "text/plain"), ("x-id", &numbers.get().to_string())], "http target"))
    };
    order();
    eventually("the first is delivered", || (crm.asked() == 1).then_some(()));
    erp.set(Mood::Fails);
    let orders: Vec<String> = (0..40).map(|_| order()).collect();
    eventually("the others are delivered", || (crm.asked() == 41).then_some(()));
    eventually("the breaker is open", || {
        order();
        (entry(&host, "aliases", "erp")["breaker"] != "closed").then_some(())
    });
    let last = order();
    eventually("what comes then is delivered, too", || (waiting(&host, "orders") == 0).then_some(()));
    assert!(crm.seen.lock().unwrap().1.iter().all(|body| body == "200"), "each was answered");
    for (id, instead_of) in [(&orders[0], &["503"][..]), (&last, &["breaker-open", "503"])] {
        let message = host.api(&format!("/api/v1/messages/{id}"));
        let request = &message["attempts"][0]["trace"]["calls"][0]["requests"][0];
        let stale = request["stale"]["instead-of"].as_str().unwrap_or_else(|| panic!("{message:#}"));
        assert!(request["answer"] == "200" && instead_of.contains(&stale), "{request:#}");
        let shown = String::from_utf8(workspace.lockgate(&["message", id]).stdout).unwrap();
        assert!(shown.contains("via erp → 200, kept ") && shown.contains(&format!(" s ago, instead of {stale} (")), "{shown}");
    }
    let metrics = request("GET", &format!("{}/metrics", host.admin), &[], "").unwrap();
    let text = String::from_utf8(metrics.body.to_vec()).unwrap();
    assert!(text.contains("lockgate_http_out_seconds_count{alias=\"erp\",status=\"stale\"}"), "{text}");
    assert!(!text.contains("result=\"failed\""), "{text}");
    host.kill();
}

/// Requests that the kept windows of an alias hold.
fn kept_requests(state: &str) -> u64 {
    let state: Value = serde_json::from_str(state).unwrap();
    let windows = state["kept"]["rate"].as_array().unwrap();
    let of = |window: &Value| window["grains"].as_array().unwrap().iter().map(|grain| grain[2].as_u64().unwrap()).sum::<u64>();
    windows.iter().map(of).max().unwrap_or(0)
}
