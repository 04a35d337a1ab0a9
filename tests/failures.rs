//! `lockgate test --failures` and `lockgate mapping observe` over the real binary: what is asked for wrongly first, then flaws that were
//! planted, each found as what it is, then what is sound.

use serde_json::{Value, json};

use crate::support::build::{flawed_guest, plugin_files};
use crate::support::workspace::Workspace;

const ORDER: &str = r#"{"id": "1001", "customer": {"name": "Mira van Dijk", "email": "mira@canal.example"}, "total": "64.85", "note": "Leave it with the lock keeper", "items": [{"sku": "ROPE-1", "quantity": 2}, {"sku": "LAMP-7", "quantity": 1}]}"#;

/// What the sink's target answers.
const ANSWER: &str = r#"[[answer]]
to = "* /records*"
json = { id = "r1" }
"#;

/// The plugin in the role, with the flaw, and a scenario with an order that is delivered.
fn flawed(role: &str, flaw: &str) -> Workspace {
    let workspace = Workspace::empty();
    std::fs::copy(flawed_guest(), workspace.path().join("flawed.wasm")).unwrap();
    let head = format!(
        "plugin = \"flawed.wasm\"\nrole = \"{role}\"\nconfig = {{ flaw = \"{flaw}\" }}\n{}",
        if role == "sink" { ANSWER } else { "" }
    );
    let scenario = if role == "source" {
        "[[scenario]]\nname = \"a record\"\nanswer = [{ to = \"GET /feed?after=0\", json = [{ id = \"7\", text = \"seven\" }] }, { to = \"GET /feed?after=*\", text = \"[]\", content-type = \"application/json\" }]\nexpect = { outcome = \"delivered\" }\n"
    } else {
        "[[scenario]]\nname = \"an order\"\nmessage = { file = \"order.json\" }\nexpect = { outcome = \"delivered\" }\n"
    };
    workspace.write("order.json", ORDER).write("tests/flawed.toml", &format!("{head}\n{scenario}"));
    workspace
}

/// Exit status, standard output, standard error.
fn run(workspace: &Workspace, arguments: &[&str]) -> (i32, String, String) {
    let output = workspace.lockgate(arguments);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (out, error) = (text(output.stdout), text(output.stderr));
    assert!(!error.contains("panicked"), "{error}");
    (output.status.code().unwrap(), out, error)
}

/// The report of the only target.
#[track_caller]
fn report(workspace: &Workspace, arguments: &[&str], status: i32) -> Value {
    let (code, out, error) = run(workspace, &[&["test", "--json", "--failures"], arguments].concat());
    assert_eq!(code, status, "{out}{error}");
    let told: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("no JSON: {out}"));
    let [report] = told["failures"].as_array().unwrap().as_slice() else { panic!("{told:#}") };
    report.clone()
}

fn rows(report: &Value) -> Vec<&Value> {
    report["rows"].as_array().unwrap().iter().collect()
}

/// By kind of defect, the cases in which it was found.
fn defects(report: &Value) -> Vec<(String, String)> {
    let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    rows(report).into_iter().filter(|row| row["verdict"] == "defect").map(|row| (text(row, "defect"), text(row, "case"))).collect()
}

/// That the flaw is found as `kind` and nothing else, in a case with this in its name.
#[track_caller]
fn found(role: &str, flaw: &str, kind: &str, case: &str) {
    let told = report(&flawed(role, flaw), &["flawed.wasm"], 1);
    let found = defects(&told);
    assert!(found.iter().any(|(of, name)| of == kind && name.contains(case)), "{flaw}: {found:#?}");
    assert!(found.iter().all(|(of, _)| of == kind), "{flaw}: {found:#?}");
}

/// That it is no defect, and worth knowing in a case with this in its name.
#[track_caller]
fn noted(role: &str, flaw: &str, case: &str, look: &str) {
    let told = report(&flawed(role, flaw), &["flawed.wasm"], 0);
    let is_it = |row: &&Value| {
        row["verdict"] == "note" && row["case"].as_str().unwrap().contains(case) && row["look"].as_str().unwrap().contains(look)
    };
    assert!(rows(&told).iter().any(is_it), "{told:#}");
}

