//! Who should not change a host, and who would rather that nobody knew: roles, tokens that ended, and what somebody makes of the audit trail.

use std::path::Path;
use std::process::Output;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::database::{assert_whole, open};
use crate::support::eventually;
use crate::support::host::Host;
use crate::support::http::{request, runtime, send};
use crate::support::shop::{accepted, order, post_order};
use crate::support::shop_to_crm::{Outside, workspace};
use crate::support::workspace::Workspace;

/// What a command says that ends with `status`.
#[track_caller]
fn said(output: Output, status: i32) -> String {
    assert_eq!(output.status.code(), Some(status), "{output:?}");
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

/// A new token, as a script gets it.
#[track_caller]
fn token(workspace: &Workspace, name: &str, role: &str) -> String {
    let output = workspace.lockgate(&["token", "create", "--name", name, "--role", role]);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A command of somebody elsewhere, who has nothing but an address and a token.
fn elsewhere(host: &Host, token: &str, arguments: &[&str]) -> Output {
    let nowhere = tempfile::tempdir().unwrap();
    let mut command = crate::support::host::lockgate(nowhere.path());
    command.args(arguments).env("LOCKGATE_HOST", &host.admin).env("LOCKGATE_TOKEN", token).output().unwrap()
}

fn verified(workspace: &Workspace, arguments: &[&str]) -> Value {
    let output = workspace.lockgate(&[&["audit", "verify", "--json"], arguments].concat());
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// The host is as it was: it lives, and orders go through it.
#[track_caller]
fn still_works(host: &Host, outside: &Outside, number: u64) {
    assert_eq!(request("GET", &format!("{}/healthz", host.admin), &[], "").unwrap().status, 200);
    let before = outside.crm.received().writes.len();
    accepted(&post_order(host, &format!("after-{number}"), &order(number, number, "1.00")));
    eventually("an order goes through", || (outside.crm.received().writes.len() > before).then_some(()));
}

#[test]
fn a_token_does_what_its_role_allows_until_it_is_revoked_and_no_longer() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    let host = Host::start(&workspace);
    let (anna, screen) = (token(&workspace, "anna", "operator"), token(&workspace, "screen", "viewer"));
    assert!(anna.starts_with("lockgate_"), "the token alone is on standard output: {anna}");
    assert!(said(elsewhere(&host, &screen, &["status"]), 0).contains("orders-to-crm"));
    let refused = said(elsewhere(&host, &screen, &["pause", "orders-to-crm", "--reason", "x"]), 1);
    assert!(refused.contains("LG-7013") && refused.contains("the token screen has the role viewer"), "{refused}");
    let refused = said(elsewhere(&host, &anna, &["token", "create", "--name", "mine", "--role", "deployer"]), 1);
    assert!(refused.contains("LG-7013") && refused.contains("data folder"), "{refused}");
    said(elsewhere(&host, &anna, &["pause", "orders-to-audit", "--reason", "a look"]), 0);
    said(elsewhere(&host, &anna, &["resume", "orders-to-audit"]), 0);
    let link = said(elsewhere(&host, &anna, &["console", "--no-open"]), 0);
    let opened = request("GET", link.lines().next().unwrap(), &[], "").unwrap();
    let cookie = opened.headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let page = |path: &str| request("GET", &format!("{}{path}", host.admin), &[("cookie", &cookie)], "").unwrap();
    assert!(String::from_utf8_lossy(&page("/").body).contains("anna (operator)"));
    assert!(String::from_utf8_lossy(&page("/audit?who=anna").body).contains("integration orders-to-audit"));

    assert!(said(workspace.lockgate(&["token", "list"]), 0).contains("operator"));
    said(workspace.lockgate(&["token", "revoke", "anna"]), 0);
    let refused = said(elsewhere(&host, &anna, &["status"]), 1);
    assert!(refused.contains("LG-7003"), "{refused}");
    assert_eq!(page("/").status, 401, "her session ended with it");
    said(workspace.lockgate(&["token", "revoke", "anna"]), 1);

    let listed = said(workspace.lockgate(&["audit", "--who", "anna"]), 0);
    let acts: Vec<&str> = listed.lines().skip(1).map(|line| line.split_whitespace().nth(4).unwrap()).collect();
    assert_eq!(acts, ["resume", "pause", "request"], "{listed}");
    let starts = said(workspace.lockgate(&["audit", "--who", "start", "--json"]), 0);
    assert!(starts.contains("\"act\": \"activate\"") && starts.contains("integration orders-to-crm"), "{starts}");
    assert!(said(workspace.lockgate(&["audit", "verify"]), 0).contains("entries fit"));
    still_works(&host, &outside, 1);

    assert!(host.stop().success());
    for file in files(workspace.path()) {
        let bytes = std::fs::read(&file).unwrap();
        for token in [&anna, &screen] {
            assert!(!bytes.windows(token.len()).any(|window| window == token.as_bytes()), "a token is in {}", file.display());
        }
    }
    let host = Host::start(&workspace);
    said(elsewhere(&host, &screen, &["status"]), 0);
    said(elsewhere(&host, &anna, &["status"]), 1);
}

#[test]
fn a_deployer_hides_no_change_behind_a_number_that_no_machine_holds_and_opens_no_network() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    let host = Host::start(&workspace);
    let bearer = format!("Bearer {}", token(&workspace, "ci", "deployer"));
    let apply = |text: &str| {
        let url = format!("{}/api/v1/environment", host.admin);
        request("POST", &url, &[("authorization", &bearer)], text.to_owned()).unwrap()
    };
    let own = std::fs::read_to_string(workspace.path().join("environments/test.toml")).unwrap();
    let with_number = own.replace("[values]", "[values]\nn = 99999999999999999999999");
    let keys = |answer: &Value| answer["changes"].as_array().unwrap().iter().map(|change| change["key"].clone()).collect::<Vec<_>>();
    assert_eq!(keys(&apply(&with_number).json()), ["values.n"]);
    let moved = with_number.replace("Prospecting", "Elsewhere");
    assert_eq!(keys(&apply(&moved).json()), ["values.new-order-stage"]);
    let entry = host.api("/api/v1/audit?who=ci&limit=1")["entries"][0].clone();
    assert_eq!(
        (&entry["before"]["values.new-order-stage"], &entry["after"]["values.new-order-stage"]),
        (&json!("\"Prospecting\""), &json!("\"Elsewhere\""))
    );

    let open = format!("{moved}\n[alias.mine]\nurl = \"http://127.0.0.1:1\"\nnetwork = [\"0.0.0.0/0\"]\n");
    let refused = apply(&open);
    assert_eq!(refused.status, 422, "{refused:?}");
    assert!(refused.json()["problems"].to_string().contains("LG-7013"), "{}", refused.json());
    still_works(&host, &outside, 1);
}

#[test]
fn who_is_left_out_of_the_audit_trail_by_a_trigger_changes_nothing_and_no_host_starts_on_it() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    let host = Host::start(&workspace);
    let anna = token(&workspace, "anna", "operator");
    let pause = |status| said(elsewhere(&host, &anna, &["pause", "orders-to-audit", "--reason", "x"]), status);
    open(&workspace.data())
        .execute_batch("CREATE TRIGGER skip_a BEFORE INSERT ON audit WHEN new.who = 'anna' BEGIN SELECT RAISE(IGNORE); END;")
        .unwrap();
    let refused = pause(1);
    assert!(refused.contains("LG-3006"), "{refused}");
    assert!(host.api("/api/v1/status")["integrations"].as_array().unwrap().iter().all(|one| one["state"] != "paused"));
    let told = said(workspace.lockgate(&["audit", "verify"]), 1);
    assert!(told.contains("LG-3006") && host.logged().contains("the trigger \"skip_a\""), "{told}");
    let told = said(workspace.lockgate(&["audit", "verify", "--data", &workspace.data().display().to_string()]), 1);
    assert!(told.contains("LG-3006") && told.contains("the trigger \"skip_a\""), "{told}");
    still_works(&host, &outside, 1);
    assert!(host.stop().success());
    let output = workspace.command("run").args(["--ingress", "127.0.0.1:0", "--admin", "127.0.0.1:0"]).output().unwrap();
    assert!(said(output, 1).contains("the trigger \"skip_a\""));
    open(&workspace.data()).execute_batch("DROP TRIGGER skip_a").unwrap();
    let host = Host::start(&workspace);
    said(elsewhere(&host, &anna, &["pause", "orders-to-audit", "--reason", "x"]), 0);
    assert!(verified(&workspace, &[])["misfit"].is_null());
    still_works(&host, &outside, 2);
}

