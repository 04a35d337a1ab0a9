//! Everything a user can get wrong: a clear error with a stable code and the fix, the right exit status, nothing lost, no panic.

use std::process::{Output, Stdio};

use serde_json::Value;

use crate::support::host::Host;
use crate::support::shop_to_crm::{Outside, workspace};
use crate::support::workspace::Workspace;

const CRM_FLOW: &str = "integrations/orders-to-crm.toml";

/// Runs `lockgate <command> --json` on the workspace; gives the exit status and the problems told.
fn problems(workspace: &Workspace, command: &str, arguments: &[&str]) -> (i32, Vec<Value>) {
    let output = workspace.command(command).args(arguments).arg("--json").stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!error.contains("panicked"), "{error}");
    let answer: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{command} printed no JSON: {text}\n{error}"));
    (output.status.code().unwrap(), answer["problems"].as_array().unwrap().clone())
}

/// The one problem with `code`; it must say how to mend it.
#[track_caller]
fn the(problems: &[Value], code: &str) -> Value {
    let found = problems.iter().find(|problem| problem["code"] == code);
    let problem = found.unwrap_or_else(|| panic!("no {code} in {problems:#?}")).clone();
    assert!(problem["fix"].as_str().is_some_and(|fix| !fix.is_empty()), "no fix: {problem:#}");
    problem
}

/// The example with `from` replaced by `to` in one of its files, checked.
#[track_caller]
fn checked_with(file: &str, from: &str, to: &str) -> Vec<Value> {
    let workspace = workspace(&Outside::start());
    let text = std::fs::read_to_string(workspace.path().join(file)).unwrap();
    assert!(text.contains(from), "{file} has no {from}");
    workspace.write(file, &text.replace(from, to));
    let (status, problems) = problems(&workspace, "check", &[]);
    assert_eq!(status, 1);
    problems
}

#[test]
fn the_example_as_it_is_has_no_problem() {
    let workspace = workspace(&Outside::start());
    let (status, problems) = problems(&workspace, "check", &[]);
    assert_eq!((status, problems), (0, Vec::new()));
}

#[test]
fn an_unknown_key_is_named_with_its_place_and_what_was_meant() {
    let problems = checked_with(CRM_FLOW, "concurrency = 8", "concurency = 8");
    let problem = the(&problems, "LG-1003");
    assert!(problem["fix"].as_str().unwrap().contains("concurrency"), "{problem:#}");
    assert!(problem["line"].as_u64().unwrap() > 1 && problem["file"].as_str().unwrap().ends_with("orders-to-crm.toml"));
}

#[test]
fn all_mistakes_are_told_at_once() {
    let problems = checked_with(CRM_FLOW, "[delivery]", "[delivery]\nretries = 3\nspeed = \"fast\"");
    assert_eq!(problems.iter().filter(|problem| problem["code"] == "LG-1003").count(), 2, "{problems:#?}");
}

#[test]
fn a_key_that_is_not_built_yet_is_refused_not_ignored() {
    the(&checked_with(CRM_FLOW, "[delivery]", "[promise]\ndelivered = \"99.9%\"\n[delivery]"), "LG-1003");
}

#[test]
fn a_missing_plugin_is_named() {
    the(&checked_with(CRM_FLOW, "salesforce@1", "sapforce@1"), "LG-2001");
    the(&checked_with(CRM_FLOW, "salesforce@1", "salesforce@9"), "LG-2001");
}

