//! Targets that mean harm, over the real binary: each costs its own messages their named outcome, no credential comes back, and what
//! goes to other targets flows meanwhile.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::support::host::Host;
use crate::support::shop::{accepted, order, post_order};
use crate::support::shop_to_crm::{Outside, workspace};
use crate::support::workspace::Workspace;
use crate::support::{eventually, holding};

const CANARY: &str = "c4nary/of+the=upstream";

/// What a target does with a request whose head it has read.
type Deed = fn(&str, TcpStream);

/// A target on loopback, and how often it was asked.
struct Target {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Target {
    fn start(deed: Deed) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, asked) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let count = asked.clone();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let count = count.clone();
                std::thread::spawn(move || {
                    let mut head = Vec::new();
                    let mut byte = [0];
                    while !head.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
                        head.push(byte[0]);
                    }
                    count.fetch_add(1, Ordering::SeqCst);
                    deed(&String::from_utf8_lossy(&head), stream);
                });
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// Says `text` again and again until nobody listens any more.
fn babble(mut stream: TcpStream, first: &str, again: &str) {
    let again = again.repeat(1000);
    let _ = stream.write_all(first.as_bytes());
    while !again.is_empty() && stream.write_all(again.as_bytes()).is_ok() {}
}

fn say(stream: TcpStream, text: &str) {
    babble(stream, text, "");
}

fn flow(name: &str, url: &str) -> (String, String) {
    let integration = format!(
        "[integration]\ndescription = \"{name}\"\nowner = {{ team = \"t\", contact = \"c\" }}\n\
         [[source]]\nwebhook = {{ path = \"/{name}\", verify = \"none\" }}\n\
         [sink]\nplugin = \"http-post@1\"\nconfig = {{ path = \"/in\" }}\nbind = {{ target = \"{name}\" }}\n\
         [delivery]\nattempts = 1\n"
    );
    let auth = "auth = { bearer = { token = { file = \"canary.secret\" } } }";
    (integration, format!("[alias.{name}]\nurl = \"{url}\"\n{auth}\nnetwork = [\"127.0.0.0/8\"]\n"))
}

/// The shop's example with one more integration and alias for each of `targets`.
fn hostile_workspace(outside: &Outside, targets: &[(&str, String)]) -> Workspace {
    let workspace = workspace(outside);
    workspace.write("canary.secret", CANARY);
    let mut environment = std::fs::read_to_string(workspace.path().join("environments/test.toml")).unwrap();
    for (name, url) in targets {
        let (integration, alias) = flow(name, url);
        workspace.write(&format!("integrations/{name}.toml"), &integration);
        environment.push_str(&alias);
    }
    workspace.write("environments/test.toml", &environment);
    workspace
}

/// What is sent must not be what was sent before.
fn post(host: &Host, name: &str) -> String {
    static SENT: AtomicUsize = AtomicUsize::new(0);
    let body = format!("message {}", SENT.fetch_add(1, Ordering::SeqCst));
    accepted(&host.post(&format!("/{name}"), &[("content-type", "text/plain")], body))
}

#[track_caller]
fn flows(host: &Host, outside: &Outside, number: u64) {
    let opportunities = || outside.crm.received().records.keys().filter(|(kind, _)| kind == "Opportunity").count();
    let before = opportunities();
    accepted(&post_order(host, &format!("evt-{number}"), &order(number, number, "1.00")));
    eventually("the order is in the CRM", || (opportunities() > before).then_some(()));
}

#[track_caller]
fn dead_letter(host: &Host, integration: &str) -> Value {
    eventually(&format!("{integration} has its dead letter"), || {
        host.api(&format!("/api/v1/dead-letters?integration={integration}"))["dead-letters"].as_array().unwrap().first().cloned()
    })
}

