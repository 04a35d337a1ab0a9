//! The commands: their `--help`, and that what documents call commands are commands.

use std::collections::BTreeMap;

use super::pages;
use crate::support::build::root;
use crate::support::host::lockgate;

const COLUMNS_MAX: usize = 100;

/// `--help` of every command, by its words: `dead-letters list`.
fn helps() -> BTreeMap<String, String> {
    let mut helps = BTreeMap::new();
    let mut open = vec![String::new()];
    while let Some(name) = open.pop() {
        let output = lockgate(root()).args(name.split_whitespace()).arg("--help").env_remove("COLUMNS").output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "lockgate {name} --help");
        let help = String::from_utf8(output.stdout).unwrap();
        open.extend(subcommands(&help).iter().map(|word| format!("{name} {word}").trim().to_owned()));
        helps.insert(name, help);
    }
    helps
}

/// The names below `Commands:`.
fn subcommands(help: &str) -> Vec<&str> {
    let below = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let named = below.filter_map(|line| line.strip_prefix("  ")).filter(|line| !line.starts_with(' '));
    named.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").collect()
}

#[test]
fn every_command_has_a_help_that_teaches() {
    let helps = helps();
    assert!(helps.len() > 14, "{:?}", helps.keys());
    for (name, help) in &helps {
        let full = format!("lockgate {name}");
        assert!(help.lines().next().is_some_and(|line| line.len() > 20), "{full} says what it does");
        assert!(help.contains(&format!("Usage: {}", full.trim())), "{full} has a usage line");
        let wide: Vec<&str> = help.lines().filter(|line| line.chars().count() > COLUMNS_MAX).collect();
        assert!(wide.is_empty(), "{full}: {wide:?}");
        if subcommands(help).is_empty() {
            assert!(help.contains("Example"), "{full} has no example");
            assert!(help.contains(&format!("  {full}")), "{full}: its examples show it");
        }
    }
}

#[test]
fn helps_name_the_defaults() {
    let helps = helps();
    for (name, defaults) in [
        ("run", &["[default: .]", "[default: human]", "127.0.0.1:8080", "127.0.0.1:8090", "DIR/data"][..]),
        ("messages", &["[default: 50]"]),
        ("dead-letters list", &["[default: 50]"]),
        ("send", &["[default: application/json]"]),
        ("status", &["[default: of the one on the workspace's data folder]", "[default: the data folder's own]"]),
    ] {
        // The help is wrapped; a default may stand on two lines.
        let help = helps[name].split_whitespace().collect::<Vec<_>>().join(" ");
        for default in defaults {
            assert!(help.contains(default), "lockgate {name} does not name {default}");
        }
    }
    let host = lockgate_defaults();
    assert_eq!(host, ("127.0.0.1:8080".to_owned(), "127.0.0.1:8090".to_owned(), "data".to_owned()));
}

fn lockgate_defaults() -> (String, String, String) {
    let host = lockgate::config::HostConfig::default();
    (host.ingress.to_string(), host.admin.to_string(), host.data.display().to_string())
}

/// The first two words behind `lockgate` in a piece of code; options in front are passed over.
fn called(code: &str) -> Vec<Vec<&str>> {
    let calls = code.lines().flat_map(|line| line.split("lockgate ").skip(1).filter(|_| starts_with_lockgate(line)));
    calls.map(|rest| rest.split_whitespace().take(2).collect()).collect()
}

fn starts_with_lockgate(line: &str) -> bool {
    line.trim_start_matches("$ ").trim_start().starts_with("lockgate ")
}

#[test]
fn every_command_in_the_documents_is_one() {
    let helps = helps();
    let mut unknown = Vec::new();
    // Decisions speak of what was weighed, also of what is not built.
    for page in pages::all().into_iter().chain(pages::templates()).filter(|page| !page.path.to_string_lossy().contains("/decisions/")) {
        let blocks = page.blocks().into_iter().filter(|block| matches!(block.info.as_str(), "console" | "sh")).map(|block| block.text);
        for code in page.spans().into_iter().chain(blocks) {
            for words in called(&code) {
                let known = match words.as_slice() {
                    // `lockgate -C DIR …`, `lockgate --help`, `lockgate …`
                    [first, ..] if first.starts_with(['-', '…', '<']) => true,
                    // Options of a command that has subcommands too: `lockgate bench --row …`
                    [first, second] if second.starts_with('-') => helps.contains_key(*first),
                    [first, second] if helps.get(*first).is_some_and(|help| !subcommands(help).is_empty()) => {
                        second.split('|').all(|second| helps.contains_key(&format!("{first} {second}")))
                    }
                    [first, ..] => helps.contains_key(*first),
                    [] => true,
                };
                if !known {
                    unknown.push(format!("{}: lockgate {}", page.path.display(), words.join(" ")));
                }
            }
        }
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
}
