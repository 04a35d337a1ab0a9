//! `lockgate test`: scenarios over the real binary, without a host.

use std::process::Output;

use serde_json::{Value, json};

use crate::support::build::{odd_guest, plugin_files, root};
use crate::support::workspace::Workspace;

/// The example `name` with its own scenarios, plugins as built files.
fn example(name: &str) -> Workspace {
    let workspace = Workspace::empty();
    workspace.write("lockgate.toml", &format!("[plugins]\npaths = [{:?}]\n", plugin_files().display().to_string()));
    for folder in ["integrations", "environments", "orders", "tests"] {
        copy(&workspace, &root().join("examples").join(name), folder);
    }
    workspace
}

fn copy(workspace: &Workspace, from: &std::path::Path, folder: &str) {
    for entry in std::fs::read_dir(from.join(folder)).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{folder}/{}", path.file_name().unwrap().to_str().unwrap());
        if path.is_dir() {
            copy(workspace, from, &name);
        } else {
            workspace.write(&name, &std::fs::read_to_string(&path).unwrap());
        }
    }
}

/// The guest that does what a message's body says, by itself, with scenarios that say `text`.
fn odd(text: &str) -> Workspace {
    let workspace = Workspace::empty();
    std::fs::copy(odd_guest(), workspace.path().join("odd.wasm")).unwrap();
    workspace.write("tests/odd.toml", &format!("plugin = \"odd.wasm\"\n{text}"));
    workspace
}

/// One scenario of the odd guest.
fn odd_scenario(rest: &str) -> Workspace {
    odd(&format!("[[scenario]]\nname = \"one\"\n{rest}\n"))
}

/// `lockgate test` with these arguments, and its exit status.
fn run(workspace: &Workspace, arguments: &[&str]) -> (i32, Output) {
    let output = workspace.lockgate(&[&["test"], arguments].concat());
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!error.contains("panicked"), "{error}");
    (output.status.code().unwrap(), output)
}

/// What it tells people.
fn told(workspace: &Workspace, arguments: &[&str], status: i32) -> String {
    let (code, output) = run(workspace, arguments);
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert_eq!(code, status, "{text}");
    text
}