#[test]
fn nothing_is_tried_where_there_is_nothing_to_try_it_on() {
    let empty = Workspace::empty();
    let (code, _, error) = run(&empty, &["test", "--failures"]);
    assert!(code == 1 && error.contains("there is no integration here") && error.contains("name a plugin"), "{error}");
    std::fs::copy(flawed_guest(), empty.path().join("flawed.wasm")).unwrap();
    let (code, _, error) = run(&empty, &["test", "--failures", "flawed.wasm"]);
    assert!(code == 1 && error.contains("there is no sample message for") && error.contains("--samples DIR"), "{error}");
    let (code, _, error) = run(&empty, &["test", "--failures", "flawed.wasm", "--samples", "nowhere"]);
    assert!(code == 1 && error.contains("nowhere") && error.contains("name a folder of messages"), "{error}");
    let (code, _, error) = run(&empty, &["test", "--failures", "gone.wasm", "--samples", "."]);
    assert!(code == 1 && error.contains("gone.wasm"), "{error}");
    let (code, _, error) = run(&empty, &["test", "--failures", "orders-to-cmr"]);
    assert!(code == 1 && error.contains("there is no integration `orders-to-cmr`"), "{error}");
}

#[test]
fn a_component_without_a_role_is_told_what_to_export() {
    let workspace = Workspace::empty();
    // A component with nothing in it: the preamble alone.
    std::fs::write(workspace.path().join("nothing.wasm"), b"\0asm\x0d\0\x01\0").unwrap();
    workspace.write("samples/one.json", "{}");
    let (code, _, error) = run(&workspace, &["test", "--failures", "nothing.wasm"]);
    assert!(code == 1 && error.contains("has no role") && error.contains("export lockgate:plugin/transformer"), "{error}");
}

#[test]
fn samples_that_are_not_delivered_are_told_with_why() {
    let workspace = flawed("transformer", "");
    workspace.write("bad/one.json", "{\"id\": \"1\"}").write("bad/two.txt", "no JSON");
    let (code, _, error) = run(&workspace, &["test", "--failures", "flawed.wasm", "--samples", "bad"]);
    assert_eq!(code, 1);
    assert!(error.contains("bad/one.json: left out: dead-lettered (required-field-missing)"), "{error}");
    assert!(error.contains("bad/two.txt: left out: dead-lettered (body-invalid)"), "{error}");
    workspace.write("bad/three.json", ORDER);
    let told = report(&workspace, &["flawed.wasm", "--samples", "bad"], 0);
    let used: Vec<_> = told["samples"].as_array().unwrap().iter().map(|sample| sample["used"].clone()).collect();
    assert_eq!(used, [json!(false), json!(true), json!(false)], "{told:#}");
}

#[test]
fn a_file_that_cannot_be_written_is_told_before_the_work() {
    let workspace = flawed("transformer", "");
    for file in ["nowhere/page.html", "tests"] {
        let (code, out, error) = run(&workspace, &["test", "--failures", "flawed.wasm", "--html", file]);
        assert!(code == 1 && out.is_empty() && error.contains(&format!("{file} cannot be written")), "{error}");
        assert!(!error.contains("Loading plugins"), "{error}");
    }
}

#[test]
fn what_makes_no_sense_together_is_refused() {
    let workspace = flawed("transformer", "");
    for (arguments, why) in [
        (&["test", "an order", "--samples", "."][..], "--failures"),
        (&["test", "--failures", "flawed.wasm", "--config", "[]"], "--config is no JSON object"),
        (&["test", "--failures", "flawed.wasm", "--recorded", "--samples", "."], "cannot be used with"),
        (&["test", "--failures", "flawed.wasm", "--junit", "x.xml"], "runs no scenarios"),
    ] {
        let (code, _, error) = run(&workspace, arguments);
        assert!(code == 2 && error.contains(why), "{arguments:?}: {code} {error}");
    }
    let (code, _, error) = run(&workspace, &["test", "--failures", "flawed.wasm", "--recorded"]);
    assert!(code == 1 && error.contains("nothing of") && error.contains("--recorded"), "{error}");
}

