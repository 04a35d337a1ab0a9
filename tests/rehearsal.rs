//! Rehearsal, over the real binary: recorded traffic finds exactly the differences that were planted, and no other.

use std::collections::BTreeMap;
use std::path::PathBuf;

use lockgate::ledger::{Reader, folder};
use serde_json::{Value, json};

use crate::corpus::shopify_orders;
use crate::support::build::{bulk_guest, odd_guest, plugin_files};
use crate::support::eventually;
use crate::support::host::Host;
use crate::support::http::request;
use crate::support::shop::{order, post_body};
use crate::support::shop_to_crm::{Outside, workspace};
use crate::support::workspace::Workspace;

/// Posts at once.
const AT_ONCE: usize = 8;
const HEAD: &str = "[integration]\ndescription = \"x\"\nowner = { team = \"t\", contact = \"c@acme.example\" }\n";

/// The example, and integrations over the odd guest: `odd` into a channel, `parts` to the audit service.
fn scene(outside: &Outside) -> Workspace {
    let workspace = workspace(outside);
    let own = workspace.path().join("own");
    std::fs::create_dir_all(&own).unwrap();
    std::fs::copy(odd_guest(), own.join("odd@1.0.0.wasm")).unwrap();
    workspace.write("lockgate.toml", &format!("[plugins]\npaths = [\"own\", {:?}]\n", plugin_files().display().to_string()));
    workspace.write("integrations/odd.toml", &odd(STEP, ""));
    workspace.write("integrations/reader.toml", &format!("{HEAD}[[source]]\nchannel = \"odd.out\"\n{}", audit("/orders")));
    workspace.write("integrations/parts.toml", &format!("{}{STEP}{}", from("/parts"), audit("/orders")));
    workspace
}

const STEP: &str =
    "[[step]]\nplugin = \"odd@1\"\ngrant = [\"key-value\", \"queue\"]\nbind = { target = \"crm\" }\nconfig = { word = \"a\" }\n";

fn from(path: &str) -> String {
    format!("{HEAD}[[source]]\nwebhook = {{ path = \"{path}\", verify = \"none\" }}\n")
}

fn odd(step: &str, rest: &str) -> String {
    format!("{}{step}[sink]\nchannel = \"odd.out\"\n[delivery]\nattempts = 1\n{rest}", from("/odd"))
}

fn audit(path: &str) -> String {
    format!("[sink]\nplugin = \"http-post@1\"\nconfig = {{ path = \"{path}\" }}\nbind = {{ target = \"audit\" }}\n")
}

/// Posts all of them, several at once; every one must be accepted.
fn post_all<T: Sync>(items: &[T], post: impl Fn(usize, &T) -> u16 + Sync) {
    let each = items.len().div_ceil(AT_ONCE).max(1);
    std::thread::scope(|scope| {
        for (number, part) in items.chunks(each).enumerate() {
            let post = &post;
            scope.spawn(move || {
                for (index, item) in part.iter().enumerate() {
                    assert_eq!(post(number * each + index, item), 202);
                }
            });
        }
    });
}

fn post_orders(host: &Host, orders: &[Value]) {
    post_all(orders, |number, order| post_body(&host.ingress, &format!("evt-{number}"), order.to_string().as_bytes()).unwrap().status);
}

fn post_texts(host: &Host, path: &str, texts: &[String]) {
    let url = format!("{}{path}", host.ingress);
    post_all(texts, |_, text| request("POST", &url, &[("content-type", "text/plain")], text.clone()).unwrap().status);
}

/// Waits until nothing waits and every attempt is recorded.
fn settled(host: &Host) {
    let figures = || String::from_utf8(host.api_raw("GET", "/metrics", "").body.to_vec()).unwrap();
    let sum = |text: &str, name: &str| -> u64 {
        let lines = text.lines().filter(|line| line.starts_with(name));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    };
    eventually("all is settled and recorded", || {
        let status = host.api("/api/v1/status");
        let waiting: u64 = status["integrations"].as_array().unwrap().iter().map(|entry| entry["waiting"].as_u64().unwrap()).sum();
        let text = figures();
        let (attempts, recorded) = (sum(&text, "lockgate_attempts_total"), sum(&text, "lockgate_ledger_recorded_total"));
        (waiting == 0 && attempts == recorded).then_some(())
    });
    assert_eq!(sum(&figures(), "lockgate_ledger_dropped_total"), 0);
}

