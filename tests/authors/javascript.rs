//! Newcomers who write JavaScript and TypeScript.

use std::process::{Command, Stdio};

use super::newcomer::{Newcomer, text};
use crate::support::skipped;

/// Whether the machine has Node.js and npm; else a line says so.
fn has_node(test: &str) -> bool {
    let runs = |program| Command::new(program).arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success());
    let has = runs("node") && runs("npm");
    if !has {
        skipped(test, "Node.js and npm are not installed");
    }
    has
}

#[test]
fn in_javascript_from_an_empty_folder_to_a_message_delivered() {
    if !has_node("authors: JavaScript") {
        return;
    }
    let newcomer = Newcomer::new("js");
    // From no registry.
    let installed = newcomer.tool(".", &["npm", "install", "--offline", "--no-audit"]).output().unwrap();
    assert!(installed.status.success(), "{}", text(&installed));
    tested(&newcomer);
    built(&newcomer);
    says_why(&newcomer);
}

#[test]
fn in_typescript_from_an_empty_folder_to_a_message_delivered() {
    if !has_node("authors: TypeScript") {
        return;
    }
    let newcomer = Newcomer::new("ts");
    let installed = newcomer.tool(".", &["npm", "install", "--no-audit", "--prefer-offline"]).output().unwrap();
    assert!(installed.status.success(), "{}", text(&installed));
    let checked = newcomer.tool(".", &["npm", "run", "check", "--workspaces", "--if-present"]).output().unwrap();
    assert!(checked.status.success(), "{}", text(&checked));
    tested(&newcomer);
    built(&newcomer);
}

fn tested(newcomer: &Newcomer) {
    let tests = newcomer.tool(".", &["npm", "test", "--workspaces", "--if-present"]).output().unwrap();
    assert!(tests.status.success(), "{}", text(&tests));
    assert_eq!(text(&tests).matches("# fail 0").count(), 5, "{}", text(&tests));
}

fn built(newcomer: &Newcomer) {
    // A build links what is missing by itself.
    std::fs::remove_dir_all(newcomer.path().join("node_modules")).unwrap();
    let digests = newcomer.build_all();
    assert_eq!(newcomer.build_all(), digests);
    let some = ["a-sink", "a-source"];
    let expected: Vec<_> = digests.into_iter().filter(|(name, _)| some.contains(&name.as_str())).collect();
    assert_eq!(newcomer.build_elsewhere(&some), expected);
    newcomer.greets();
    newcomer.passes(None);
    newcomer.passes(Some("a-sink"));
    newcomer.delivers();
}

/// What is wrong with a plugin is told with the compiler's own words, or with what to write instead.
fn says_why(newcomer: &Newcomer) {
    let module = newcomer.path().join("plugins/a-sink/src/index.js");
    let good = std::fs::read_to_string(&module).unwrap();
    let with = |from: &str, to: &str| {
        assert!(good.contains(from));
        std::fs::write(&module, good.replace(from, to)).unwrap();
        newcomer.problem(&["build", "a-sink"])
    };
    let (code, why) = with("return { remoteId", "return { remoteId remoteId");
    assert!(code == "LG-2007" && why.contains("src/index.js:1") && why.contains("Expected"), "{why}");
    let (code, why) = with("export default sink(", "export default transformer(");
    assert!(code == "LG-2007" && why.contains("transformer"), "{why}");
    let (code, why) = with("export default sink(", "export const plugin = sink(");
    assert!(code == "LG-2007" && why.contains("default"), "{why}");
    let (code, why) = with("import { config", "import fs from \"node:fs\";\nconsole.log(fs);\nimport { config");
    assert!(code == "LG-2007" && why.contains("node:fs") && why.contains("module of Node.js"), "{why}");
    let (code, why) = with("export default", "undefined.name;\nexport default");
    assert!(code == "LG-2007" && why.contains("cannot read property 'name' of undefined\n    at src/index.js:"), "{why}");
    std::fs::write(&module, &good).unwrap();

    let empty = tempfile::tempdir().unwrap();
    let output = crate::support::host::lockgate(newcomer.path()).args(["build", "a-sink"]).env("PATH", empty.path()).output().unwrap();
    assert!(output.status.code() == Some(1), "{}", text(&output));
    assert!(text(&output).contains("LG-7007") && text(&output).contains("https://nodejs.org"), "{}", text(&output));
}