#[test]
fn a_plugin_that_needs_a_config_is_told_how_to_say_it() {
    let workspace = Workspace::empty();
    let file = plugin_files().join("order-to-opportunity@1.0.0.wasm").display().to_string();
    let (code, _, error) = run(&workspace, &["test", "--failures", &file]);
    assert!(code == 1 && error.contains("\"stage\" is a required property") && error.contains("--config"), "{error}");
}

#[test]
fn a_sink_that_loses_is_found() {
    found("sink", "lose", "lost", "time-out");
    found("sink", "skip", "lost", "target down for 30 minutes");
    found("sink", "blind", "lost", "page of HTML for an answer");
}

#[test]
fn a_sink_that_does_it_again_under_another_key_is_found() {
    found("sink", "relabel", "duplicated", "answer cut in half");
    found("sink", "restless", "unrepeatable", "500, twice");
}

#[test]
fn a_plugin_that_traps_or_runs_over_its_limits_is_found_and_where() {
    found("sink", "trap", "trapped", "answer cut in half");
    found("transformer", "trap", "trapped", "field null");
    found("transformer", "trap-on-body", "trapped", "message cut in half");
    found("transformer", "loop", "over-limits", "field very long");
    let told = report(&flawed("transformer", "trap"), &["flawed.wasm"], 1);
    let row = rows(&told)[0];
    assert!(row["look"].as_str().unwrap().contains("lib.rs"), "where it trapped: {row:#}");
    assert!(row["fields"].as_array().unwrap().contains(&json!("/customer")), "{row:#}");
}

#[test]
fn a_value_that_is_silently_null_is_found() {
    found("transformer", "silently-null", "silently-null", "field of another type");
    found("transformer", "drops-lines", "silently-null", "field of another type");
    let told = report(&flawed("transformer", "silently-null"), &["flawed.wasm"], 1);
    assert_eq!(rows(&told)[0]["fields"], json!(["/total"]), "{told:#}");
    assert_eq!(rows(&told)[0]["look"], "output /total becomes nothing", "{told:#}");
}

#[test]
fn a_source_that_loses_or_traps_is_found() {
    found("source", "forget", "lost", "500, twice");
    found("source", "trap", "trapped", "answer cut in half");
    noted("source", "rename", "asked again when all is well", "under another id");
}

#[test]
fn what_is_sound_and_worth_knowing_is_no_defect() {
    noted("transformer", "default", "field missing", "output /total is a copy of it, and becomes \"0.00\"");
    noted("transformer", "mangle", "field with emoji", "output /note is a copy of it");
}

#[test]
fn a_sound_plugin_has_no_defect() {
    for (role, flaw) in [("transformer", ""), ("sink", ""), ("sink", "put"), ("sink", "park"), ("source", "")] {
        let told = report(&flawed(role, flaw), &["flawed.wasm"], 0);
        assert!(told["defects"] == 0 && told["cases"].as_u64().unwrap() > 5, "{role} {flaw}: {told:#}");
    }
}

#[test]
fn the_examples_have_no_defect_and_people_read_why() {
    let example = crate::support::build::root().join("examples/order-to-invoice").display().to_string();
    let workspace = Workspace::empty();
    let page = workspace.path().join("page.html");
    let (code, out, error) = run(&workspace, &["test", "-C", &example, "--failures", "--html", page.to_str().unwrap()]);
    assert_eq!(code, 0, "{out}{error}");
    assert!(out.contains("4 scenarios passed") && out.contains("0 defects"), "{out}");
    let line = |start: &str| out.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{start}: {out}")).to_owned();
    assert!(line("target down for 30 minutes").contains("retried, then delivered, after 30m"), "{out}");
    assert!(line("429 with Retry-After: 600").contains("retried, then delivered, after 10m"), "{out}");
    assert!(line("duplicate: sent twice by its sender").contains("sound"), "{out}");
    assert!(line("redelivery: host stopped").contains("retried, then delivered"), "{out}");
    assert!(line("message cut in half").contains("dead-lettered"), "{out}");
    assert!(line("not tried, its aliases have no token").contains("token expires in mid-batch"), "{out}");
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("What goes wrong around order-to-invoice") && page.contains("default-src"), "{page}");
    assert!(!page.contains("<script") && !page.contains("http://") && !page.contains("https://"), "nothing is loaded");
}