/// What `rehearse NAME` prints as JSON, and its exit status.
fn rehearse(workspace: &Workspace, name: &str, more: &[&str]) -> (Value, i32) {
    let output = workspace.lockgate(&[&["rehearse", name, "--env", "test", "--json"], more].concat());
    let told = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (told, output.status.code().unwrap())
}

/// How many of each verdict there are, those of none left out.
fn verdicts(report: &Value) -> BTreeMap<String, u64> {
    let verdicts = report["verdicts"].as_object().unwrap_or_else(|| panic!("{report:#}"));
    let verdicts = verdicts.iter().map(|(verdict, count)| (verdict.clone(), count.as_u64().unwrap()));
    verdicts.filter(|(_, count)| *count > 0).collect()
}

fn only(verdict: &str, count: usize) -> BTreeMap<String, u64> {
    BTreeMap::from([(verdict.to_owned(), count as u64)])
}

/// The groups of a kind: what they are of, where, how many.
fn groups(report: &Value, kind: &str) -> Vec<(String, String, u64)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let groups = report[kind].as_array().unwrap().iter();
    let mut groups: Vec<_> = groups.map(|group| (text(&group["of"]), text(&group["path"]), group["count"].as_u64().unwrap())).collect();
    groups.sort();
    groups
}

fn group(of: &str, path: &str, count: usize) -> (String, String, u64) {
    (of.to_owned(), path.to_owned(), count as u64)
}

/// Changes a file of the workspace.
fn edit(workspace: &Workspace, file: &str, from: &str, to: &str) {
    let text = std::fs::read_to_string(workspace.path().join(file)).unwrap();
    assert!(text.contains(from), "{file}: {text}");
    workspace.write(file, &text.replace(from, to));
}

/// Orders, some of them of two shipments, each third customer's second order in another currency.
fn orders(count: u64) -> Vec<Value> {
    let made = (0..count).map(|number| {
        let mut order = order(10_000 + number, number % 97, "12.50");
        if number % 5 == 0 {
            let mut second = order["line_items"][0].clone();
            second["id"] = json!(900_000 + number);
            second["fulfillment_service"] = json!("warehouse");
            order["line_items"].as_array_mut().unwrap().push(second);
        }
        if number % 100 == 7 {
            order["currency"] = json!("USD");
        }
        order
    });
    made.collect()
}

/// Everything that a plugin can see, and every way it can end.
fn odd_texts() -> Vec<String> {
    let words = [
        "echo plain",
        "random",
        "clock",
        "sleep 5000",
        "context",
        "config",
        "environment",
        "kv",
        "increment n",
        "queue odd.out",
        "queue nobody",
        "http target",
        "http nowhere",
        "http-many 7",
        "log 10",
        "print 10",
        "skip it",
        "permanent no",
        "transient later",
        "trap here",
        "exit",
        "many-outputs 0",
        "many-outputs 3",
        "big-output 5000",
        "naïve ☃ text",
    ];
    (0..1_000).map(|number| words[number % words.len()].to_owned()).collect()
}

/// Real orders where there are some, and texts of a test suite for JSON parsers.
fn corpus() -> (Vec<Value>, Vec<String>) {
    let Some(folder) = crate::support::corpus("rehearsal") else { return Default::default() };
    let files = std::fs::read_dir(folder.join("testsuites/json-parsing")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|end| end == "json")).collect();
    files.sort();
    let texts: Vec<_> = files.iter().filter_map(|path| String::from_utf8(std::fs::read(path).unwrap()).ok()).collect();
    assert!(texts.len() > 250, "{}", texts.len());
    (shopify_orders(&folder), texts)
}

