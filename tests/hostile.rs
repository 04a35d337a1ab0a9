//! What the world does to a host that it should not: logs nobody reads, folders that vanish, senders and operators that
//! crowd, keys of megabytes. Nothing is lost or doubled, and the host and its commands go on.

mod admin;
mod capabilities;
mod flows;
mod guests;
mod senders;
mod supply;
mod upstreams;

use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use serde_json::Value;

use crate::support::eventually;
use crate::support::host::Host;
use crate::support::http::{Answer, request, runtime, send, shopify_signature};
use crate::support::odd::odd_workspace;
use crate::support::shop::{accepted, order, post_body, post_order};
use crate::support::shop_to_crm::{Outside, workspace};
use crate::support::workspace::{SHOP_SECRET, Workspace};

fn dead_letters(host: &Host) -> Vec<Value> {
    host.api("/api/v1/dead-letters")["dead-letters"].as_array().unwrap().clone()
}

/// The same order posted `times` times at once, signed with `secret`.
fn post_at_once(host: &Host, secret: &str, times: usize) -> Vec<Answer> {
    let body = order(1, 1, "1.00").to_string();
    let signature = shopify_signature(secret, body.as_bytes());
    let headers = [
        ("content-type", "application/json"),
        ("x-shopify-topic", "orders/create"),
        ("x-shopify-webhook-id", "evt"),
        ("x-shopify-hmac-sha256", signature.as_str()),
    ];
    let url = format!("{}/shop/orders", host.ingress);
    let posts = (0..times).map(|_| send("POST", &url, &headers, body.clone()));
    runtime().block_on(join_all(posts)).into_iter().map(Result::unwrap).collect()
}

#[test]
fn a_host_whose_log_nobody_reads_any_more_goes_on() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    let mut command = workspace.command("run");
    command.args(["--ingress", "127.0.0.1:0", "--admin", "127.0.0.1:0"]).env("LOCKGATE_LOG", "lockgate=debug");
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let running: Value =
        eventually("the host is up", || serde_json::from_slice(&std::fs::read(workspace.data().join("host.json")).ok()?).ok());
    // From here on every line of log is a broken pipe.
    drop(child.stderr.take());
    for n in 1..=3 {
        accepted(
            &post_body(running["ingress"].as_str().unwrap(), &format!("evt-{n}"), order(n, n, "1.00").to_string().as_bytes()).unwrap(),
        );
    }
    eventually("the orders are in the CRM", || (outside.crm.received().requests.len() >= 3).then_some(()));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn nothing_is_acknowledged_once_the_data_folder_is_gone() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    let host = Host::start(&workspace);
    accepted(&post_order(&host, "evt-1", &order(1, 1, "1.00")));
    let aside = workspace.path().join("aside");
    std::fs::rename(workspace.data(), &aside).unwrap();
    let refused = post_order(&host, "evt-2", &order(2, 2, "1.00"));
    assert_eq!((refused.status, refused.json()["code"].as_str().unwrap()), (503, "LG-4006"));
    let again = post_order(&host, "evt-1", &order(1, 1, "1.00"));
    assert_eq!(again.status, 503, "that it is a duplicate says that the first one is on disk");
    assert_eq!(request("GET", &format!("{}/readyz", host.admin), &[], "").unwrap().status, 503);
    std::fs::rename(&aside, workspace.data()).unwrap();
    accepted(&post_order(&host, "evt-2", &order(2, 2, "1.00")));
}

#[test]
fn a_damaged_plugin_in_the_data_folder_is_mended_from_the_workspace() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    assert!(Host::start(&workspace).stop().success());
    let kept = std::fs::read_dir(workspace.data().join("plugins")).unwrap().next().unwrap().unwrap().path();
    let good = std::fs::read(&kept).unwrap();
    let mut bytes = good.clone();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&kept, bytes).unwrap();
    let host = Host::start(&workspace);
    assert_eq!(std::fs::read(&kept).unwrap(), good);
    accepted(&post_order(&host, "evt-1", &order(1, 1, "1.00")));
    eventually("the order is in the CRM", || outside.crm.received().requests.first().map(|_| ()));
}