#[test]
fn a_component_alone_is_tried_in_whichever_folder() {
    let workspace = Workspace::empty();
    std::fs::remove_file(workspace.path().join("lockgate.toml")).unwrap();
    // Somebody else's tests.
    workspace.write("tests/Cargo.toml", "[package]\nname = \"other\"\n").write("orders/<i>.json", ORDER);
    std::fs::copy(flawed_guest(), workspace.path().join("vendor.wasm")).unwrap();
    let config = "{\"flaw\": \"silently-null\"}";
    let (code, out, error) =
        run(&workspace, &["test", "--failures", "vendor.wasm", "--samples", "orders", "--config", config, "--html", "page.html"]);
    assert_eq!(code, 1, "{out}{error}");
    assert!(out.contains("field of another type: /total") && out.contains("silently null"), "{out}");
    let page = std::fs::read_to_string(workspace.path().join("page.html")).unwrap();
    assert!(page.contains("orders/&lt;i&gt;.json") && !page.contains("<i>"), "{page}");
}

/// What `mapping observe` tells programs of the transformer.
fn observed(workspace: &Workspace, arguments: &[&str]) -> Value {
    let (code, out, error) = run(workspace, &[&["mapping", "observe", "--json"], arguments].concat());
    assert_eq!(code, 0, "{error}");
    serde_json::from_str(&out).unwrap()
}

#[test]
fn what_cannot_be_observed_is_told() {
    let workspace = flawed("source", "");
    let (code, _, error) = run(&workspace, &["mapping", "observe", "flawed.wasm"]);
    assert!(code == 1 && error.contains("polls") && error.contains("name an integration or a plugin"), "{error}");
    let workspace = flawed("sink", "");
    workspace.write("texts/one.txt", "a line");
    let (code, _, error) = run(&workspace, &["mapping", "observe", "flawed.wasm", "--samples", "texts"]);
    assert!(code == 1 && error.contains("is JSON") && error.contains("--samples DIR"), "{error}");
    let (code, _, error) = run(&workspace, &["mapping", "observe", "nobody"]);
    assert!(code == 1 && error.contains("there is no integration `nobody`"), "{error}");
}

#[test]
fn a_mapping_is_observed_field_by_field() {
    let told = observed(&flawed("transformer", "default"), &["flawed.wasm"]);
    let of = |name: &str| told["fields"].as_array().unwrap().iter().find(|field| field["field"] == name).unwrap().clone();
    assert_eq!(of("/id")["becomes"][0]["output"], "output /reference", "{told:#}");
    assert_eq!(of("/id")["becomes"][0]["how"], "copied");
    assert_eq!(of("/id")["missing"], json!(["dead-lettered (required-field-missing)"]));
    assert_eq!(of("/total")["becomes"][0]["missing"], json!(["\"0.00\""]), "a default is told");
    assert_eq!(of("/items/*/sku")["becomes"][0]["output"], "output /lines/*/sku", "{told:#}");
    assert_eq!(of("/items/*/sku")["becomes"].as_array().unwrap().len(), 1, "{told:#}");
    assert_eq!(told["constants"], json!([{ "output": "output /kind", "value": "invoice" }]), "{told:#}");
    assert!(told["remark"].as_str().unwrap().starts_with("Observed, not proven"));
}

#[test]
fn an_observation_is_a_table_for_people_and_a_draft_of_a_document() {
    let workspace = flawed("transformer", "");
    let (code, out, error) = run(&workspace, &["mapping", "observe", "flawed.wasm"]);
    assert_eq!(code, 0, "{error}");
    let line = out.lines().find(|line| line.starts_with("/customer/name")).unwrap_or_else(|| panic!("{out}"));
    assert!(line.contains("output /debtor/name") && line.contains("copied"), "{out}");
    assert!(out.contains("over 1 sample message. Observed, not proven"), "{out}");
    let (_, draft, _) = run(&workspace, &["mapping", "observe", "flawed.wasm", "--format", "markdown"]);
    assert!(draft.starts_with("# Mapping of "), "{draft}");
    assert!(draft.contains("| `/customer/name` | `output /debtor/name` | copied |"), "{draft}");
}