#[test]
fn of_thousands_of_recorded_messages_exactly_the_planted_differences_are_found() {
    let outside = Outside::start();
    let workspace = scene(&outside);
    let host = Host::start(&workspace);
    let (real, texts) = corpus();
    let orders = [orders(1_200), real].concat();
    post_orders(&host, &orders);
    post_texts(&host, "/odd", &[odd_texts(), texts].concat());
    post_texts(&host, "/parts", &(0..300).map(|number| format!("tally k{} {number} {}", number % 7, 1 + number % 3)).collect::<Vec<_>>());
    settled(&host);

    // The very same releases.
    let mut messages = 0;
    for name in ["shop-orders", "orders-to-crm", "orders-to-audit", "odd", "reader", "parts"] {
        let (report, status) = rehearse(&workspace, name, &["--since", "1h", "--expect-same"]);
        let count = report["messages"].as_u64().unwrap_or_else(|| panic!("{name}: {report:#}")) as usize;
        assert_eq!((verdicts(&report), status), (only("same", count), 0), "{name}: {report:#}");
        assert_eq!(report["passed-over"], json!([]), "{name}");
        messages += count;
    }
    assert!(messages > 4_000, "{messages} messages");

    // A value that another stage has: one field of what is made, and of what is sent.
    let crm = "integrations/orders-to-crm.toml";
    let count = |verdict: &str, report: &Value| report["verdicts"][verdict].as_u64().unwrap() as usize;
    edit(&workspace, crm, "\"{values.new-order-stage}\"", "\"Closed Won\"");
    let (report, status) = rehearse(&workspace, "orders-to-crm", &["--since", "1h", "--expect-same"]);
    let all = report["messages"].as_u64().unwrap() as usize;
    assert_eq!((verdicts(&report), status), (only("changed", all), 1), "{report:#}");
    let stage = |of: &str, path: &str| group(of, path, all);
    let planted = [stage("output", OUTPUT_STAGE), stage("request crm POST /composite", REQUEST_STAGE)];
    assert_eq!(groups(&report, "changes"), planted, "{report:#}");
    let sample = &report["changes"][0]["samples"][0];
    assert_eq!((&sample["before"], &sample["after"]), (&json!("Prospecting"), &json!("Closed Won")));

    // An org with one currency: orders in another one fail, and no others; the field is left out of all others.
    edit(&workspace, crm, "\"Closed Won\"", "\"{values.new-order-stage}\", org-currency = \"EUR\"");
    let (report, _) = rehearse(&workspace, "orders-to-crm", &["--since", "1h"]);
    let failing = count("newly-failing", &report);
    let foreign = orders.iter().filter(|order| order["currency"] != "EUR").count();
    assert!(failing >= foreign && foreign >= 10, "{failing} of {foreign}");
    assert_eq!(groups(&report, "newly-failing"), [group("step 1: currency-not-in-org", "", failing)]);
    assert_eq!(count("changed", &report), all - failing, "{report:#}");
    let of: Vec<_> =
        groups(&report, "changes").into_iter().map(|(of, path, _)| (of, path.rsplit('/').next().unwrap().to_owned())).collect();
    assert!(!of.is_empty() && of.iter().all(|(_, field)| field == "CurrencyIsoCode"), "{of:?}");

    // The same asked twice, as text, as JSON and as a page, is the same to the byte.
    let page = |file: &str| {
        let output = workspace.lockgate(&["rehearse", "orders-to-crm", "--env", "test", "--since", "1h", "--html", file]);
        assert!(output.status.success(), "{output:?}");
        (output.stdout, std::fs::read_to_string(workspace.path().join(file)).unwrap_or_else(|_| std::fs::read_to_string(file).unwrap()))
    };
    let file = |name: &str| workspace.path().join(name).display().to_string();
    let (one, other) = (page(&file("one.html")), page(&file("other.html")));
    assert!(one == other);
    assert_eq!(rehearse(&workspace, "orders-to-crm", &["--since", "1h"]).0, report);
    // Each is kept, and the host knows it.
    let kept = host.api("/api/v1/integrations/orders-to-crm/rehearsals");
    let latest = &kept["rehearsals"][0];
    assert_eq!((latest["messages"].clone(), latest["verdicts"].clone()), (report["messages"].clone(), report["verdicts"].clone()));
    let again = host.api(&format!("/api/v1/integrations/orders-to-crm/rehearsals/{}", latest["id"].as_str().unwrap()));
    assert_eq!(again, report);
    assert!(!one.1.contains("<script") && one.1.contains("default-src 'none'") && one.1.contains("currency-not-in-org"), "{}", one.1);
    let text = String::from_utf8(one.0).unwrap();
    assert!(text.contains("would fail, and did not:\n  step 1: currency-not-in-org"), "{text}");
}

const OUTPUT_STAGE: &str = "/records/*/fields/StageName";
const REQUEST_STAGE: &str = "/compositeRequest/*/body/StageName";

