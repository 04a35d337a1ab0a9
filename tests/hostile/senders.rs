//! Senders that mean harm, over the real binary: floods, slow heads, requests of two meanings, bodies that break parsers, replays.
//! Afterwards the host answers as before, and the messages of others flow.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use crate::support::eventually;
use crate::support::host::Host;
use crate::support::http::{request, shopify_signature};
use crate::support::shop::{accepted, order, post_order};
use crate::support::shop_to_crm::{Outside, workspace};
use crate::support::workspace::{SHOP_SECRET, Workspace};

/// What a host may hold more after an attack than before: what the allocator keeps, and caches that fill once.
const MEMORY_MIB_MORE_MAX: u64 = 96;
/// Of the flood; `LOCKGATE_FLOOD` makes it another number.
const FLOOD: usize = 100_000;
const FLOOD_CONNECTIONS: usize = 4;
/// Requests that are sent before their answers are read.
const IN_A_ROW: usize = 100;

struct Scene {
    outside: Outside,
    workspace: Workspace,
    host: Host,
}

impl Scene {
    /// The shop's example, and an integration that hands on what anybody sends it.
    fn start() -> Self {
        let outside = Outside::start();
        let workspace = workspace(&outside);
        let raw = "[integration]\ndescription = \"raw\"\nowner = { team = \"t\", contact = \"c\" }\n\
                   [[source]]\nwebhook = { path = \"/raw\", verify = \"none\" }\n\
                   [sink]\nplugin = \"http-post@1\"\nconfig = { path = \"/orders\" }\nbind = { target = \"audit\" }\n";
        workspace.write("integrations/raw.toml", raw);
        let host = Host::start(&workspace);
        Self { outside, workspace, host }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.host.ingress.trim_start_matches("http://")).unwrap();
        // A limit, so that a host that never answers fails the test and does not hang it.
        stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        stream
    }

    /// An order goes its whole way, and the host is well.
    #[track_caller]
    fn flows(&self, number: u64) {
        assert_eq!(request("GET", &format!("{}/healthz", self.host.admin), &[], "").unwrap().status, 200);
        let before = self.opportunities();
        accepted(&post_order(&self.host, &format!("evt-after-{number}"), &order(50_000 + number, number, "1.00")));
        eventually("the order is in the CRM", || (self.opportunities() > before).then_some(()));
    }

    fn opportunities(&self) -> usize {
        self.outside.crm.received().records.keys().filter(|(kind, _)| kind == "Opportunity").count()
    }

    fn messages(&self) -> Vec<Value> {
        self.host.api("/api/v1/messages?limit=1000")["messages"].as_array().unwrap().clone()
    }

    /// Length and time of change of the database's files.
    fn written(&self) -> Vec<(u64, std::time::SystemTime)> {
        let files = ["lockgate.db", "lockgate.db-wal"].map(|file| std::fs::metadata(self.workspace.data().join(file)).unwrap());
        files.iter().map(|file| (file.len(), file.modified().unwrap())).collect()
    }
}