/// What it tells programs.
#[track_caller]
fn json_of(workspace: &Workspace, status: i32) -> Value {
    let (code, output) = run(workspace, &["--json"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(code, status, "{text}{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {text}"))
}

/// The mismatches of the only scenario, which fails.
#[track_caller]
fn mismatches(workspace: &Workspace) -> Value {
    let told = json_of(workspace, 1);
    assert_eq!(told["failed"], 1, "{told:#}");
    told["scenarios"][0]["mismatches"].clone()
}

/// The only problem with a file: its code, where, and its fix.
#[track_caller]
fn problem(workspace: &Workspace) -> (String, u64, u64, String) {
    let told = json_of(workspace, 1);
    let [problem] = told["problems"].as_array().unwrap().as_slice() else { panic!("{told:#}") };
    let text = |key: &str| problem[key].as_str().unwrap_or_default().to_owned();
    assert!(text("file").ends_with("tests/odd.toml") || text("file").ends_with("tests/orders-to-crm.toml"), "{problem:#}");
    (text("code"), problem["line"].as_u64().unwrap(), problem["column"].as_u64().unwrap(), text("fix"))
}

#[test]
fn a_scenario_that_must_fail_shows_what_is_another_and_where() {
    let workspace = example("shop-to-crm");
    let scenarios = std::fs::read_to_string(workspace.path().join("tests/orders-to-crm.toml")).unwrap();
    workspace.write("tests/orders-to-crm.toml", &scenarios.replace("StageName\" = \"Prospecting\"", "StageName\" = \"Qualified\""));
    let text = told(&workspace, &["an account and an opportunity"], 1);
    let expected = "\
FAILED  orders-to-crm: an order becomes an account and an opportunity
        tests/orders-to-crm.toml:11
        request 1 crm POST /composite /compositeRequest/1/body/StageName
          expected  \"Qualified\"
          got       \"Prospecting\"
1 scenario: 0 passed, 1 failed
";
    assert_eq!(text, expected);
}

#[test]
fn a_mapping_that_changes_makes_its_scenario_fail_field_by_field() {
    let workspace = example("order-to-invoice");
    let scenarios = std::fs::read_to_string(workspace.path().join("tests/order-to-invoice.toml")).unwrap();
    workspace.write("tests/order-to-invoice.toml", &scenarios.replace("amount_minor = 6485", "amount_minor = 6486, vat = 0"));
    let told = json_of(&workspace, 1);
    assert_eq!((&told["failed"], &told["passed"]), (&json!(1), &json!(3)));
    let of = "request 1 billing POST /invoices";
    let expected = json!([
        { "of": of, "path": "/amount_minor", "expected": "6486", "got": "6485" },
        { "of": of, "path": "/vat", "expected": "0", "got": "nothing" },
    ]);
    assert_eq!(told["scenarios"][0]["mismatches"], expected);
}

#[test]
fn names_that_nobody_has_are_told_with_their_place_and_what_was_meant() {
    let workspace = example("shop-to-crm");
    for (name, wrong) in [("shop-orders", ""), ("orders-to-audit", "")] {
        workspace.write(&format!("tests/{name}.toml"), &format!("scenario = []{wrong}\n"));
    }
    let scenario = |rest: &str| {
        workspace.write("tests/orders-to-crm.toml", &format!("[[scenario]]\nname = \"one\"\n{rest}\n"));
        problem(&workspace)
    };
    let message = "message = { file = \"orders/plain.json\" }\n";
    let expect = "expect = { outcome = \"delivered\" }\n";
    let (code, line, column, fix) = scenario(&format!("integration = \"orders-to-cmr\"\n{message}{expect}"));
    assert_eq!((code.as_str(), line, column, fix.as_str()), ("LG-7004", 3, 15, "did you mean `orders-to-crm`?"));
    let (code, line, _, fix) = scenario(&format!("integration = \"orders-to-crm\"\n{message}{expect}answer = {{ alias = \"crn\" }}"));
    assert_eq!((code.as_str(), line, fix.as_str()), ("LG-1006", 6, "did you mean `crm`?"));
    let (code, line, _, fix) = scenario(&format!("integration = \"orders-to-crm\"\n{message}expect = {{ of = \"2\", attempts = 1 }}"));
    assert_eq!((code.as_str(), line, fix.as_str()), ("LG-7004", 5, "did you mean `1`?"));
    let (code, line, _, fix) =
        scenario(&format!("integration = \"shop-orders\"\n{message}expect = {{ channels = {{ \"orders.canonicl\" = [] }} }}"));
    assert_eq!((code.as_str(), line, fix.as_str()), ("LG-1010", 5, "did you mean `orders.canonical`?"));
    let (code, line, _, _) =
        scenario("integration = \"shop-orders\"\nmessage = { file = \"orders/plain.json\", key = \"7\" }\nexpect = { attempts = 1 }");
    assert_eq!((code.as_str(), line), ("LG-1005", 4), "its key is in the body");
    let (code, line, _, fix) = scenario(&format!("plugin = \"http-pst@1\"\n{message}{expect}"));
    assert!(code == "LG-2001" && line == 3 && fix.contains("http-post"), "{code} {line} {fix}");
    let (code, line, _, _) = scenario(&format!("plugin = \"http-post@1\"\nconfig = {{ pth = \"/\" }}\n{message}{expect}"));
    assert_eq!((code.as_str(), line), ("LG-2008", 3));
    let (code, line, _, fix) = scenario(&format!("integration = \"orders-to-crm\"\n{message}{expect}mesage = 1"));
    assert!(code == "LG-1003" && line == 6 && fix.contains("`message`"), "{fix}");
}

#[test]
fn a_field_that_nobody_has_is_told_with_the_one_that_was_meant() {
    let workspace = example("shop-to-crm");
    workspace.write(
        "tests/shop-orders.toml",
        "integration = \"shop-orders\"\n[[scenario]]\nname = \"one\"\nmessage = { file = \"orders/plain.json\" }\nexpect = { output = { fields = { \"/customer/firstname\" = \"Mira\" } } }\n",
    );
    for name in ["orders-to-crm", "orders-to-audit"] {
        workspace.write(&format!("tests/{name}.toml"), "scenario = []\n");
    }
    let found = mismatches(&workspace);
    assert_eq!(found[0]["hint"], "did you mean /customer/first_name?", "{found:#}");
}

#[test]
fn a_request_that_no_answer_fits_ends_the_scenario_and_says_what_to_add() {
    let found = mismatches(&odd_scenario(
        "role = \"sink\"\nmessage = { text = \"x\" }\nanswer = { to = \"GET /records\" }\nexpect = { outcome = \"delivered\" }",
    ));
    assert_eq!(found[0]["of"], "request target POST /records");
    assert!(found[0]["hint"].as_str().unwrap().contains("to = \"POST /records\""), "{found:#}");
    assert_eq!(found.as_array().unwrap().len(), 1);
}

#[test]
fn nothing_is_run_where_there_is_nothing_to_run() {
    let workspace = Workspace::empty();
    assert!(told(&workspace, &[], 1).contains("there are no scenarios here"));
    let odd = odd_scenario("message = { text = \"echo\" }\nexpect = { outcome = \"delivered\" }");
    assert!(told(&odd, &["something else"], 1).contains("there is: one"));
}

#[test]
fn a_plugin_that_traps_or_runs_over_its_limits_is_stopped_as_in_a_host() {
    let scenario = |body: &str, class: &str| {
        format!(
            "[[scenario]]\nname = \"{body}\"\nmessage = {{ text = \"{body}\" }}\nexpect = {{ outcome = \"dead-lettered\", class = \"{class}\", attempts = 1 }}\n"
        )
    };
    let all =
        [("trap on purpose", "trapped"), ("bloat", "out-of-memory"), ("loop", "cpu-exceeded"), ("host-calls 20000", "host-calls-exceeded")];
    let text: String = all.iter().map(|(body, class)| scenario(body, class)).collect();
    let told = json_of(&odd(&text), 0);
    assert_eq!(told["passed"], 4);
}

#[test]
fn what_a_plugin_wrote_is_shown_where_its_scenario_failed() {
    let text = told(&odd_scenario("message = { text = \"log 2\" }\nexpect = { outcome = \"skipped\" }"), &[], 1);
    assert!(text.contains("what its plugins wrote:") && text.contains("a line of a flood"), "{text}");
}

#[test]
fn key_values_and_messages_to_channels_are_those_of_the_settlement() {
    let text = "[[scenario]]\nname = \"counts\"\nmessage = { text = \"tally a 1 2\" }\ndata = { a = \"4\", other = \"x\" }\n\
        expect = { key-values = { a = \"5\", other = \"x\" }, absent-key-values = [\"b\"], output = [{ text = \"a 1 0\" }, { text = \"a 1 1\" }], channels = { out = [{ text = \"a 1 0\" }, { text = \"a 1 1\" }] } }\n\
        [[scenario]]\nname = \"a failure writes nothing\"\nmessage = { text = \"tally a 1 0\" }\nexpect = { outcome = \"dead-lettered\", code = \"poison\", absent-key-values = [\"a\"], output = [] }\n";
    assert_eq!(json_of(&odd(text), 0)["passed"], 2);
}

#[test]
fn a_source_is_asked_as_often_as_it_is_said() {
    let text = "role = \"source\"\n[[scenario]]\nname = \"two pages\"\npolls = 2\n\
        answer = [{ to = \"GET /changes?since=\", text = \"c1\\nend\\n1 k one\\n2 k two\" }, { to = \"GET /changes?since=c1\", text = \"c2\\nend\\n3 k three\" }]\n\
        expect = { outcome = \"delivered\", cursor = \"c2\", output = [{ text = \"one\" }, { text = \"two\" }, { text = \"three\" }], request = { to = \"GET /changes\", times = 2 } }\n\
        [[scenario]]\nname = \"a source that fails stays where it is\"\nanswer = { status = 500 }\nexpect = { outcome = \"waiting\", code = \"not-fetched\" }\n";
    assert_eq!(json_of(&odd(text), 0)["passed"], 2);
}

#[test]
fn half_an_hour_takes_no_time_and_the_same_scenario_goes_the_same_way() {
    let workspace = example("shop-to-crm");
    let once = json_of(&workspace, 0);
    let down =
        once["scenarios"].as_array().unwrap().iter().find(|tested| tested["name"].as_str().unwrap().contains("half an hour")).unwrap();
    assert!(down["took-ms"].as_u64().unwrap() >= 30 * 60 * 1000, "{down:#}");
    assert_eq!(once, json_of(&workspace, 0));
}

#[test]
fn every_scenario_of_the_examples_passes() {
    for (name, least) in [("shop-to-crm", 20), ("order-to-invoice", 4)] {
        let text = told(&example(name), &[], 0);
        let passed: usize = text.lines().last().unwrap().split(' ').next().unwrap().parse().unwrap();
        assert!(passed >= least && text.ends_with("scenarios passed\n"), "{text}");
    }
}

#[test]
fn build_servers_get_their_file_whatever_is_in_it() {
    let workspace = odd_scenario("message = { text = \"permanent <&\\\"\\u0007]]>\" }\nexpect = { outcome = \"delivered\" }");
    told(&workspace, &["--junit", "out.xml"], 1);
    let xml = std::fs::read_to_string(workspace.path().join("out.xml")).unwrap();
    assert!(xml.contains("<testsuites tests=\"1\" failures=\"1\">") && xml.contains("classname=\"odd@0.0.0\""), "{xml}");
    assert!(xml.contains("&lt;&amp;&quot;") && !xml.contains('\u{7}'), "{xml}");
}