#[test]
fn the_same_event_many_times_at_once_is_accepted_once() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    let host = Host::start(&workspace);
    let answers = post_at_once(&host, SHOP_SECRET, 100);
    let ids: std::collections::BTreeSet<String> = answers.iter().map(|answer| answer.json()["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), 1, "all are told the same id");
    assert_eq!(answers.iter().filter(|answer| answer.json()["status"] == "accepted").count(), 1);
}

#[test]
fn a_flood_of_bad_signatures_writes_nothing() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    let host = Host::start(&workspace);
    let written = || {
        let files = ["lockgate.db", "lockgate.db-wal"].map(|file| std::fs::metadata(workspace.data().join(file)).unwrap());
        files.map(|file| (file.len(), file.modified().unwrap()))
    };
    // The start settles first: two looks that agree.
    let mut before = written();
    eventually("the start has settled", || {
        let (now, earlier) = (written(), before);
        before = now;
        (now == earlier).then_some(())
    });
    assert!(post_at_once(&host, "not the secret", 200).iter().all(|answer| answer.status == 401));
    assert_eq!(written(), before);
    let lines = host.logged().matches("a request was not verified").count();
    assert!((1..50).contains(&lines), "{lines} lines of log");
}

#[test]
fn two_operators_that_replay_the_same_dead_letter_at_once_have_one_effect() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    let host = Host::start(&workspace);
    accepted(&post_body(&host.ingress, "evt-1", b"not JSON").unwrap());
    let body = format!("{{\"ids\":[{}]}}", dead_letters(&host)[0]["id"]);
    let queued = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let token = std::fs::read_to_string(workspace.data().join("admin-token")).unwrap();
                let headers = [("authorization", format!("Bearer {}", token.trim())), ("content-type", "application/json".to_owned())];
                let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
                let answer = request("POST", &format!("{}/api/v1/dead-letters/replay", host.admin), &headers, body.clone()).unwrap();
                if answer.json()["results"][0]["result"] == "queued" {
                    queued.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    assert_eq!(queued.into_inner(), 1);
}

#[test]
fn a_key_of_megabytes_is_no_key_and_listings_stay_readable() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    let host = Host::start(&workspace);
    accepted(&post_body(&host.ingress, "evt-1", format!("{{\"customer\":{{\"id\":\"{}\"}}}}", "k".repeat(4_000_000)).as_bytes()).unwrap());
    accepted(
        &post_body(&host.ingress, "evt-2", b"{\"name\":\"x\\u001b[2J\\nfake\",\"customer\":{\"id\":\"k\\u001b[2J\\nfake row\"}}").unwrap(),
    );
    let letter = eventually("the long key is parked", || dead_letters(&host).into_iter().find(|letter| letter["class"] == "unkeyed"));
    assert!(letter["detail"].as_str().unwrap().contains("1024 are the most"), "{letter:#}");
    for arguments in [&["messages"][..], &["dead-letters", "list"], &["dead-letters", "list", "--each"], &["status"]] {
        let output = workspace.lockgate(arguments);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(!text.contains('\u{1b}') && !text.lines().any(|line| line.starts_with("fake")), "{text}");
        assert!(text.lines().all(|line| line.chars().count() < 1000), "{arguments:?}");
    }
}

/// MiB of memory the host holds now.
#[test]
fn a_plugin_that_loops_bloats_or_traps_costs_its_own_message_only() {
    let outside = Outside::start();
    let workspace = odd_workspace(&outside);
    let host = Host::start(&workspace);
    let bad = [("loop ", "cpu-exceeded"), ("bloat ", "out-of-memory"), ("trap ", "trapped"), ("host-calls 9999", "host-calls-exceeded")];
    let post = |word: &str, n: usize| accepted(&host.post("/odd", &[("content-type", "text/plain")], format!("{word}{n}")));
    let words: Vec<&str> = bad.iter().map(|(word, _)| *word).chain(["echo "]).collect();
    for n in 0..10 {
        words.iter().for_each(|word| drop(post(word, n)));
    }
    let letters = eventually("each bad message has its dead letter", || Some(dead_letters(&host)).filter(|letters| letters.len() == 40));
    for (word, class) in bad {
        assert_eq!(letters.iter().filter(|letter| letter["class"] == class).count(), 10, "{word}: {letters:#?}");
    }
    eventually("the others have arrived", || (outside.audit.kept().bodies.len() == 10).then_some(()));
    assert!(host.resident_mib() < 700, "{} MiB", host.resident_mib());
    accepted(&post_order(&host, "evt-1", &order(1, 1, "1.00")));
    eventually("orders flow on", || outside.crm.received().requests.first().map(|_| ()));
}

