//! A newcomer who writes Python.

use std::process::Command;

use super::newcomer::{Newcomer, text};
use crate::support::skipped;

/// Whether the machine has Python 3.11 or later; else a line says so.
fn has_python() -> bool {
    let asked = ["-c", "import sys; sys.exit(sys.version_info < (3, 11))"];
    let has = Command::new("python3").args(asked).output().is_ok_and(|output| output.status.success());
    if !has {
        skipped("authors: Python", "Python 3.11 or later is not installed");
    }
    has
}

/// What is linked here: each takes seconds of the machine. Plugins of the other roles are linked in `sdk/python/link/tests`.
const LINKED: [&str; 2] = ["a-sink", "hello"];

#[test]
fn in_python_from_an_empty_folder_to_a_message_delivered() {
    if !has_python() {
        return;
    }
    let newcomer = Newcomer::new("python");
    for folder in ["a-transformer", "a-sink", "a-batch-sink", "a-source", "hello"] {
        let tests = newcomer.tool(&format!("plugins/{folder}"), &["python3", "-m", "unittest"]).output().unwrap();
        assert!(tests.status.success() && text(&tests).contains("OK"), "{}", text(&tests));
    }
    let first = newcomer.lockgate(&["build", "a-sink"]);
    if text(&first).contains("pip does not get") {
        return skipped("authors: Python", "pip does not get the package that carries the interpreter");
    }
    let digests = newcomer.build(&LINKED);
    let expected: Vec<_> = digests.into_iter().filter(|(name, _)| name == "a-sink").collect();
    assert_eq!(newcomer.build_elsewhere(&["a-sink"]), expected);
    newcomer.greets();
    newcomer.passes(None);
    newcomer.passes(Some("a-sink"));
    says_why(&newcomer);
}

/// What is wrong with a plugin is told with Python's own words, or with what to write instead.
fn says_why(newcomer: &Newcomer) {
    let module = newcomer.path().join("plugins/a-sink/a_sink.py");
    let good = std::fs::read_to_string(&module).unwrap();
    let with = |from: &str, to: &str| {
        assert!(good.contains(from));
        std::fs::write(&module, good.replace(from, to)).unwrap();
        newcomer.problem(&["build", "a-sink"])
    };
    let (code, why) = with("    return Receipt(", "    return = Receipt(");
    assert!(code == "LG-2007" && why.contains("a_sink.py:") && why.contains("SyntaxError"), "{why}");
    assert!(why.contains("\n    return = Receipt("), "{why}");
    let (code, why) = with("@sink\n", "");
    assert!(code == "LG-2007" && why.contains("one function needs @sink"), "{why}");
    std::fs::write(&module, &good).unwrap();

    let (status, refused) = (newcomer.lockgate(&["new", "plugin", "json", "--lang", "python", "--role", "sink"]), "LG-7006");
    assert!(
        status.status.code() == Some(2) && text(&status).contains(refused) && text(&status).contains("json-plugin"),
        "{}",
        text(&status)
    );
    let empty = tempfile::tempdir().unwrap();
    let output = crate::support::host::lockgate(newcomer.path()).args(["build", "a-sink"]).env("PATH", empty.path()).output().unwrap();
    assert!(text(&output).contains("LG-7007") && text(&output).contains("python.org"), "{}", text(&output));
}
