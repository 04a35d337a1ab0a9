//! A plugin that is set up once for its configuration, over the real binary: what its setup refuses never runs, and every call begins with the
//! memory behind it.

use lockgate::plugin::component::embed_manifest;
use serde_json::{Value, json};

use crate::support::build::setup_guest;
use crate::support::eventually;
use crate::support::host::Host;
use crate::support::stamped::{Stamped, post};

/// When everything is set up whose memory is kept.
const QUIET_MS: u64 = 1_767_225_600_000;

/// The workspace with the guest as its step. Its config is what the environment says.
fn set_up() -> Stamped {
    let stamped = Stamped::new();
    let manifest = "name = \"named\"\nversion = \"1.0.0\"\ndescription = \"names\"\nlicence = \"Apache-2.0\"\nroles = [\"transformer\"]\n\
         [slots.target]\ndescription = \"what its setup may not ask\"\n";
    let component = embed_manifest("named", &std::fs::read(setup_guest()).unwrap(), manifest).unwrap();
    std::fs::write(stamped.workspace.path().join("own/named@1.0.0.wasm"), component).unwrap();
    configured(&stamped, "{values.behave}");
    values(&stamped, "one", "none");
    stamped
}

/// The integration from now on.
fn configured(stamped: &Stamped, behave: &str) {
    let file = stamped.workspace.path().join("integrations/stamped.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let (before, rest) = text.split_once("[[step]]").unwrap();
    let (_, after) = rest.split_once("[sink]").unwrap();
    let step = format!(
        "[[step]]\nplugin = \"named@1\"\nconfig = {{ name = \"{{values.name}}\", behave = \"{behave}\" }}\nbind = {{ target = \"audit\" }}\n"
    );
    stamped.workspace.write("integrations/stamped.toml", &format!("{before}{step}[sink]{after}"));
}

/// The values of the environment from now on.
fn values(stamped: &Stamped, name: &str, behave: &str) {
    let file = stamped.workspace.path().join("environments/test.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let aliases = &text[text.find("[alias").unwrap()..];
    let values = format!("[values]\nname = \"{name}\"\nbehave = \"{behave}\"\n");
    stamped.workspace.write("environments/test.toml", &format!("{values}{aliases}"));
}

/// What the `number`-th message becomes.
fn becomes(stamped: &Stamped, host: &Host, number: u64) -> Value {
    let before = stamped.arrived().len();
    let answer = post(host, "k", number);
    assert_eq!(answer.status, 202, "{answer:?}");
    eventually("the message arrives", || stamped.arrived().get(before).cloned())
}

fn named(name: &str) -> Value {
    json!({ "name": name, "set-up-ms": QUIET_MS, "set-up": 1, "calls": 1 })
}

#[test]
fn what_a_setup_refuses_never_runs() {
    let stamped = set_up();
    values(&stamped, "nobody", "refuse");
    let refused = stamped.said(&["run", "--env", "test", "--ingress", "127.0.0.1:0", "--admin", "127.0.0.1:0"], 1);
    assert!(
        refused.contains("LG-2008") && refused.contains("step 1: plugin named@1.0.0 does not take its config: nobody is called nobody"),
        "{refused}"
    );

    values(&stamped, "one", "none");
    let host = Host::start(&stamped.workspace);
    assert_eq!(becomes(&stamped, &host, 1), named("one"));
    configured(&stamped, "trap");
    let refused = stamped.said(&["deploy"], 1);
    assert!(refused.contains("LG-2008") && refused.contains("its setup ended with a trap"), "{refused}");
    configured(&stamped, "{values.behave}");
    values(&stamped, "two", "refuse");
    for arguments in [&["env", "apply", "--plan"][..], &["env", "apply"]] {
        let refused = stamped.said(arguments, 1);
        assert!(refused.contains("LG-2008") && refused.contains("nobody is called two"), "{refused}");
    }
    assert_eq!(becomes(&stamped, &host, 2), named("one"));
}

#[test]
fn every_call_begins_with_the_memory_behind_the_setup_also_after_another_environment_and_a_restart() {
    let stamped = set_up();
    let host = Host::start(&stamped.workspace);
    assert_eq!(becomes(&stamped, &host, 1), named("one"));
    assert_eq!(becomes(&stamped, &host, 2), named("one"));
    values(&stamped, "two", "none");
    stamped.said(&["env", "apply"], 0);
    assert_eq!(becomes(&stamped, &host, 3), named("two"));
    host.stop();
    let host = Host::start(&stamped.workspace);
    assert_eq!(becomes(&stamped, &host, 4), named("two"));
}

#[test]
fn a_setup_that_never_ends_is_ended() {
    let stamped = set_up();
    let host_file = stamped.workspace.path().join("lockgate.toml");
    let text = std::fs::read_to_string(&host_file).unwrap();
    stamped.workspace.write("lockgate.toml", &format!("{text}compile = {{ cpu = \"5s\" }}\n"));
    values(&stamped, "one", "endless");
    let refused = stamped.said(&["run", "--env", "test", "--ingress", "127.0.0.1:0", "--admin", "127.0.0.1:0"], 1);
    assert!(refused.contains("LG-2020") && refused.contains("takes more than 5s of CPU time"), "{refused}");
}