#[test]
fn targets_that_redirect_flood_or_never_end_cost_their_own_messages_and_nobody_elses() {
    let elsewhere = Target::start(|_, stream| say(stream, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
    // Static, because a deed is a plain function.
    static ELSEWHERE: std::sync::OnceLock<SocketAddr> = std::sync::OnceLock::new();
    ELSEWHERE.set(elsewhere.address).unwrap();
    let deeds: &[(&str, &str, Deed)] = &[
        ("redirects", "http-302", |_, stream| {
            let location = ELSEWHERE.get().unwrap();
            say(stream, &format!("HTTP/1.1 302 Found\r\nlocation: http://{location}/\r\ncontent-length: 0\r\n\r\n"));
        }),
        ("headers", "http-answer-too-large", |_, stream| babble(stream, "HTTP/1.1 200 OK\r\n", "x-many: y\r\n")),
        ("many", "http-answer-too-large", |_, stream| say(stream, &format!("HTTP/1.1 200 OK\r\n{}\r\n", "x-many: y\r\n".repeat(33_000)))),
        ("chunks", "http-answer-too-large", |_, stream| {
            babble(stream, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "4\r\nabcd\r\n")
        }),
        ("body", "http-answer-too-large", |_, stream| babble(stream, "HTTP/1.1 200 OK\r\n\r\n", "a body without end ")),
        ("length", "http-answer-too-large", |_, stream| babble(stream, "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n", "x")),
    ];
    let outside = Outside::start();
    let targets: Vec<Target> = deeds.iter().map(|(_, _, deed)| Target::start(*deed)).collect();
    let trickle = Target::start(|_, mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n");
        while stream.write_all(b"x").is_ok() {
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
    });
    let mut urls: Vec<_> = deeds.iter().zip(&targets).map(|((name, ..), target)| (*name, format!("http://{}", target.address))).collect();
    urls.push(("trickle", format!("http://{}", trickle.address)));
    let workspace = hostile_workspace(&outside, &urls);
    let host = Host::start(&workspace);
    flows(&host, &outside, 1);
    // While one target keeps its caller waiting a byte at a time, all that follows happens.
    let waiting = post(&host, "trickle");
    eventually("it is asked", || (trickle.asked() > 0).then_some(()));
    for (name, expected, _) in deeds {
        post(&host, name);
        flows(&host, &outside, 100 + u64::try_from(name.len()).unwrap() + 10 * u64::from(name.as_bytes()[0]));
        let letter = dead_letter(&host, name);
        let said = letter.to_string();
        assert!(said.contains(expected), "{name}: {letter:#}");
        assert!(!said.contains(CANARY), "{name}: {letter:#}");
    }
    assert_eq!(elsewhere.asked(), 0, "a redirect is an answer");
    assert_eq!(host.api(&format!("/api/v1/messages/{waiting}"))["outcome"], Value::Null);
    flows(&host, &outside, 2);
}

/// Everything in `text` once more in spellings that servers use.
fn spelled(text: &str) -> String {
    let percent: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let unicode: String = text.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
    [
        text.to_owned(),
        STANDARD.encode(text),
        STANDARD.encode(format!("x{text}")),
        hex::encode(text),
        percent.clone(),
        percent.to_uppercase(),
        unicode,
    ]
    .join(" ; ")
}

/// What a canary looks like in each of those.
fn canaries() -> Vec<String> {
    // Of base64 at another alignment, what the canary's own bits make.
    let inner = STANDARD.encode(format!("x{CANARY}"));
    let mut canaries: Vec<String> = spelled(CANARY).split(" ; ").map(str::to_owned).collect();
    canaries.push(inner[2..inner.len() - 4].to_owned());
    canaries.retain(|canary| *canary != inner);
    canaries
}

#[test]
fn a_target_that_echoes_the_credential_in_every_spelling_gives_it_to_nobody() {
    let echo = Target::start(|head, stream| {
        let given = head.lines().find_map(|line| line.strip_prefix("authorization: Bearer ")).unwrap_or_default();
        let body = spelled(given);
        let length = body.len();
        say(
            stream,
            &format!(
                "HTTP/1.1 400 Bad\r\nx-echo: {given}\r\nlocation: /?{given}\r\netag: \"{given}\"\r\ncontent-length: {length}\r\n\r\n{body}"
            ),
        );
    });
    let outside = Outside::start();
    let workspace = hostile_workspace(&outside, &[("echo", format!("http://{}", echo.address))]);
    let host = Host::start(&workspace);
    let id = post(&host, "echo");
    let letter = dead_letter(&host, "echo");
    assert!(letter.to_string().contains("[blanked]"), "{letter:#}");
    let message = host.api(&format!("/api/v1/messages/{id}"));
    let exchange = host.api(&format!("/api/v1/messages/{id}/attempts/{}", message["attempts"][0]["id"]));
    assert!(exchange.to_string().contains("[blanked]"), "what was answered is kept: {exchange:#}");
    let events = host.api_raw("GET", "/api/v1/events?follow=false&level=trace&last=1000", "");
    let mut texts = vec![letter.to_string(), host.logged(), message.to_string(), exchange.to_string()];
    texts.push(String::from_utf8_lossy(&events.body).into_owned());
    texts.push(host.api("/api/v1/status").to_string());
    flows(&host, &outside, 1);
    assert!(host.stop().success());
    for canary in canaries() {
        for text in &texts {
            assert!(!text.contains(&canary), "{canary} in {text}");
        }
        assert_eq!(holding(&workspace.data(), &canary), Vec::<String>::new(), "{canary}");
    }
}

#[test]
fn a_token_endpoint_that_means_harm_holds_back_its_own_messages_only() {
    let endpoints: &[(&str, Deed)] = &[
        ("huge", |_, stream| babble(stream, "HTTP/1.1 200 OK\r\n\r\n", "{\"access_token\":\"")),
        ("html", |_, stream| say(stream, "HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\n<html></html>")),
        ("crlf", |_, stream| say(stream, "HTTP/1.1 200 OK\r\ncontent-length: 36\r\n\r\n{\"access_token\":\"a\\r\\nx: y\",\"b\":1234}")),
        ("moved", |_, stream| say(stream, "HTTP/1.1 307 Moved\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n")),
    ];
    let api = Target::start(|_, stream| say(stream, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
    let outside = Outside::start();
    let targets: Vec<_> = endpoints.iter().map(|(name, deed)| (*name, Target::start(*deed))).collect();
    let urls: Vec<_> = targets.iter().map(|(name, _)| (*name, format!("http://{}", api.address))).collect();
    let workspace = hostile_workspace(&outside, &urls);
    let file = workspace.path().join("environments/test.toml");
    let mut environment = std::fs::read_to_string(&file).unwrap();
    for (name, target) in &targets {
        let (before, after) = environment.split_once(&format!("[alias.{name}]")).unwrap();
        let token_url = format!("http://{}/token", target.address);
        let auth = format!(
            "oauth2-client-credentials = {{ token-url = \"{token_url}\", client-id = \"c\", client-secret = {{ file = \"canary.secret\" }} }}"
        );
        let after = after.replacen("bearer = { token = { file = \"canary.secret\" } }", &auth, 1);
        environment = format!("{before}[alias.{name}]{after}");
    }
    std::fs::write(&file, environment).unwrap();
    let host = Host::start(&workspace);
    for (number, (name, target)) in targets.iter().enumerate() {
        let id = post(&host, name);
        eventually(&format!("{name} is asked"), || (target.asked() > 0).then_some(()));
        flows(&host, &outside, 10 + u64::try_from(number).unwrap());
        let message = host.api(&format!("/api/v1/messages/{id}"));
        assert_eq!(message["outcome"], Value::Null, "it waits, and nothing is lost: {message:#}");
    }
    assert_eq!(api.asked(), 0, "nothing is sent without a token");
    assert!(host.api("/api/v1/dead-letters")["dead-letters"].as_array().unwrap().is_empty());
    assert!(!host.logged().contains(CANARY));
}

#[test]
fn a_path_that_leaves_the_alias_is_sent_nowhere() {
    let target = Target::start(|_, stream| say(stream, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
    let outside = Outside::start();
    let workspace = hostile_workspace(&outside, &[("away", format!("http://{}/base", target.address))]);
    let file = workspace.path().join("integrations/away.toml");
    let integration = std::fs::read_to_string(&file).unwrap();
    for (number, path) in
        ["/../admin", "/%2e%2e/admin", "/x//evil.example/", "/\\\\evil.example", "/a%2fb", "/a\\r\\nx: y"].iter().enumerate()
    {
        std::fs::write(&file, integration.replace("path = \"/in\"", &format!("path = \"{path}\""))).unwrap();
        let host = Host::start_with(&workspace, &["--deploy"]);
        post(&host, "away");
        let letter = eventually("it is parked", || {
            let letters = host.api("/api/v1/dead-letters?integration=away")["dead-letters"].as_array().unwrap().clone();
            (letters.len() == number + 1).then(|| letters[0].clone())
        });
        assert!(letter.to_string().contains("denied"), "{path}: {letter:#}");
        assert!(host.stop().success());
    }
    // One that names a host is not even started with.
    std::fs::write(&file, integration.replace("path = \"/in\"", "path = \"//evil.example/\"")).unwrap();
    let refused = workspace.command("run").arg("--deploy").output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(1) && said.contains("LG-1008"), "{said}");
    assert_eq!(target.asked(), 0);
}
