//! What happens, as people at a terminal and scripts see it: `lockgate logs`, the stream behind it, causes in `lockgate status`.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};

use lockgate::demo::crm::CLIENT_SECRET;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::eventually;
use crate::support::host::Host;
use crate::support::odd::odd_workspace;
use crate::support::shop::{accepted, order, post_body, post_order};
use crate::support::shop_to_crm::{Outside, workspace};
use crate::support::workspace::{CRM_SECRET_FILE, SHOP_SECRET, Workspace};

/// `lockgate logs -f` beside the test.
struct Following {
    child: Child,
    /// What it has printed, on both of its outputs.
    lines: Arc<Mutex<Vec<String>>>,
}

impl Following {
    /// Follows, and is connected when this returns.
    fn start(workspace: &Workspace, arguments: &[&str]) -> Self {
        let mut command = workspace.command("logs");
        command.arg("-f").args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = Arc::<Mutex<Vec<String>>>::default();
        collect(child.stdout.take().unwrap(), lines.clone());
        collect(child.stderr.take().unwrap(), lines.clone());
        let following = Self { child, lines };
        following.until("the host is ready");
        following
    }

    /// The first line with `text` in it, once it has come.
    #[track_caller]
    fn until(&self, text: &str) -> String {
        eventually(&format!("a line says `{text}`: {:?}", self.lines.lock().unwrap()), || {
            self.lines.lock().unwrap().iter().find(|line| line.contains(text)).cloned()
        })
    }

    fn printed(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }

