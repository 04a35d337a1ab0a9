//! `lockgate demo` as a script uses it: its report, its log, and how it ends when it is told to.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::build::{plugin_files, root};
use crate::support::host::lockgate;

#[test]
fn ends_quietly_as_a_command_does_that_was_told_to_end() {
    plugin_files();
    for (signal, status) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let mut demo = lockgate(root()).args(["demo", "--exit"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut told = BufReader::new(demo.stdout.take().unwrap());
        let mut line = String::new();
        while !line.starts_with("2. ") {
            line.clear();
            assert!(told.read_line(&mut line).unwrap() > 0, "it ended before it began");
        }
        kill_process(Pid::from_child(&demo), signal).unwrap();
        std::io::copy(&mut told, &mut std::io::sink()).unwrap();
        let ended = demo.wait_with_output().unwrap();
        let complaints = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(status), "{complaints}");
        assert!(!complaints.contains("LG-"), "{complaints}");
    }
}

#[test]
fn reports_to_scripts_what_it_tells_people_and_what_an_operator_did_is_in_the_log() {
    plugin_files();
    let ended = lockgate(root()).args(["demo", "--exit", "--json"]).env("LOCKGATE_LOG", "info").output().unwrap();
    let log = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(ended.status.success(), "{log}");
    let said: Value = serde_json::from_slice(&ended.stdout).unwrap();
    let report = &said["report"];
    let figures = ["accepted", "opportunities-written", "audited", "written-twice"].map(|field| report[field].as_u64().unwrap());
    assert_eq!(figures, [13, 13, 13, 0], "{said}");
    let ways = |name: &str| {
        let message = report["messages"].as_array().unwrap().iter().find(|message| message["name"] == name).unwrap();
        let of_child = |child: &Value| child.as_array().unwrap().clone();
        let ways: Vec<Value> = message["children"].as_array().unwrap().iter().flat_map(of_child).collect();
        ways.into_iter().find(|way| way["integration"] == "orders-to-crm").unwrap()
    };
    for number in 2001..=2005 {
        let way = ways(&format!("#{number}"));
        assert!(way["waited"].as_u64().unwrap() + way["held-ms"].as_u64().unwrap() > 0, "it came while the CRM was down: {way}");
    }
    assert_eq!(ways("poison.json")["replay"], 1);
    let replayed = log.lines().find(|line| line.contains("dead letters were replayed")).unwrap_or_else(|| panic!("{log}"));
    for told in ["by=\"local\"", "dead_letters=\"1\"", "by id"] {
        assert!(replayed.contains(told), "{replayed}");
    }
}
