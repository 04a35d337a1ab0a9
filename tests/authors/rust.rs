//! A newcomer who writes Rust.

use super::newcomer::{Newcomer, ROLES, text};

#[test]
fn in_rust_from_an_empty_folder_to_a_message_delivered() {
    let newcomer = Newcomer::new("rust");
    let tests = newcomer.tool(".", &["cargo", "test", "--quiet"]).output().unwrap();
    assert!(tests.status.success(), "{}", text(&tests));
    assert!(text(&tests).matches("test result: ok").count() >= 5, "{}", text(&tests));
    let formatted = newcomer.tool(".", &["cargo", "fmt", "--check"]).output().unwrap();
    assert!(formatted.status.success(), "{}", text(&formatted));

    let digests = newcomer.build_all();
    assert_eq!(newcomer.build_all(), digests);
    let some = ["a-sink", "a-source"];
    let expected: Vec<_> = digests.into_iter().filter(|(name, _)| some.contains(&name.as_str())).collect();
    assert_eq!(newcomer.build_elsewhere(&some), expected);

    newcomer.greets();
    newcomer.passes(None);
    ROLES.into_iter().for_each(|role| newcomer.passes(Some(&format!("a-{role}"))));
    newcomer.delivers();
    says_why(&newcomer);
}

/// What is wrong with a plugin is told with the compiler's own words, or with what to write instead.
fn says_why(newcomer: &Newcomer) {
    let library = newcomer.path().join("plugins/a-sink/src/lib.rs");
    let good = std::fs::read_to_string(&library).unwrap();
    let with = |from: &str, to: &str| {
        assert!(good.contains(from));
        std::fs::write(&library, good.replace(from, to)).unwrap();
        newcomer.problem(&["build", "a-sink"])
    };
    let (code, why) = with("let config: Config", "let config: Confg");
    assert!(code == "LG-2007" && why.contains("cannot find type `Confg`") && why.contains("plugins/a-sink/src/lib.rs:"), "{why}");
    let (code, why) = with("lockgate_sdk::export_sink!(Plugin);", "");
    assert!(code == "LG-2006" && why.contains("the component exports no role"), "{why}");
    assert!(why.contains("add lockgate_sdk::export_sink!(Plugin); to its library"), "{why}");
    let asks = "std::net::TcpStream::connect(\"10.0.0.1:80\").map_err(|e| Failure::permanent(\"no\", e.to_string()))?;\n        let config: Config";
    let (code, why) = with("let config: Config", asks);
    assert!(code == "LG-2010" && why.contains("wasi:sockets/"), "{why}");
    std::fs::write(&library, &good).unwrap();
}