#[test]
fn bodies_that_break_parsers_are_taken_as_they_are_and_parked() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    let host = Host::start(&workspace);
    let deep = [b"{\"customer\":".repeat(100_000), b"1".to_vec(), b"}".repeat(100_000)].concat();
    let lists = [b"[".repeat(200_000), b"]".repeat(200_000)].concat();
    let wide = format!("{{{}\"customer\":{{\"id\":5}}}}", "\"x\":1,".repeat(200_000)).into_bytes();
    let bodies = [deep, lists, wide, Vec::new(), b"\xef\xbb\xbf{}".to_vec(), b"{\"customer\":{\"id\":\"\\ud800\"}}".to_vec()];
    for (n, body) in bodies.iter().enumerate() {
        accepted(&post_body(&host.ingress, &format!("evt-{n}"), body).unwrap());
    }
    eventually("all are parked", || (dead_letters(&host).len() == bodies.len()).then_some(()));
    // And who comes after them is served.
    accepted(&post_order(&host, "evt-ok", &order(1, 1, "1.00")));
    eventually("the order is in the CRM", || outside.crm.received().requests.first().map(|_| ()));
}

#[test]
fn secrets_are_in_no_log_no_file_and_no_answer() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    let crm_secret = std::fs::read_to_string(workspace.path().join("crm.secret")).unwrap();
    let audit_token = std::fs::read_to_string(workspace.path().join("audit.secret")).unwrap();
    let log = workspace.path().join("trace.log");
    let output = std::fs::File::create(&log).unwrap();
    let mut command = workspace.command("run");
    // Everything the host and its HTTP libraries have to say; the compiler's own trace is gigabytes and knows no secret.
    command.env("LOCKGATE_LOG", "info,lockgate=trace,hyper=trace,hyper_util=trace,h2=trace,rustls=trace,tower=trace,axum=trace,mio=trace");
    command.args(["--ingress", "127.0.0.1:0", "--admin", "127.0.0.1:0"]).stdin(Stdio::null());
    let mut child = command.stdout(output.try_clone().unwrap()).stderr(output).spawn().unwrap();
    let running: Value =
        eventually("the host is up", || serde_json::from_slice(&std::fs::read(workspace.data().join("host.json")).ok()?).ok());
    accepted(&post_body(running["ingress"].as_str().unwrap(), "evt-1", order(1, 1, "1.00").to_string().as_bytes()).unwrap());
    eventually("the order is in the CRM", || outside.crm.received().requests.first().map(|_| ()));

    let mut texts = vec![("log".to_owned(), std::fs::read(&log).unwrap())];
    for command in [&["status", "--json"][..], &["messages", "--json"], &["alias", "list", "--json"], &["alias", "test", "crm", "--json"]] {
        texts.push((command.join(" "), workspace.lockgate(command).stdout));
    }
    texts.push((
        "metrics".to_owned(),
        request("GET", &format!("{}/metrics", running["admin"].as_str().unwrap()), &[], "").unwrap().body.to_vec(),
    ));
    for file in ["lockgate.db", "lockgate.db-wal", "host.json"] {
        texts.push((file.to_owned(), std::fs::read(workspace.data().join(file)).unwrap()));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(texts[0].1.len() > 1_000, "the log was on");
    for (place, text) in &texts {
        for secret in [SHOP_SECRET, crm_secret.trim(), audit_token.trim()] {
            assert!(!text.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret} is in {place}");
        }
    }
}

#[test]
fn commands_end_orderly_where_nobody_reads_what_they_say() {
    let workspace = Workspace::empty();
    let full = || Stdio::from(std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    let status = |command: &mut std::process::Command| command.stdin(Stdio::null()).status().unwrap().code();
    let lockgate = |arguments: &[&str]| {
        let mut command = crate::support::host::lockgate(workspace.path());
        command.args(arguments);
        command
    };
    assert_eq!(status(lockgate(&["check", "--env", "none"]).stdout(Stdio::null()).stderr(full())), Some(1));
    // Half an answer is no answer.
    assert_eq!(status(lockgate(&["check", "--env", "none", "--json"]).stdout(full()).stderr(Stdio::null())), Some(1));
    // A reader that has seen enough is none of a command's business.
    let mut child = lockgate(&["check", "--env", "none", "--json"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"));
}

#[test]
fn wrong_usage_is_json_too_where_a_script_asked_for_it() {
    let workspace = Workspace::empty();
    for arguments in
        [&["no-such-command", "--json"][..], &["messages", "--limit", "0", "--json"], &["status", "--host", "http://[::1", "--json"]]
    {
        let output = workspace.lockgate(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(told["problems"][0]["code"], "LG-7006", "{told:#}");
    }
    assert_eq!(workspace.lockgate(&["--help", "--json"]).status.code(), Some(0));
}

#[test]
fn a_component_without_end_is_not_read_without_end() {
    let workspace = Workspace::empty();
    let output = workspace.lockgate(&["inspect", "/dev/zero", "--json"]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), told["problems"][0]["code"].as_str()), (Some(1), Some("LG-2002")), "{told:#}");
}