/// Every file of a folder and of those in it.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() && !path.is_symlink() { files(&path) } else { vec![path] })
        .filter(|path| path.is_file())
        .collect()
}

#[test]
fn ten_thousand_refused_attempts_write_a_handful_of_entries() {
    const ATTEMPTS: usize = 10_000;
    const AT_ONCE: usize = 50;
    let outside = Outside::start();
    let workspace = workspace(&outside);
    let host = Host::start(&workspace);
    let bearer = format!("Bearer {}", token(&workspace, "screen", "viewer"));
    let before = verified(&workspace, &[])["entries"].as_i64().unwrap();
    let url = format!("{}/api/v1/dead-letters/discard", host.admin);
    for _ in 0..ATTEMPTS / AT_ONCE {
        let headers = [("authorization", bearer.as_str())];
        let attempts = (0..AT_ONCE).map(|_| send("POST", &url, &headers, ""));
        assert!(runtime().block_on(join_all(attempts)).into_iter().all(|answer| answer.unwrap().status == 403));
    }
    let after = verified(&workspace, &[]);
    let written = after["entries"].as_i64().unwrap() - before;
    assert!((1..=10).contains(&written), "{written} entries");
    assert!(after["misfit"].is_null(), "{after}");
    let made_up = request("POST", &url, &[("authorization", "Bearer lockgate_made-up")], "").unwrap();
    assert_eq!((made_up.status, verified(&workspace, &[])["entries"].as_i64().unwrap() - before), (401, written), "it has no name");
    still_works(&host, &outside, 1);
}

