//! Sources that the host asks itself, over the real binary: a shop that is polled beside its webhook, a host that dies, a line of cron.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::support::build::{odd_guest, plugin_files};
use crate::support::eventually;
use crate::support::host::Host;
use crate::support::http::{hex_signature, runtime};
use crate::support::shop::accepted;
use crate::support::workspace::{SHOP_SECRET, Workspace};

/// A shop that is polled, and the system that gets what comes: one server.
#[derive(Debug, Default)]
struct Seen {
    /// The body it answers a poll from this cursor with; 503 for one that is not there.
    pages: Vec<(&'static str, &'static str)>,
    /// Cursors it was asked with.
    polls: Vec<String>,
    /// Bodies that were posted to it.
    posted: Vec<String>,
}

struct Shop {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    server: JoinHandle<()>,
}

impl Shop {
    fn start(pages: &[(&'static str, &'static str)]) -> Self {
        runtime().block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let seen = Arc::new(Mutex::new(Seen { pages: pages.to_vec(), ..Seen::default() }));
            let app = Router::new().fallback(answer).with_state(seen.clone());
            let server = tokio::spawn(async move { drop(axum::serve(listener, app).await) });
            Self { address, seen, server }
        })
    }

    fn answers(&self, pages: &[(&'static str, &'static str)]) {
        self.seen.lock().unwrap().pages = pages.to_vec();
    }

    fn polls(&self) -> Vec<String> {
        self.seen.lock().unwrap().polls.clone()
    }

    fn posted(&self) -> Vec<String> {
        self.seen.lock().unwrap().posted.clone()
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(State(seen): State<Arc<Mutex<Seen>>>, method: Method, uri: Uri, body: String) -> Response {
    let mut seen = seen.lock().unwrap();
    if method == Method::POST {
        seen.posted.push(body);
        return StatusCode::CREATED.into_response();
    }
    let since = uri.query().and_then(|query| query.strip_prefix("since=")).unwrap_or_default().to_owned();
    let page = seen.pages.iter().find(|(cursor, _)| *cursor == since).map(|(_, page)| *page);
    seen.polls.push(since);
    page.map_or_else(|| StatusCode::SERVICE_UNAVAILABLE.into_response(), IntoResponse::into_response)
}

const POLL: &str =
    "[[source]]\npoll = { plugin = \"odd@1\", every = \"1s\", grant = [\"key-value\", \"queue\"], bind = { target = \"shop\" } }\n";

/// An integration `orders` with these sources, whose sink posts what comes to the shop.
fn workspace(shop: &Shop, sources: &str) -> Workspace {
    let workspace = Workspace::empty();
    let folder = workspace.path().join("own");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::copy(odd_guest(), folder.join("odd@1.0.0.wasm")).unwrap();
    let paths = format!("[plugins]\npaths = [\"own\", {:?}]\n", plugin_files().display().to_string());
    let integration = format!(
        "[integration]\ndescription = \"d\"\nowner = {{ team = \"t\", contact = \"c\" }}\n{sources}\
         [sink]\nplugin = \"http-post@1\"\nbind = {{ target = \"shop\" }}\n\
         [delivery]\nbackoff = {{ base = \"20ms\", cap = \"200ms\" }}\n"
    );
    let environment = format!(
        "[alias.shop]\nurl = \"http://{}/\"\nnetwork = [\"127.0.0.0/8\"]\nverify = {{ github = {{ secret = {{ env = \"SHOP_SECRET\" }} }} }}\n",
        shop.address
    );
    workspace.write("lockgate.toml", &paths).write("integrations/orders.toml", &integration).write("environments/test.toml", &environment);
    workspace
}

fn source(host: &Host) -> Value {
    host.api("/api/v1/status")["integrations"][0]["sources"][0].clone()
}

#[test]
fn an_unbound_slot_and_a_missing_grant_of_a_poll_are_refused_as_a_steps_are() {
    let shop = Shop::start(&[]);
    let workspace = workspace(&shop, "[[source]]\npoll = { plugin = \"odd@1\", every = \"1s\" }\n");
    let checked = workspace.command("check").output().unwrap();
    let said = String::from_utf8(checked.stderr).unwrap();
    assert_eq!(checked.status.code(), Some(1), "{said}");
    for part in ["integrations/orders.toml:5:", "LG-2003 integration orders, source 1: plugin odd imports", "to `poll` of [[source]] 1 of "]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn a_line_of_cron_that_never_fires_is_refused_with_its_place() {
    let shop = Shop::start(&[]);
    let workspace = workspace(&shop, "[[source]]\nschedule = { cron = \"0 0 30 2 *\", zone = \"Europe/Berlin\" }\n");
    let checked = workspace.command("check").output().unwrap();
    let said = String::from_utf8(checked.stderr).unwrap();
    assert_eq!(checked.status.code(), Some(1), "{said}");
    assert!(
        said.contains("orders.toml:5:21: LG-1005 `source 1.schedule.cron` = \"0 0 30 2 *\": it never fires: there is no such day"),
        "{said}"
    );
}

#[test]
fn a_shop_that_is_down_is_asked_again_and_a_cursor_that_leads_nowhere_is_told() {
    let shop = Shop::start(&[]);
    let workspace = workspace(&shop, POLL);
    let host = Host::start(&workspace);
    let down = eventually("that it cannot be polled is shown", || Some(source(&host)).filter(|source| source["result"] == "waited"));
    assert_eq!((down["source"].as_str(), down["code"].as_str()), (Some("poll odd"), Some("unavailable")));
    shop.answers(&[("", "a\nmore\n1 k one"), ("a", "a\nmore\n1 k one")]);
    let stuck = eventually("the circle is shown", || Some(source(&host)).filter(|source| source["code"] == "stuck-cursor"));
    assert_eq!(stuck["result"], "failed");
    eventually("what it brought is delivered", || (shop.posted() == ["one"]).then_some(()));
    let said = String::from_utf8(workspace.lockgate(&["status"]).stdout).unwrap();
    assert!(said.contains("poll odd of orders fails: stuck-cursor"), "{said}");
    shop.answers(&[("a", "b\nend\n2 k two")]);
    eventually("it goes on", || (shop.posted() == ["one", "two"]).then_some(()));
}

#[test]
fn what_came_by_webhook_is_not_polled_again_and_what_was_missed_is() {
    let shop = Shop::start(&[("", "a\nend\n7-v1 7 by poll\n8-v1 8 missed")]);
    let webhook = "[[source]]\nwebhook = { path = \"/orders\", verify = \"shop\" }\nid = [\"json:/version\"]\n";
    let workspace = workspace(&shop, &format!("{webhook}{POLL}"));
    let host = Host::start(&workspace);
    eventually("both are delivered", || (shop.posted().len() == 2).then_some(()));
    let post = |version: &str| {
        let body = format!("{{\"version\":\"{version}\"}}");
        let signature = format!("sha256={}", hex_signature(SHOP_SECRET, body.as_bytes()));
        host.post("/orders", &[("content-type", "application/json"), ("x-hub-signature-256", &signature)], body)
    };
    assert_eq!(post("7-v1").json()["status"], "duplicate");
    accepted(&post("9-v1"));
    shop.answers(&[("a", "b\nend\n9-v1 9 by poll\n10-v1 10 missed too")]);
    eventually("the sweep brings what was missed", || shop.posted().contains(&"missed too".to_owned()).then_some(()));
    let mut posted = shop.posted();
    // Of several keys, so in no order.
    posted.sort();
    assert_eq!(posted, ["by poll", "missed", "missed too", "{\"version\":\"9-v1\"}"]);
}

#[test]
fn a_host_that_is_killed_goes_on_where_it_was_and_brings_nothing_twice() {
    let shop = Shop::start(&[("", "a\nmore\n1 k one"), ("a", "b\nend\n2 k two")]);
    let workspace = workspace(&shop, POLL);
    let host = Host::start(&workspace);
    // Settled, too: a delivery under way at the kill would be made again, under its idempotency key.
    let settled = || host.api("/api/v1/status")["integrations"][0]["waiting"] == 0;
    eventually("both pages are delivered", || (shop.posted().len() == 2 && settled()).then_some(()));
    host.kill();
    let asked = shop.polls().len();
    shop.answers(&[("", "a\nmore\n1 k one"), ("b", "c\nend\n2 k two\n3 k three")]);
    let host = Host::start(&workspace);
    eventually("it goes on", || (shop.posted().len() == 3).then_some(()));
    assert_eq!(shop.posted(), ["one", "two", "three"]);
    assert!(shop.polls()[asked..].iter().all(|cursor| !cursor.is_empty() && cursor != "a"), "{:?}", shop.polls());
    assert!(host.stop().success());
}

#[test]
fn a_schedule_is_shown_with_its_next_time() {
    let shop = Shop::start(&[]);
    let workspace = workspace(&shop, "[[source]]\nschedule = { cron = \"0 2 * * *\", zone = \"Europe/Berlin\" }\n");
    let host = Host::start(&workspace);
    let shown = eventually("it is written down", || Some(source(&host)).filter(|source| source["next-at"].is_string()));
    assert_eq!((shown["source"].as_str(), shown["result"].as_str()), (Some("schedule 0 2 * * * Europe/Berlin"), Some("not-asked")));
    let next: jiff::Timestamp = shown["next-at"].as_str().unwrap().parse().unwrap();
    let there = next.in_tz("Europe/Berlin").unwrap();
    assert_eq!((there.hour(), there.minute()), (2, 0));
}
