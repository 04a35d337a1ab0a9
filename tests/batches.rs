//! Batches over the real binary: a sink that posts many messages in one request to a bulk endpoint on loopback.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::support::build::bulk_guest;
use crate::support::eventually;
use crate::support::host::Host;
use crate::support::http::runtime;
use crate::support::shop::accepted;
use crate::support::workspace::Workspace;

#[derive(Debug, Default)]
struct Seen {
    hangs: bool,
    /// The lines of every request.
    requests: Vec<Vec<String>>,
}

/// Answers each line on its own, or not at all.
struct BulkEndpoint {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    server: JoinHandle<()>,
}

impl BulkEndpoint {
    fn start(hangs: bool) -> Self {
        runtime().block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let seen = Arc::new(Mutex::new(Seen { hangs, requests: Vec::new() }));
            let app = Router::new().fallback(answer).with_state(seen.clone());
            let server = tokio::spawn(async move { drop(axum::serve(listener, app).await) });
            Self { address, seen, server }
        })
    }

    fn requests(&self) -> Vec<Vec<String>> {
        self.seen.lock().unwrap().requests.clone()
    }

    /// A workspace whose integration `bulk` sends here in batches of at most ten; one that is not full waits for minutes.
    fn workspace(&self) -> Workspace {
        let workspace = Workspace::empty();
        workspace.write("lockgate.toml", "[plugins]\npaths = [\"own\"]\n");
        workspace.write("own/.keep", "");
        std::fs::copy(bulk_guest(), workspace.path().join("own/bulk@1.0.0.wasm")).unwrap();
        workspace
            .write(
                "integrations/bulk.toml",
                "[integration]\ndescription = \"d\"\nowner = { team = \"t\", contact = \"c\" }\n\
                 [[source]]\nwebhook = { path = \"/bulk\", verify = \"none\" }\n\
                 [sink]\nplugin = \"bulk@1\"\nbind = { target = \"bulk\" }\nbatch = { max = 10, within = \"5m\" }\n",
            )
            .write("environments/test.toml", &format!("[alias.bulk]\nurl = \"http://{}\"\nnetwork = [\"127.0.0.0/8\"]\n", self.address));
        workspace
    }
}

impl Drop for BulkEndpoint {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(State(seen): State<Arc<Mutex<Seen>>>, body: String) -> Response {
    let lines: Vec<String> = body.lines().map(str::to_owned).collect();
    let verdicts: Vec<_> = lines.iter().map(|line| if line == "bad" { "no such thing".into() } else { format!("ok id-{line}") }).collect();
    let hangs = {
        let mut seen = seen.lock().unwrap();
        seen.requests.push(lines);
        seen.hangs
    };
    if hangs { std::future::pending().await } else { verdicts.join("\n").into_response() }
}

fn post(host: &Host, bodies: &[&str]) -> Vec<String> {
    bodies.iter().map(|body| accepted(&host.post("/bulk", &[("content-type", "text/plain")], (*body).to_owned()))).collect()
}

fn wait_until_nothing_waits(host: &Host) {
    eventually("nothing waits", || (host.api("/api/v1/status")["integrations"][0]["waiting"] == 0).then_some(()));
}

#[test]
fn a_line_that_is_refused_and_a_message_that_traps_the_plugin_die_alone() {
    let endpoint = BulkEndpoint::start(false);
    let workspace = endpoint.workspace();
    let host = Host::start(&workspace);
    let ids = post(&host, &["0", "1", "bad", "3", "4", "5", "6", "poison", "8", "9"]);
    wait_until_nothing_waits(&host);
    let dead = host.api("/api/v1/dead-letters");
    let classes: Vec<_> = dead["dead-letters"].as_array().unwrap().iter().map(|letter| letter["class"].as_str().unwrap()).collect();
    assert_eq!(classes.iter().collect::<std::collections::BTreeSet<_>>().len(), 2, "{classes:?}");
    assert!(classes.len() == 2 && classes.contains(&"permanent") && classes.contains(&"trapped"), "{classes:?}");
    let mut lines = endpoint.requests().concat();
    lines.sort_unstable();
    assert_eq!(lines, ["0", "1", "3", "4", "5", "6", "8", "9", "bad"], "each once: the plugin trapped before it sent");

    let message = host.api(&format!("/api/v1/messages/{}", ids[0]));
    let attempts = message["attempts"].as_array().unwrap();
    let calls = attempts[0]["trace"]["calls"].as_array().unwrap();
    assert_eq!((attempts.len(), &calls[0]["batch"], &calls[0]["result"]), (1, &Value::from(10), &Value::from("failed trapped")));
    assert_eq!(calls.last().unwrap()["requests"][0]["path"], "/bulk");
    let shown = String::from_utf8(workspace.lockgate(&["message", &ids[0]]).stdout).unwrap();
    assert!(shown.contains("failed trapped (batch of 10, ") && shown.contains("remote-id id-0"), "{shown}");
}

#[test]
fn what_was_in_a_batch_when_the_host_was_killed_is_delivered_by_the_next_start() {
    let endpoint = BulkEndpoint::start(true);
    let workspace = endpoint.workspace();
    let host = Host::start(&workspace);
    let bodies = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    post(&host, &bodies);
    eventually("the batch is at the endpoint", || (endpoint.requests().len() == 1).then_some(()));
    assert_eq!(endpoint.requests()[0].len(), 10);
    host.kill();
    endpoint.seen.lock().unwrap().hangs = false;
    let host = Host::start(&workspace);
    wait_until_nothing_waits(&host);
    assert!(host.api("/api/v1/dead-letters")["dead-letters"].as_array().unwrap().is_empty());
    let mut again = endpoint.requests().split_off(1).concat();
    again.sort_unstable();
    assert_eq!(again, bodies);
}
