//! `lockgate bench` over the real binary: that it measures, loses nothing and leaves nothing behind. No figure is asserted.

use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::Value;

use crate::support::build::{plugin_files, root};
use crate::support::eventually;
use crate::support::host::{Host, lockgate};
use crate::support::workspace::{SHOP_SECRET, Workspace};

/// `lockgate bench` with what makes it short, its temporary data in `folder`.
fn bench(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = lockgate(root());
    command.args(["bench", "--quick", "--json", "--folder"]).arg(folder).args(arguments);
    command
}

fn json(command: &mut Command) -> Value {
    let output = command.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{:?}\n{out}{err}", output.status);
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().next().is_none()
}

#[test]
fn every_row_is_measured_and_every_message_is_delivered_once() {
    let folder = tempfile::tempdir().unwrap();
    let chart = tempfile::NamedTempFile::new().unwrap();
    let report = json(bench(folder.path(), &["--chart"]).arg(chart.path()));

    let rows = report["rows"].as_array().unwrap();
    let names: Vec<&str> = rows.iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, lockgate::bench::ROWS);
    for row in rows {
        assert!(["value", "against", "ratio"].iter().all(|figure| row[figure].is_number()), "{row}");
        assert!(row["unit"].is_string() && row["holds"].is_boolean() == row["goal"].is_number(), "{row}");
    }
    assert!(report["messages"]["accepted"].as_u64().unwrap() > 0, "{report}");
    assert_eq!((&report["messages"]["lost"], &report["messages"]["doubled"]), (&0.into(), &0.into()));
    assert!(report["machine"]["file-system"].is_string() && report["versions"]["wasmtime"].is_string(), "{report}");
    assert!(std::fs::read_to_string(chart.path()).unwrap().starts_with("<svg"));
    assert!(is_empty(folder.path()), "temporary data is left");
}

#[test]
fn a_signal_ends_it_with_its_children_and_its_data() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = bench(folder.path(), &["--row", "growth-waiting"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let host = eventually("a host runs", || {
        let own = std::fs::read_dir(folder.path()).unwrap().next()?.unwrap().path();
        let running: Value = serde_json::from_slice(&std::fs::read(own.join("waiting-empty/data/host.json")).ok()?).ok()?;
        Pid::from_raw(i32::try_from(running["pid"].as_i64()?).unwrap())
    });
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let status = eventually("the benchmark ends", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(130));
    eventually("its host is gone", || test_kill_process(host).is_err().then_some(()));
    assert!(is_empty(folder.path()), "temporary data is left");
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "this is a release build")]
fn a_debug_build_is_not_measured() {
    let output = lockgate(root()).args(["bench"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cargo run --release -- bench"));
}

/// A host on the order-to-invoice example that bills at `billing`.
fn host(billing: &str) -> (Workspace, Host) {
    let read = |file: &str| std::fs::read_to_string(root().join("examples/order-to-invoice").join(file)).unwrap();
    let workspace = Workspace::empty();
    workspace.write("lockgate.toml", &format!("[plugins]\npaths = [{:?}]\n", plugin_files().display().to_string()));
    workspace.write("integrations/order-to-invoice.toml", &read("integrations/order-to-invoice.toml"));
    workspace.write("environments/test.toml", &read("environments/dev.toml").replace("127.0.0.1:9030", billing));
    let host = Host::start(&workspace);
    (workspace, host)
}

/// What the load generator tells that is aimed at `host` for a second, with `target` as its target.
fn load(host: &Host, target: &str, arguments: &[&str]) -> Value {
    let mut command = lockgate(root());
    command.args(["bench", "load", "--json", "--seconds", "1", "--secret", SHOP_SECRET, "--target", target, "--url"]);
    json(command.arg(format!("{}/orders", host.ingress)).args(arguments))
}

fn free_address() -> String {
    std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().to_string()
}

#[test]
fn the_load_generator_notices_what_does_not_arrive() {
    let (_workspace, host) = host(&free_address());
    let told = load(&host, &free_address(), &["--quiet", "0", "--rate", "20"]);
    assert!(told["accepted"].as_u64().unwrap() > 0, "{told}");
    assert_eq!((&told["delivered"], &told["lost"]), (&0.into(), &told["accepted"]));
}

#[test]
fn the_load_generator_sees_all_arrive_once_that_was_accepted() {
    let target = free_address();
    let (_workspace, host) = host(&target);
    let told = load(&host, &target, &["--connections", "4", "--quiet", "30"]);
    assert!(told["accepted"].as_u64().unwrap() > 0, "{told}");
    assert_eq!(told["delivered"], told["accepted"], "{told}");
    let none = ["refused", "failed", "lost", "doubled", "strays"];
    assert!(none.iter().all(|count| told[count] == 0), "{told}");
}
