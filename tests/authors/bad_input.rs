//! What a newcomer gets wrong is told in words that say what to do, and nothing is written.

use std::path::Path;
use std::process::{Command, Output};

use super::newcomer::text;
use crate::support::host::lockgate;

fn run(folder: &Path, arguments: &[&str]) -> Output {
    lockgate(folder).args(arguments).output().unwrap()
}

#[track_caller]
fn refused(folder: &Path, arguments: &[&str], status: i32, parts: &[&str]) {
    let output = run(folder, arguments);
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {}", text(&output));
    for part in parts {
        assert!(text(&output).contains(part), "{arguments:?} does not say {part:?}: {}", text(&output));
    }
}

#[test]
fn names_languages_and_roles_that_are_wrong_are_told_with_those_that_are_right() {
    let folder = tempfile::tempdir().unwrap();
    assert!(run(folder.path(), &["new", "workspace", "shop"]).status.success());
    let shop = folder.path().join("shop");
    let new = |name: &'static str, lang: &'static str, role: &'static str| ["new", "plugin", name, "--lang", lang, "--role", role];
    refused(&shop, &new("Order_Map", "rust", "sink"), 2, &["LG-7006", "did you mean `order-map`?"]);
    refused(&shop, &new("orders", "cobol", "sink"), 2, &["cobol", "possible values: rust, js, ts, python"]);
    refused(&shop, &new("orders", "rust", "snik"), 2, &["snik", "transformer, sink, batch-sink, source", "'sink'"]);
    refused(&shop, &new("hello", "rust", "sink"), 1, &["LG-7021", "a plugin `hello` already"]);
    refused(folder.path(), &new("orders", "rust", "sink"), 1, &["LG-1011", "lockgate new workspace DIR"]);
    refused(folder.path(), &["new", "workspace", "shop"], 1, &["LG-7021", "is a workspace already"]);
    assert_eq!(std::fs::read_dir(shop.join("plugins")).unwrap().count(), 1);
}

#[test]
fn builds_of_what_is_not_there_are_told_with_what_is() {
    let folder = tempfile::tempdir().unwrap();
    refused(folder.path(), &["build"], 1, &["LG-1011", "lockgate new workspace DIR"]);
    assert!(run(folder.path(), &["new", "workspace", "shop"]).status.success());
    let shop = folder.path().join("shop");
    refused(&shop, &["build", "helo"], 1, &["LG-2001", "did you mean `hello`?"]);
    refused(&shop, &["build", "./integrations"], 1, &["LG-2001", "has no plugin.toml"]);
    let manifest = shop.join("plugins/hello/plugin.toml");
    let good = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, good.replace("roles", "rolls")).unwrap();
    refused(&shop, &["build"], 1, &["LG-2006", "did you mean `roles`?", "plugin.toml:"]);
    std::fs::write(&manifest, &good).unwrap();
    std::fs::remove_file(shop.join("plugins/hello/Cargo.toml")).unwrap();
    refused(&shop.join("plugins/hello/src"), &["build"], 1, &["LG-2007", "nothing that says what it is written in", "Cargo.toml (Rust)"]);
}

#[test]
fn a_tool_that_is_not_there_is_named_with_how_to_get_it() {
    let folder = tempfile::tempdir().unwrap();
    assert!(run(folder.path(), &["new", "workspace", "shop"]).status.success());
    let empty = tempfile::tempdir().unwrap();
    let mut command: Command = lockgate(&folder.path().join("shop"));
    // Cargo tells what it runs which tools it is made of.
    let output = command.arg("build").env("PATH", empty.path()).env_remove("CARGO").env_remove("RUSTC").output().unwrap();
    let said = text(&output);
    assert!(output.status.code() == Some(1) && said.contains("LG-7007") && said.contains("https://rustup.rs"), "{said}");
}