    /// Ctrl-C; gives the exit status.
    #[track_caller]
    fn interrupt(mut self) -> Option<i32> {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
        eventually("it ends", || self.child.try_wait().unwrap()).code()
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn collect(from: impl Read + Send + 'static, lines: Arc<Mutex<Vec<String>>>) {
    std::thread::spawn(move || BufReader::new(from).lines().map_while(Result::ok).for_each(|line| lines.lock().unwrap().push(line)));
}

fn say(host: &Host, text: &str) -> String {
    accepted(&host.post("/odd", &[("content-type", "text/plain")], text.to_owned()))
}

/// How an id begins on a line.
fn short(id: &str) -> &str {
    &id[..18]
}

#[test]
fn logs_follow_shows_what_a_plugin_says_and_what_becomes_of_its_message() {
    let outside = Outside::start();
    let workspace = odd_workspace(&outside);
    let host = Host::start(&workspace);
    let following = Following::start(&workspace, &[]);
    let id = say(&host, "log 2");
    let line = following.until("odd@1.0.0: a line of a flood");
    assert!(line.contains(&format!("INFO  odd {} ", short(&id))) && line.ends_with("line=0"), "{line}");
    let line = following.until(&format!("odd {} delivered", short(&id)));
    assert!(line.contains("took-ms="), "{line}");
    let line = following.until(&format!("odd {} accepted", short(&id)));
    assert!(line.contains("INFO"), "{line}");

    let dead = say(&host, "permanent \u{1b}[2J\u{202e}no");
    let line = following.until(&format!("odd {} dead-lettered", short(&dead)));
    assert!(line.contains("ERROR") && line.contains("\\u{1b}[2J\\u{202e}no") && !line.contains('\u{1b}'), "{line}");
    assert_eq!(following.interrupt(), Some(0));
}

#[test]
fn logs_follow_outlives_a_restart_of_the_host_and_does_not_hold_it_up() {
    let outside = Outside::start();
    let workspace = odd_workspace(&outside);
    let host = Host::start(&workspace);
    let following = Following::start(&workspace, &[]);
    assert!(host.stop().success());
    following.until("the host went away");
    let host = Host::start(&workspace);
    following.until("the host answers again");
    following.until("events may be missing here");
    let id = say(&host, "echo x");
    following.until(&format!("odd {} delivered", short(&id)));
    assert_eq!(following.printed().matches("the host is ready").count(), 2, "{}", following.printed());
    assert!(!host.logged().contains("still open after the drain time"), "{}", host.logged());
    assert_eq!(following.interrupt(), Some(0));
}

#[test]
fn logs_shows_the_last_ones_that_fit_as_lines_or_as_json() {
    let outside = Outside::start();
    let workspace = odd_workspace(&outside);
    let host = Host::start(&workspace);
    let (first, second) = (say(&host, "log 3"), say(&host, "permanent because"));
    let settled = |id: &str| host.api(&format!("/api/v1/messages/{id}"))["outcomes"].as_array().is_some_and(|ended| !ended.is_empty());
    eventually("both are settled", || (settled(&first) && settled(&second)).then_some(()));
    let run = |arguments: &[&str]| {
        let output = workspace.lockgate(&[&["logs"], arguments].concat());
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let lines = run(&["--message", &first, "-n", "2"]);
    assert_eq!(lines.lines().filter(|line| line.contains("a line of a flood")).count(), 2, "{lines}");
    let errors = run(&["--json", "--level", "error", "--integration", "odd"]);
    let events: Vec<Value> = errors.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.len(), 1, "{errors}");
    assert_eq!((&events[0]["message"], &events[0]["fields"]["detail"]), (&second.as_str().into(), &"because".into()));
    assert_eq!(run(&["--since", "1h", "--kind", "refused"]), "");
    let nothing = workspace.lockgate(&["logs", "--kind", "refused"]).stderr;
    assert!(String::from_utf8_lossy(&nothing).contains("nothing to show"));
}

#[test]
fn logs_refuses_what_it_cannot_look_for() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    let _host = Host::start(&workspace);
    for (arguments, status) in [
        (&["--level", "loud"][..], 2),
        (&["--kind", "logs"], 2),
        (&["--message", "order-1001"], 2),
        (&["--since", "yesterday"], 2),
        (&["--integration", "nobody"], 1),
    ] {
        let output = workspace.lockgate(&[&["logs"], arguments].concat());
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {told}");
        assert!(!told.is_empty());
    }
}

#[test]
fn logs_ends_quietly_when_nobody_reads_it_any_more() {
    let outside = Outside::start();
    let workspace = odd_workspace(&outside);
    let host = Host::start(&workspace);
    let mut child = workspace.command("logs").args(["-f", "--json"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.contains("the host is ready"), "{first}");
    say(&host, "log 1");
    let status = eventually("it ends", || child.try_wait().unwrap());
    let mut told = String::new();
    child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert_eq!((status.code(), told.as_str()), (Some(0), ""));
}

#[test]
fn one_cause_is_told_once_with_all_that_hangs_on_it_and_no_event_holds_a_secret() {
    let mut outside = Outside::start();
    let workspace = workspace(&outside);
    let host = Host::start(&workspace);
    let following = Following::start(&workspace, &["--level", "debug"]);
    accepted(&post_order(&host, "evt-0", &order(1000, 1, "1.00")));
    following.until("orders-to-crm");
    outside.crm_down();
    for number in 1..=3 {
        accepted(&post_order(&host, &format!("evt-{number}"), &order(1000 + number, number, "1.00")));
    }
    following.until("alias crm is open");
    let crm = eventually("three wait for the CRM", || {
        let status = host.api("/api/v1/status");
        let crm = status["aliases"].as_array().unwrap().iter().find(|alias| alias["name"] == "crm").unwrap().clone();
        (crm["waiting"] == 3).then_some(crm)
    });
    assert_eq!(crm["integrations"], serde_json::json!(["orders-to-crm"]));
    let told = String::from_utf8(workspace.lockgate(&["status"]).stdout).unwrap();
    assert!(told.contains("alias crm open: 3 waiting in orders-to-crm; next request at"), "{told}");
    assert!(told.lines().take(8).all(|line| line.chars().count() <= 80), "{told}");

    outside.crm.rotate_secret("canary-of-the-crm");
    outside.crm.expire_tokens();
    outside.crm_up();
    following.until("alias crm is credential-refused");
    workspace.write(CRM_SECRET_FILE, "canary-of-the-crm");
    following.until("alias crm is healthy");
    eventually("they are delivered", || {
        let status = host.api("/api/v1/status");
        let integration = status["integrations"].as_array().unwrap().iter().find(|entry| entry["name"] == "orders-to-crm").unwrap().clone();
        (integration["delivered-last-hour"] == 4).then(|| {
            assert!(integration["p99-ms"].as_u64().unwrap() >= integration["p50-ms"].as_u64().unwrap());
            assert!(integration["per-minute"].as_f64().unwrap() > 0.0, "{integration}");
        })
    });
    assert_eq!(post_body(&host.ingress, "evt-9", b"{}").map(|answer| answer.status), Ok(202));
    let forged = host.post("/shop/orders", &[("content-type", "application/json"), ("x-shopify-hmac-sha256", SHOP_SECRET)], "{}");
    assert_eq!(forged.status, 401);
    following.until("a request was refused");

    let token = std::fs::read_to_string(workspace.data().join("admin-token")).unwrap();
    let printed = following.printed();
    for secret in [CLIENT_SECRET, "canary-of-the-crm", SHOP_SECRET, lockgate::demo::audit::TOKEN, token.trim()] {
        assert!(!printed.contains(secret), "{secret} is in\n{printed}");
    }
}