#[test]
fn an_entry_that_somebody_changed_in_the_data_folder_or_a_backup_is_found() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    let host = Host::start(&workspace);
    for name in ["a", "b", "c"] {
        token(&workspace, name, "viewer");
    }
    let kept = verified(&workspace, &[])["head"].as_str().unwrap().to_owned();
    let backup = workspace.path().join("backup.tar").display().to_string();
    said(workspace.lockgate(&["backup", &backup]), 0);
    let of_backup = verified(&workspace, &["--backup", &backup, "--head", &kept]);
    assert_eq!((&of_backup["misfit"], &of_backup["kept-head-is-in-it"]), (&Value::Null, &json!(true)));
    assert!(host.stop().success());

    let told = said(workspace.lockgate(&["audit", "verify", "--head", &kept]), 0);
    assert!(told.contains("no host answers") && told.contains("entries fit"), "{told}");
    let told = said(workspace.lockgate(&["audit", "verify", "--head", &"1".repeat(64)]), 1);
    assert!(told.contains("LG-7015"), "{told}");
    said(workspace.lockgate(&["audit", "verify", "--head", "1"]), 2);
    let database = open(&workspace.data());
    let entry: i64 = database.query_row("SELECT seq FROM audit WHERE subject = 'token b'", [], |row| row.get(0)).unwrap();
    database.execute_batch("DROP TRIGGER audit_is_not_changed; UPDATE audit SET subject = 'token x' WHERE subject = 'token b'").unwrap();
    drop(database);
    let told = said(workspace.lockgate(&["audit", "verify"]), 1);
    assert!(told.contains("LG-7015") && told.contains(&format!("entry {entry} of the audit trail does not fit")), "{told}");
    let data = workspace.data().display().to_string();
    assert_eq!(verified(&workspace, &["--data", &data])["misfit"]["entry"], entry);

    let host = Host::start(&workspace);
    token(&workspace, "d", "viewer");
    assert_eq!(verified(&workspace, &[])["misfit"]["entry"], entry, "what is entered later does not heal it");
    still_works(&host, &outside, 1);
}