#[test]
fn a_file_that_is_no_component_is_told_for_what_it_is() {
    let workspace = workspace(&Outside::start());
    workspace.write("own/sapforce@1.0.0.wasm", "not wasm at all");
    let text = std::fs::read_to_string(workspace.path().join("lockgate.toml")).unwrap();
    workspace.write("lockgate.toml", &text.replace("paths = [", "paths = [\"own\", "));
    let flow = std::fs::read_to_string(workspace.path().join(CRM_FLOW)).unwrap();
    workspace.write(CRM_FLOW, &flow.replace("salesforce@1", "sapforce@1"));
    let (status, problems) = problems(&workspace, "check", &[]);
    assert_eq!(status, 1);
    the(&problems, "LG-2002");
    let output: Output = workspace.lockgate(&["inspect", "own/sapforce@1.0.0.wasm", "--json"]);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_sink_that_is_bound_to_nothing_is_told_which_line_to_add() {
    let problems = checked_with(CRM_FLOW, "bind = { target = { alias = \"crm\", allow = [\"POST /composite\"] } }", "");
    let unbound = the(&problems, "LG-2004");
    assert!(unbound["fix"].as_str().unwrap().contains("target"), "{unbound:#}");
    the(&problems, "LG-2003");
}

#[test]
fn missing_aliases_and_values_are_named() {
    the(&checked_with("environments/test.toml", "[alias.audit]", "[alias.auditor]"), "LG-1006");
    the(&checked_with("environments/test.toml", "new-order-stage", "old-order-stage"), "LG-1007");
}

#[test]
fn a_url_in_an_integration_file_is_refused() {
    the(&checked_with(CRM_FLOW, "{values.new-order-stage}", "https://crm.acme.example/api"), "LG-1008");
}

#[test]
fn a_literal_secret_is_refused() {
    let problems = checked_with("environments/test.toml", "{ file = \"audit.secret\" }", "\"hunter2\"");
    assert!(!format!("{problems:?}").contains("hunter2"), "a secret is not repeated: {problems:?}");
}

#[test]
fn a_missing_secret_stops_the_start_and_names_the_variable() {
    let workspace = workspace(&Outside::start());
    let output = workspace.command("run").env_remove("SHOP_SECRET").arg("--json").output().unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let problem = the(answer["problems"].as_array().unwrap(), "LG-1013");
    assert!(problem["message"].as_str().unwrap().contains("SHOP_SECRET"));
}

#[test]
fn a_port_in_use_is_named() {
    let workspace = workspace(&Outside::start());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (status, problems) = problems(&workspace, "run", &["--ingress", &address, "--admin", "127.0.0.1:0"]);
    assert_eq!(status, 1);
    assert!(the(&problems, "LG-7001")["message"].as_str().unwrap().contains(&address));
}

#[test]
fn a_data_folder_that_cannot_be_written_is_named() {
    let workspace = workspace(&Outside::start());
    workspace.write("a-file", "");
    let (status, problems) = problems(&workspace, "run", &["--data", "a-file/data", "--ingress", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    assert_eq!(status, 1);
    the(&problems, "LG-3001");
}

#[test]
fn a_second_host_on_the_same_data_folder_is_refused_and_the_first_lives_on() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    let host = Host::start(&workspace);
    // On the ports of the first as well: it is the folder that is told, not the ports.
    let ports = [host.ingress.trim_start_matches("http://"), host.admin.trim_start_matches("http://")];
    for [ingress, admin] in [["127.0.0.1:0"; 2], ports] {
        let (status, problems) = problems(&workspace, "run", &["--ingress", ingress, "--admin", admin]);
        assert_eq!(status, 1);
        the(&problems, "LG-3002");
    }
    assert!(host.api("/api/v1/status").is_object());
}

#[test]
fn a_data_folder_of_a_newer_version_is_refused_untouched() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    assert!(Host::start(&workspace).stop().success());
    let file = std::fs::read_dir(workspace.data())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|end| end == "db"));
    let connection = rusqlite::Connection::open(file.unwrap()).unwrap();
    connection.pragma_update(None, "user_version", 9_999).unwrap();
    drop(connection);
    let (status, problems) = problems(&workspace, "run", &["--ingress", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    assert_eq!(status, 1);
    the(&problems, "LG-3003");
}

#[test]
fn a_used_data_folder_whose_database_is_gone_is_not_started_afresh_in_silence() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    assert!(Host::start(&workspace).stop().success());
    std::fs::remove_file(workspace.data().join("lockgate.db")).unwrap();
    let (status, problems) = problems(&workspace, "run", &["--ingress", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    assert_eq!(status, 1);
    the(&problems, "LG-3006");
}

#[test]
fn a_folder_without_a_workspace_and_an_environment_that_is_not_there_are_named() {
    let empty = tempfile::tempdir().unwrap();
    let output = crate::support::host::lockgate(empty.path()).args(["check", ".", "--env", "dev", "--json"]).output().unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    the(answer["problems"].as_array().unwrap(), "LG-1011");
    let workspace = workspace(&Outside::start());
    let output = crate::support::host::lockgate(workspace.path()).args(["check", ".", "--env", "prod", "--json"]).output().unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let problem = the(answer["problems"].as_array().unwrap(), "LG-1012");
    assert!(format!("{problem}").contains("test"), "it lists those there are: {problem:#}");
}

#[test]
fn a_host_that_does_not_take_the_token_has_said_no() {
    let workspace = workspace(&Outside::start());
    let host = Host::start(&workspace);
    for arguments in [&["status"][..], &["messages"], &["logs"], &["alias", "test", "crm"]] {
        let refused = workspace.lockgate(&[arguments, &["--token", "not-the-token"]].concat());
        let told = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(1), "{arguments:?}: {told}");
        assert!(told.contains("LG-7003") && told.contains("LOCKGATE_TOKEN"), "{told}");
    }
    host.kill();
}

#[test]
fn asking_where_no_host_runs_ends_with_3() {
    let workspace = workspace(&Outside::start());
    for arguments in [&["status"][..], &["status", "--watch"], &["logs"], &["logs", "-f"], &["messages"], &["dead-letters", "list"]] {
        assert_eq!(workspace.lockgate(arguments).status.code(), Some(3), "{arguments:?}");
    }
    assert_eq!(workspace.lockgate(&["no-such-command"]).status.code(), Some(2));
}