/// Posts `times` requests whose signature is not right and counts how many of the answers are 401.
fn flood(mut stream: TcpStream, times: usize) -> usize {
    let body = "{\"id\":1}";
    let signature = shopify_signature("not the secret", body.as_bytes());
    let length = body.len();
    let one = format!(
        "POST /shop/orders HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\nx-shopify-hmac-sha256: {signature}\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    let (row, mut refused, mut buffer) = (one.repeat(IN_A_ROW), 0, Vec::new());
    for _ in 0..times / IN_A_ROW {
        stream.write_all(row.as_bytes()).unwrap();
        let mut answered = 0;
        while answered < IN_A_ROW {
            let mut piece = [0; 64 * 1024];
            let read = stream.read(&mut piece).unwrap();
            assert!(read > 0, "the host closed the connection");
            buffer.extend_from_slice(&piece[..read]);
            // Each answer ends where its problem details do.
            while let Some(end) = buffer.windows(2).position(|window| window == b"\"}") {
                refused += usize::from(buffer.starts_with(b"HTTP/1.1 401"));
                buffer.drain(..end + 2);
                answered += 1;
            }
        }
    }
    refused
}

#[test]
fn a_hundred_thousand_bad_signatures_write_nothing_and_take_no_memory() {
    let scene = Scene::start();
    scene.flows(1);
    let times = std::env::var("LOCKGATE_FLOOD").ok().and_then(|times| times.parse().ok()).unwrap_or(FLOOD);
    // The way to the steady state is not what is measured.
    flood(scene.connect(), 1000);
    let (memory, messages) = (scene.host.resident_mib(), scene.messages().len());
    let mut before = scene.written();
    eventually("the order before is settled", || {
        let now = scene.written();
        let settled = now == before;
        before = now;
        settled.then_some(())
    });
    let share = times / FLOOD_CONNECTIONS;
    let floods: Vec<_> =
        (0..FLOOD_CONNECTIONS).map(|_| scene.connect()).map(|stream| std::thread::spawn(move || flood(stream, share))).collect();
    let refused: usize = floods.into_iter().map(|flood| flood.join().unwrap()).sum();
    assert_eq!(refused, share * FLOOD_CONNECTIONS);
    assert_eq!((scene.written(), scene.messages().len()), (before, messages));
    let lines = scene.host.logged().matches("a request was not verified").count();
    assert!((1..2_000).contains(&lines), "{lines} lines of log");
    let now = scene.host.resident_mib();
    assert!(now <= memory + MEMORY_MIB_MORE_MAX, "{memory} MiB before, {now} MiB after");
    scene.flows(2);
}

#[test]
fn three_hundred_senders_that_never_end_their_headers_are_cut_off_and_hold_up_nobody() {
    let scene = Scene::start();
    let memory = scene.host.resident_mib();
    let slow: Vec<_> = (0..300)
        .map(|n| {
            let mut stream = scene.connect();
            let head = if n % 2 == 0 { "POST /shop/orders HTTP/1.1\r\nhost: a\r\nx-slow: " } else { "POST /raw HTTP/1.1\r\nx-a: " };
            stream.write_all(head.as_bytes()).unwrap();
            stream
        })
        .collect();
    scene.flows(1);
    for mut stream in slow {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    }
    assert!(scene.host.resident_mib() <= memory + MEMORY_MIB_MORE_MAX);
    assert_eq!(scene.messages().iter().filter(|message| message["origin"] == "webhook /raw").count(), 0);
    scene.flows(2);
}

#[test]
fn a_request_of_two_lengths_smuggles_nothing_past_a_proxy() {
    let scene = Scene::start();
    let smuggled = "POST /raw HTTP/1.1\r\nhost: a\r\ncontent-length: 8\r\n\r\nsmuggled";
    for lengths in [
        "content-length: 4\r\ncontent-length: 5\r\n",
        "content-length: 60\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 60\r\n",
        "transfer-encoding: identity\r\n",
        "content-length: 4\r\n\t5\r\n",
    ] {
        let mut stream = scene.connect();
        stream.write_all(format!("POST /raw HTTP/1.1\r\nhost: a\r\n{lengths}\r\n2\r\nok\r\n0\r\n\r\n{smuggled}").as_bytes()).unwrap();
        let mut answers = String::new();
        stream.read_to_string(&mut answers).unwrap();
        assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{lengths:?}: {answers}");
    }
    scene.flows(1);
    assert!(scene.outside.audit.kept().bodies.iter().all(|(_, body)| body != "smuggled"));
}

#[test]
fn bodies_go_to_the_target_byte_for_byte_whatever_is_in_them() {
    let scene = Scene::start();
    let deep = [b"[".repeat(1_000_000), b"]".repeat(1_000_000)].concat();
    let numbers =
        br#"{ "big": 9007199254740993, "huge": 1e400, "tiny": 1e-400, "zero": -0.0, "long": 0.1000000000000000055511151231257827 }"#;
    let bodies: Vec<Vec<u8>> = vec![
        numbers.to_vec(),
        br#"{"a":1,"a":2,"A":3,"":4}"#.to_vec(),
        br#"{"text":"\u0000\ud800\/ \u00fc"}"#.to_vec(),
        b"\xef\xbb\xbf{}".to_vec(),
        b"{\"latin\":\"\xfc\"}".to_vec(),
        b"{} trailing\r\n\r\n".to_vec(),
        (0..=255).collect(),
        b"\0".to_vec(),
        Vec::new(),
        deep,
    ];
    for body in &bodies {
        accepted(&scene.host.post("/raw", &[("content-type", "application/json")], body.clone()));
    }
    eventually("all are at the target", || {
        let kept = scene.outside.audit.kept();
        bodies.iter().all(|body| kept.bodies.iter().any(|(_, kept)| kept == body)).then_some(())
    });
    assert_eq!(scene.outside.audit.kept().bodies.len(), bodies.len());
    // Whoever looks at them can, too.
    for message in scene.messages() {
        scene.host.api(&format!("/api/v1/messages/{}?body=full", message["id"].as_str().unwrap()));
    }
    scene.flows(1);
}

#[test]
fn json_a_million_deep_is_parked_as_what_it_is_and_the_next_order_flows() {
    let scene = Scene::start();
    for (n, body) in [
        [b"[".repeat(1_000_000), b"]".repeat(1_000_000)].concat(),
        [b"{\"customer\":{\"id\":5},\"name\":".to_vec(), b"[".repeat(1_000_000), b"]".repeat(1_000_000), b"}".to_vec()].concat(),
        [b"{\"a\":".repeat(500_000), b"1".to_vec(), b"}".repeat(500_000)].concat(),
    ]
    .iter()
    .enumerate()
    {
        accepted(&crate::support::shop::post_body(&scene.host.ingress, &format!("evt-{n}"), body).unwrap());
    }
    let letters = eventually("all are parked", || {
        let letters = scene.host.api("/api/v1/dead-letters")["dead-letters"].as_array().unwrap().clone();
        (letters.len() == 3).then_some(letters)
    });
    for letter in letters {
        assert!(["unkeyed", "permanent"].contains(&letter["class"].as_str().unwrap()), "{letter:#}");
        scene.host.api(&format!("/api/v1/dead-letters/{}", letter["id"]));
    }
    scene.flows(1);
}

#[test]
fn a_request_that_was_caught_and_is_sent_again_under_another_id_suppresses_nothing_and_is_seen() {
    let scene = Scene::start();
    let genuine = order(1, 1, "1.00");
    let first = accepted(&post_order(&scene.host, "evt-1", &genuine));
    // Shopify signs no id: sent again as it was it is the same, and under the id of a coming event it stops none.
    assert_eq!(post_order(&scene.host, "evt-1", &genuine).json()["id"], first.as_str());
    drop(post_order(&scene.host, "evt-2", &genuine));
    accepted(&post_order(&scene.host, "evt-2", &order(2, 1, "2.00")));
    // One bit of it, and it is nobody's.
    let (body, signature) = (genuine.to_string(), shopify_signature(SHOP_SECRET, genuine.to_string().as_bytes()));
    let changed = body.replacen("\"1.00\"", "\"9.00\"", 1);
    let headers =
        [("content-type", "application/json"), ("x-shopify-topic", "orders/create"), ("x-shopify-hmac-sha256", signature.as_str())];
    assert_eq!(scene.host.post("/shop/orders", &headers, changed).status, 401);
    scene.flows(3);
}