#[test]
fn a_host_that_is_killed_among_changes_keeps_a_trail_that_fits_and_says_what_holds() {
    const ROUNDS: usize = 4;
    let outside = Outside::start();
    let workspace = workspace(&outside);
    let mut host = Host::start(&workspace);
    let mut entries = 0;
    for round in 1..=ROUNDS {
        let answered = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            let (admin, bearer) = (host.admin.clone(), format!("Bearer {}", admin_token(&workspace)));
            let answered = &answered;
            scope.spawn(move || {
                for change in ["pause", "resume"].into_iter().cycle() {
                    let url = format!("{admin}/api/v1/integrations/orders-to-audit/{change}");
                    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
                    let body = if change == "pause" { r#"{"reason":"a look"}"# } else { "{}" };
                    let Ok(answer) = request("POST", &url, &headers, body) else { return };
                    assert_eq!(answer.status, 200, "{answer:?}");
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            });
            eventually("some changes are made", || (answered.load(Ordering::SeqCst) >= 5 * round).then_some(()));
            host.signal(rustix::process::Signal::KILL);
        });
        host.wait();
        drop(host);
        assert_whole(&workspace.data());
        let stopped = verified(&workspace, &[]);
        assert!(stopped["misfit"].is_null(), "{stopped}");
        let acknowledged = i64::try_from(answered.into_inner()).unwrap();
        assert!(stopped["entries"].as_i64().unwrap() >= entries + acknowledged, "an answer was given before its entry: {stopped}");
        host = Host::start(&workspace);
        let last = host.api("/api/v1/audit?who=local&limit=1")["entries"][0]["act"].clone();
        let paused = host.api("/api/v1/status")["integrations"].as_array().unwrap().iter().any(|one| one["state"] == "paused");
        assert_eq!(last == "pause", paused, "what the trail says last is what holds: {last}");
        entries = verified(&workspace, &[])["entries"].as_i64().unwrap();
    }
    let resumed = host.api_raw("POST", "/api/v1/integrations/orders-to-audit/resume", "{}");
    assert_eq!(resumed.status, 200);
    still_works(&host, &outside, 1);
}

fn admin_token(workspace: &Workspace) -> String {
    std::fs::read_to_string(workspace.data().join("admin-token")).unwrap().trim().to_owned()
}

#[test]
fn what_is_done_to_a_host_that_is_stopped_is_entered_too() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    assert!(Host::start(&workspace).stop().success());
    let set = workspace.lockgate_with("canary-of-a-stopped-host", &["secret", "set", "crm.client-secret"]);
    assert!(set.status.success(), "{set:?}");
    assert!(workspace.lockgate(&["secret", "unset", "crm.client-secret"]).status.success());
    let host = Host::start(&workspace);
    let entries = host.api("/api/v1/audit?who=local");
    let told: Vec<String> =
        entries["entries"].as_array().unwrap().iter().map(|entry| format!("{} {} {}", entry["way"], entry["act"], entry["came"])).collect();
    let expected = ["unset-secret done", "unset-secret asked", "set-secret done", "set-secret asked"];
    assert_eq!(
        told,
        expected.map(|entry| format!("\"command\" {}", entry.split(' ').map(|word| format!("{word:?}")).collect::<Vec<_>>().join(" ")))
    );
    assert!(!entries.to_string().contains("canary"), "{entries}");
}