/// The odd integrations with some messages that have ended.
fn odd_scene(outside: &Outside, path: &str, texts: &[&str]) -> (Workspace, Host) {
    let workspace = scene(outside);
    let host = Host::start(&workspace);
    post_texts(&host, path, &texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
    settled(&host);
    (workspace, host)
}

/// What a command that finds nothing to do says.
#[track_caller]
fn refused(workspace: &Workspace, arguments: &[&str]) -> String {
    let output = workspace.lockgate(arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn without_anything_recorded_it_is_said_what_there_is_to_do() {
    let outside = Outside::start();
    let workspace = scene(&outside);
    let none = refused(&workspace, &["rehearse", "odd", "--env", "test"]);
    assert!(none.contains("LG-3012 no host has run on") && none.contains("--data"), "{none}");

    let file = std::fs::read_to_string(workspace.path().join("lockgate.toml")).unwrap();
    workspace.write("lockgate.toml", &format!("{file}\n[ledger]\nrecord = \"nothing\"\n"));
    let host = Host::start(&workspace);
    post_texts(&host, "/odd", &["echo x".to_owned()]);
    eventually("it is delivered", || {
        let text = String::from_utf8(host.api_raw("GET", "/metrics", "").body.to_vec()).unwrap();
        text.contains("lockgate_messages_delivered_total{integration=\"reader\"} 1").then_some(())
    });
    let nothing = refused(&workspace, &["rehearse", "odd", "--env", "test", "--since", "1h"]);
    assert!(nothing.contains("LG-3012 nothing of odd is recorded since 1h") && nothing.contains("record = \"all\""), "{nothing}");
    let unknown = refused(&workspace, &["rehearse", "od", "--env", "test"]);
    assert!(unknown.contains("LG-7004 the workspace has no integration `od`") && unknown.contains("odd, "), "{unknown}");
    let wrong = workspace.lockgate(&["rehearse", "odd", "--env", "test", "--since", "yesterday"]);
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
    let letters = refused(&workspace, &["rehearse", "odd", "--env", "test", "--dead-letters"]);
    assert!(letters.contains("LG-3012 odd has no dead letters"), "{letters}");
}

#[test]
fn only_failures_are_rehearsed_where_only_failures_are_recorded() {
    let outside = Outside::start();
    let workspace = scene(&outside);
    let file = std::fs::read_to_string(workspace.path().join("lockgate.toml")).unwrap();
    workspace.write("lockgate.toml", &format!("{file}\n[ledger]\nrecord = \"failures\"\n"));
    let host = Host::start(&workspace);
    post_texts(&host, "/odd", &["echo x", "permanent no", "echo y"].map(str::to_owned));
    eventually("the failure is recorded", || {
        let text = String::from_utf8(host.api_raw("GET", "/metrics", "").body.to_vec()).unwrap();
        text.contains("lockgate_ledger_recorded_total 1").then_some(())
    });
    let (report, _) = rehearse(&workspace, "odd", &[]);
    assert_eq!((verdicts(&report), report["messages"].as_u64()), (only("same", 1), Some(1)));
}

#[test]
fn another_channel_and_a_plugin_in_its_place_are_another_end() {
    let outside = Outside::start();
    let (workspace, _host) = odd_scene(&outside, "/odd", &["echo x", "many-outputs 3", "permanent no"]);
    for file in ["integrations/odd.toml", "integrations/reader.toml"] {
        edit(&workspace, file, "\"odd.out\"", "\"odd.other\"");
    }
    let (report, status) = rehearse(&workspace, "odd", &["--expect-same"]);
    assert_eq!((verdicts(&report), status), (BTreeMap::from([("same".into(), 1), ("changed".into(), 2)]), 1), "{report:#}");
    assert_eq!(groups(&report, "changes"), [group("output", "goes to", 2)]);
    let sample = &report["changes"][0]["samples"][0];
    assert_eq!((&sample["before"], &sample["after"]), (&json!("channel odd.out"), &json!("channel odd.other")));

    workspace.write("integrations/odd.toml", &format!("{}{STEP}{}", from("/odd"), audit("/orders")));
    let (report, _) = rehearse(&workspace, "odd", &[]);
    assert_eq!(verdicts(&report), BTreeMap::from([("same".into(), 1), ("diverged".into(), 2)]), "{report:#}");
    assert!(groups(&report, "changes").contains(&group("output", "goes to", 2)), "{report:#}");

    // A sink that takes batches is not called, and is another end all the same.
    std::fs::copy(bulk_guest(), workspace.path().join("own/bulk@1.0.0.wasm")).unwrap();
    drop(std::fs::remove_file(workspace.path().join("lockgate.lock")));
    let batches = "[sink]\nplugin = \"bulk@1\"\nbind = { target = \"audit\" }\nbatch = { max = 10, within = \"5m\" }\n";
    workspace.write("integrations/odd.toml", &format!("{}{STEP}{batches}", from("/odd")));
    let (report, _) = rehearse(&workspace, "odd", &[]);
    assert_eq!(verdicts(&report), BTreeMap::from([("same".into(), 1), ("changed".into(), 2)]), "{report:#}");
    assert_eq!(groups(&report, "changes"), [group("output", "goes to", 2)]);
}

#[test]
fn what_became_several_of_which_one_still_waits_cannot_be_compared() {
    let outside = Outside::start();
    let workspace = scene(&outside);
    let (environment, own) = ("environments/test.toml", std::fs::read_to_string(workspace.path().join("environments/test.toml")).unwrap());
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let audit = outside.audit.address().to_string();
    assert!(own.contains(&audit), "{own}");
    workspace.write(environment, &own.replace(&audit, &nowhere.to_string()));
    let host = Host::start(&workspace);
    post_texts(&host, "/parts", &["tally k 1 3".to_owned()]);
    eventually("its parts wait for their target, and it is recorded", || {
        let (report, _) = report_of(&workspace, "parts")?;
        (report["messages"] == 1).then(|| {
            assert_eq!(verdicts(&report), only("not-comparable", 1), "{report:#}");
            assert_eq!(
                groups(&report, "not-comparable"),
                [group("a message that it became is not settled, or nothing is recorded of it", "", 1)]
            );
        })
    });
    // Not even where nothing is another may that be called the same.
    assert_eq!(rehearse(&workspace, "parts", &["--expect-same"]).1, 1);
}

/// What `rehearse NAME` prints as JSON, if there is anything to be rehearsed yet.
fn report_of(workspace: &Workspace, name: &str) -> Option<(Value, i32)> {
    let output = workspace.lockgate(&["rehearse", name, "--env", "test", "--json"]);
    Some((serde_json::from_slice(&output.stdout).ok()?, output.status.code()?))
}

#[test]
fn what_fails_newly_and_what_does_not_any_more_are_told_apart() {
    let outside = Outside::start();
    let (workspace, _host) = odd_scene(&outside, "/odd", &["many-outputs 3", "many-outputs 40", "permanent no", "trap here", "echo x"]);
    // Less output than one of them makes.
    workspace.write("integrations/odd.toml", &odd(STEP, "[limits]\noutput-messages = 30\n"));
    let (report, status) = rehearse(&workspace, "odd", &["--expect-same"]);
    assert_eq!((verdicts(&report), status), (BTreeMap::from([("same".into(), 4), ("newly-failing".into(), 1)]), 1), "{report:#}");
    assert_eq!(groups(&report, "newly-failing"), [group("step 1: output-too-large", "", 1)]);
    assert_eq!(groups(&report, "changes"), []);

    // Without the step nothing fails, and what it did is not done.
    workspace.write("integrations/odd.toml", &odd("", ""));
    let (report, _) = rehearse(&workspace, "odd", &[]);
    assert_eq!(report["verdicts"]["newly-passing"], 2, "{report:#}");
    assert_eq!(groups(&report, "newly-passing"), [group("step 1: bad", "", 1), group("step 1: trapped", "", 1)]);
    assert!(groups(&report, "changes").contains(&group("output", "", 2)), "{report:#}");
}

#[test]
fn a_request_that_nobody_made_before_is_told_and_its_answer_is_not_made_up() {
    let outside = Outside::start();
    let (workspace, _host) = odd_scene(&outside, "/parts", &["tally a 1 1", "tally b 2 3"]);
    workspace.write("integrations/parts.toml", &format!("{}{STEP}{}", from("/parts"), audit("/elsewhere")));
    let (report, status) = rehearse(&workspace, "parts", &["--expect-same"]);
    assert_eq!((verdicts(&report), status), (only("diverged", 2), 1), "{report:#}");
    assert_eq!(groups(&report, "diverged"), [group("audit POST /elsewhere", "", 2)]);
    let bodies = outside.audit.kept().bodies.len();
    assert_eq!(bodies, 4, "nothing was sent");
}

#[test]
fn what_a_binding_does_not_allow_any_more_is_denied_as_it_would_be() {
    let outside = Outside::start();
    let (workspace, _host) = odd_scene(&outside, "/parts", &["tally a 1 1"]);
    edit(&workspace, "integrations/parts.toml", "target = \"audit\"", "target = { alias = \"audit\", allow = [\"POST /other\"] }");
    let (report, _) = rehearse(&workspace, "parts", &[]);
    assert_eq!(verdicts(&report), only("newly-failing", 1), "{report:#}");
    assert!(groups(&report, "changes").contains(&group("request audit POST /orders", "", 1)), "{report:#}");
}

#[test]
fn dead_letters_alone_are_rehearsed_where_that_is_asked() {
    let outside = Outside::start();
    let (workspace, host) = odd_scene(&outside, "/odd", &["permanent one", "echo x", "trap two", "skip three"]);
    let (report, _) = rehearse(&workspace, "odd", &["--dead-letters"]);
    assert_eq!(verdicts(&report), only("same", 2), "they would die again: {report:#}");
    workspace.write("integrations/odd.toml", &odd("", ""));
    let (report, status) = rehearse(&workspace, "odd", &["--dead-letters"]);
    assert_eq!((verdicts(&report), status), (only("newly-passing", 2), 0), "{report:#}");
    // Of a host that is stopped, too; and one that is discarded is none any more.
    assert!(workspace.lockgate(&["dead-letters", "discard", "1", "--reason", "test"]).status.success());
    assert!(host.stop().success());
    assert_eq!(verdicts(&rehearse(&workspace, "odd", &["--dead-letters"]).0), only("newly-passing", 1));
}

#[test]
fn a_fix_for_what_the_target_refused_is_told_as_what_it_would_be_sent() {
    let outside = Outside::start();
    let workspace = scene(&outside);
    let host = Host::start(&workspace);
    outside.crm.refuse("StageName", "Prospecting");
    post_orders(&host, &orders(3));
    settled(&host);
    edit(&workspace, "integrations/orders-to-crm.toml", "\"{values.new-order-stage}\"", "\"Closed Won\"");
    let (report, _) = rehearse(&workspace, "orders-to-crm", &["--dead-letters"]);
    let all = report["messages"].as_u64().unwrap() as usize;
    assert!(all >= 3, "{report:#}");
    // The answer is the one to the other value: what the target says to this one, only the target can say.
    assert_eq!(verdicts(&report), only("changed", all), "{report:#}");
    let sent = group("request crm POST /composite", REQUEST_STAGE, all);
    assert!(groups(&report, "changes").contains(&sent), "{report:#}");
}

#[test]
fn a_damaged_end_of_the_ledger_costs_what_was_in_it() {
    let outside = Outside::start();
    let (workspace, host) = odd_scene(&outside, "/odd", &["echo 1", "echo 2"]);
    post_texts(&host, "/odd", &["echo 3".to_owned()]);
    settled(&host);
    assert!(host.stop().success());
    let mut segments: Vec<_> = std::fs::read_dir(folder(&workspace.data())).unwrap().map(|entry| entry.unwrap().path()).collect();
    segments.sort();
    let last = segments.last().unwrap();
    let bytes = std::fs::read(last).unwrap();
    std::fs::write(last, &bytes[..bytes.len() - 5]).unwrap();
    let (report, status) = rehearse(&workspace, "odd", &["--expect-same"]);
    assert!(verdicts(&report) == only("same", 2) || verdicts(&report) == only("same", 3), "{report:#}");
    assert_eq!((status, report["passed-over"].as_array().unwrap().len()), (0, 1), "{report:#}");
    assert!(report["passed-over"][0]["why"].as_str().unwrap().contains("middle of a block"), "{report:#}");
}

#[test]
fn no_credential_is_recorded_and_only_the_owner_may_read_what_is() {
    use std::os::unix::fs::PermissionsExt;
    let outside = Outside::start();
    let workspace = scene(&outside);
    let host = Host::start(&workspace);
    let secret = lockgate::demo::crm::CLIENT_SECRET;
    let echo = format!("{{\"authorization\":\"Bearer token-1\",\"secret\":\"{secret}\"}}");
    outside.crm.answer_next(lockgate::demo::crm::Scripted { body: echo, ..lockgate::demo::crm::Scripted::status(400) });
    post_orders(&host, &orders(1));
    settled(&host);
    assert!(host.stop().success());
    let folder = folder(&workspace.data());
    assert_eq!(std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    let reader = Reader::open(&folder).unwrap();
    let (found, passed) = reader.find(lockgate::clock::Timestamp(0), 1_000, |_| true);
    assert!(found.len() >= 3 && passed.is_empty(), "{passed:?}");
    let records: Vec<String> = found.iter().map(|located| format!("{:?}", reader.read(located).unwrap())).collect();
    assert!(records.iter().any(|record| record.contains("[blanked]")), "the target's answer is in it");
    for secret in [secret, "token-1", lockgate::demo::audit::TOKEN] {
        assert!(records.iter().all(|record| !record.contains(secret)), "{secret}");
    }
}
