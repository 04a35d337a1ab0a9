//! `lockgate dev` over the real binary: what changes is switched, and an error leaves the last good release running.

use crate::support::eventually;
use crate::support::host::Host;
use crate::support::stamped::{Stamped, post};

fn dev(stamped: &Stamped) -> Host {
    Host::try_start_as("dev", &stamped.workspace, &[], &[]).unwrap_or_else(|status| panic!("it ended with {status}"))
}

/// The stamp of a message that is posted now.
fn stamp(host: &Host, stamped: &Stamped, number: u64) -> String {
    assert_eq!(post(host, "probe", number).status, 202);
    eventually("the message arrives", || {
        let arrived = stamped.arrived();
        let found = arrived.iter().find(|message| message["number"] == number)?;
        Some(found["stamp"].as_str().unwrap().to_owned())
    })
}

#[track_caller]
fn says(host: &Host, text: &str) {
    eventually(&format!("it says {text:?}"), || host.logged().contains(text).then_some(()));
}

#[test]
fn runs_what_is_saved_and_goes_on_with_what_was_good() {
    let stamped = Stamped::new();
    let host = dev(&stamped);
    assert_eq!(stamp(&host, &stamped, 1), "1");
    stamped.becomes(2, "");
    says(&host, "step 1: stamp 1.0.0");
    assert_eq!(stamp(&host, &stamped, 2), "2");

    let file = stamped.workspace.path().join("integrations/stamped.toml");
    let good = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, good.replace("[sink]", "[sink")).unwrap();
    says(&host, "what ran before runs on; waiting for a change");
    says(&host, "LG-1002");
    assert_eq!(stamp(&host, &stamped, 3), "2");
    std::fs::write(&file, good.replace("http-post@1", "nothing-like-it@1")).unwrap();
    says(&host, "LG-2001");
    assert_eq!(stamp(&host, &stamped, 4), "2");
    stamped.becomes(3, "");
    says(&host, "stamp 3.0.0");
    assert_eq!(stamp(&host, &stamped, 5), "3");

    // The environment counts as well, and with it what hangs on it.
    let environment = stamped.workspace.path().join("environments/test.toml");
    let text = std::fs::read_to_string(&environment).unwrap();
    std::fs::write(&environment, format!("[values]\nname = \"four\"\n{text}")).unwrap();
    stamped.becomes(4, "");
    std::fs::write(&file, std::fs::read_to_string(&file).unwrap().replace("stamp = \"4\"", "stamp = \"{values.name}\"")).unwrap();
    says(&host, "environment: values.name");
    eventually("the new value is used", || {
        let listed = host.api("/api/v1/integrations/stamped/releases");
        listed["releases"][0]["plugins"][0]["version"].as_str().filter(|version| version.starts_with('4')).map(drop)
    });
    assert_eq!(stamp(&host, &stamped, 6), "four");
    assert!(host.stop().success());
}

#[test]
fn waits_for_a_workspace_that_can_be_run() {
    let stamped = Stamped::new();
    let file = stamped.workspace.path().join("integrations/stamped.toml");
    let good = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, "no toml").unwrap();
    let log = stamped.workspace.path().join("host.log");
    let host = std::thread::scope(|scope| {
        scope.spawn(|| {
            eventually("it waits", || std::fs::read_to_string(&log).ok()?.contains("nothing runs yet").then_some(()));
            std::fs::write(&file, good).unwrap();
        });
        dev(&stamped)
    });
    assert_eq!(stamp(&host, &stamped, 1), "1");
}
