//! What a release newly asks for, said in words before it runs; and who has to agree, over the real binary.

use serde_json::{Value, json};

use crate::support::host::Host;
use crate::support::http::request;
use crate::support::stamped::{Stamped, post, token};

/// The workspace with `[approval]` as `rule` says.
fn stamped(rule: &str) -> Stamped {
    let stamped = Stamped::new();
    let path = stamped.workspace.path().join("lockgate.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(path, format!("{text}[approval]\n{rule}\n")).unwrap();
    stamped
}

fn edit(stamped: &Stamped, change: impl Fn(String) -> String) {
    let path = stamped.workspace.path().join("integrations/stamped.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(path, change(text)).unwrap();
}

fn listed(host: &Host) -> Value {
    host.api("/api/v1/integrations/stamped/releases")
}

fn active(host: &Host) -> String {
    let listed = listed(host);
    let active = listed["releases"].as_array().unwrap().iter().find(|release| release["state"] == "active").unwrap();
    active["release"].as_str().unwrap().to_owned()
}

#[test]
fn a_plan_says_in_words_what_a_release_newly_asks_for() {
    let stamped = Stamped::new();
    let _host = Host::start(&stamped.workspace);
    stamped.plugin(2);
    edit(&stamped, |text| {
        let step = "plugin = \"stamp@2\"\ngrant = [\"key-value\", \"queue\"]\nconfig = { stamp = \"2\" }";
        let text = text.replace("plugin = \"stamp@1\"\nconfig = { stamp = \"1\" }", step);
        let text = text.replace("[delivery]", "[limits]\ncpu = \"5s\"\n[delivery]");
        format!("{text}[[source]]\nwebhook = {{ path = \"/open\", verify = \"none\" }}\nkey = \"json:/key\"\n")
    });
    let plan = stamped.said(&["deploy", "--plan"], 0);
    for told in [
        "stamp 2.0.0 newly asks: `key-value`; it could keep parts of the messages it is given, for itself; 1.0.0 did not",
        "stamp 2.0.0 newly asks: `queue`",
        "its plugins may use more CPU time: 5s a call in place of 1s",
        "what anybody sends to webhook /open newly comes in: nothing is verified there",
    ] {
        assert!(plan.contains(told), "{told}: {plan}");
    }
    assert!(!plan.contains("http-post"), "what did not change is not asked for again: {plan}");

    // A first deploy of another integration: everything it is given is new.
    let other = "[integration]\ndescription = \"d\"\nowner = { team = \"t\", contact = \"c\" }\n[[source]]\nwebhook = { path = \"/in\", verify = \"none\" }\nid = [\"json:/id\"]\nkey = \"json:/key\"\n\
                 [sink]\nplugin = \"http-post@1\"\nconfig = { path = \"/orders\" }\nbind = { target = { alias = \"audit\", allow = [\"POST /orders\"] } }\n";
    stamped.workspace.write("integrations/second.toml", other);
    let plan: Value = serde_json::from_str(&stamped.said(&["deploy", "second", "--plan", "--json"], 0)).unwrap();
    let asks = plan["integrations"][0]["asks"].as_array().unwrap();
    let asked: Vec<&str> = asks.iter().map(|asked| asked.as_str().unwrap()).collect();
    assert!(
        asked[0].contains("http slot `target`") && asked[0].contains("alias `audit`") && asked[0].contains("only POST /orders"),
        "{asked:?}"
    );
    stamped.said(&["deploy", "second"], 0);
    // Wider, another alias: each is said.
    stamped.workspace.write("integrations/second.toml", &other.replace("[\"POST /orders\"]", "[\"POST /orders\", \"DELETE /orders/*\"]"));
    assert!(
        stamped
            .said(&["deploy", "second", "--plan"], 0)
            .contains("may newly send to alias `audit` through slot `target`: DELETE /orders/*")
    );
    stamped.workspace.write("integrations/second.toml", &other.replace("{ alias = \"audit\", allow = [\"POST /orders\"] }", "\"audit\""));
    assert!(stamped.said(&["deploy", "second", "--plan"], 0).contains("slot `target`: any request"));

    // What comes in, what it no longer passes through, where it goes: nobody reads another's messages unnoticed.
    let feeds = "[integration]\ndescription = \"d\"\nowner = { team = \"t\", contact = \"c\" }\n[[source]]\nwebhook = { path = \"/secret\", verify = \"none\" }\n[sink]\nchannel = \"secret\"\n";
    let reads = other.replace("[sink]", "[[source]]\nchannel = \"secret\"\n[sink]");
    stamped.workspace.write("integrations/feeds.toml", feeds).write("integrations/second.toml", &reads);
    let plan = stamped.said(&["deploy", "feeds", "second", "--plan"], 0);
    for told in
        ["what comes out newly goes to the channel secret", "what is on channel secret newly comes in, and goes wherever its plugins send"]
    {
        assert!(plan.contains(told), "{told}: {plan}");
    }
    stamped.becomes(1, "");
    edit(&stamped, |text| text.replace("[[step]]\nplugin = \"stamp@1\"\nconfig = { stamp = \"1\" }\n", ""));
    let plan = stamped.said(&["deploy", "stamped", "--plan"], 0);
    assert!(plan.contains("messages do not pass through stamp any more"), "{plan}");
}

#[test]
fn what_asks_for_more_waits_until_somebody_else_approves_it() {
    let stamped = stamped("count = 1");
    let host = Host::start(&stamped.workspace);
    let before = active(&host);
    let (author, anna) = (token(&stamped.workspace, "ci", "deployer"), token(&stamped.workspace, "anna", "approver"));
    // Nothing more is asked for: nobody has to approve it.
    stamped.becomes(2, "");
    assert!(stamped.said(&["deploy", "--token", &author], 0).contains("is active"));
    let second = active(&host);
    assert_ne!(second, before);

    edit(&stamped, |text| text.replace("plugin = \"stamp@2\"", "plugin = \"stamp@2\"\ngrant = [\"key-value\"]"));
    assert!(stamped.said(&["deploy", "--plan", "--token", &author], 0).contains("would wait for approval: 0 of 1 given"));
    assert!(listed(&host)["waits-for-approval"].is_null(), "a plan proposes nothing");
    let told = stamped.said(&["deploy", "--token", &author], 0);
    assert!(told.contains("waits for approval (0 of 1 given): lockgate approve stamped"), "{told}");
    assert_eq!(active(&host), second, "the active release runs on");
    let waits = listed(&host)["waits-for-approval"].clone();
    let release = waits["release"].as_str().unwrap().to_owned();
    assert_eq!((&waits["by"], &waits["authors"]), (&json!("ci"), &json!(["ci", "ci"])), "{waits}");
    assert!(stamped.said(&["releases", "stamped"], 0).contains("asks for more: stamp 2.0.0 newly asks: `key-value`"));
    assert!(stamped.said(&["status"], 0).contains("waits for approval to be the active one: lockgate releases stamped"));

    // Who brought it, who has another role, another release than the one that waits.
    let approve = |token: &str, release: &str| {
        let body = json!({ "release": release, "note": "ticket 4711" }).to_string();
        let token = format!("Bearer {token}");
        let headers = [("authorization", token.as_str()), ("content-type", "application/json")];
        request("POST", &format!("{}/api/v1/integrations/stamped/approve", host.admin), &headers, body).unwrap()
    };
    assert_eq!(approve(&author, &release).json()["code"], "LG-7013");
    assert_eq!(approve(&anna, &before).status, 404);
    assert_eq!(active(&host), second);
    let output = stamped.workspace.lockgate(&["approve", "stamped", &release[..12], "--note", "ticket 4711", "--token", &anna]);
    assert!(output.status.success() && String::from_utf8_lossy(&output.stdout).contains("is active"), "{output:?}");
    assert_eq!(active(&host), release);
    assert_eq!(approve(&anna, &release).status, 404, "there is nothing to approve any more");
    let audit = host.api("/api/v1/audit?limit=20");
    let of = |act: &str| audit["entries"].as_array().unwrap().iter().find(|entry| entry["act"] == act).cloned().unwrap();
    assert_eq!((&of("propose")["who"], &of("approve")["who"]), (&json!("ci"), &json!("anna")));
    assert_eq!(of("approve")["after"]["note"], "ticket 4711");

    // Back to what was active is nobody's to approve, and neither is forth again.
    assert!(stamped.said(&["rollback", "stamped", "--token", &author], 0).contains("is active"));
    assert!(stamped.said(&["deploy", "--token", &author], 0).contains("is active"), "it has been approved");
}

#[test]
fn an_author_cannot_approve_and_a_start_is_no_way_round() {
    let stamped = stamped("count = 2\nof = \"every\"");
    let host = Host::start(&stamped.workspace);
    let before = active(&host);
    stamped.becomes(2, "");
    // With the data folder's own token, which may do everything else.
    stamped.said(&["deploy"], 0);
    let release = listed(&host)["waits-for-approval"]["release"].as_str().unwrap().to_owned();
    let told = stamped.said(&["approve", "stamped", &release[..12], "--note", "I trust myself"], 1);
    assert!(told.contains("LG-7019") && told.contains("was brought by local"), "{told}");
    let (anna, bert) = (token(&stamped.workspace, "anna", "approver"), token(&stamped.workspace, "bert", "approver"));
    for _ in 0..2 {
        let told = stamped.said(&["approve", "stamped", &release[..12], "--note", "fine", "--token", &anna], 0);
        assert!(told.contains("1 of 2 given"), "the same person counts once: {told}");
    }
    assert_eq!(active(&host), before);
    assert!(host.stop().success());
    let ended = Host::try_start(&stamped.workspace, &["--deploy"], &[]).unwrap_err();
    assert_eq!(ended.code(), Some(1));
    let host = Host::start(&stamped.workspace);
    assert!(host.logged().contains("LG-7018"), "{}", host.logged());
    assert_eq!(active(&host), before);
    let told = stamped.said(&["approve", "stamped", &release[..12], "--note", "fine", "--token", &bert], 0);
    assert!(told.contains("is active"), "{told}");
    assert_eq!(active(&host), release);
    assert_eq!(post(&host, "k", 1).status, 202);
}

#[test]
fn what_does_not_fit_without_what_waits_leaves_nothing_proposed() {
    let stamped = stamped("count = 1");
    let second = |path: &str| {
        format!(
            "[integration]\ndescription = \"d\"\nowner = {{ team = \"t\", contact = \"c\" }}\n\
             [[source]]\nwebhook = {{ path = \"{path}\", verify = \"none\" }}\nid = [\"json:/other\"]\nkey = \"json:/key\"\n\
             [sink]\nplugin = \"http-post@1\"\nconfig = {{ path = \"/orders\" }}\nbind = {{ target = {{ alias = \"audit\", allow = [\"POST /orders\"] }} }}\n"
        )
    };
    stamped.workspace.write("integrations/second.toml", &second("/b"));
    let host = Host::start(&stamped.workspace);
    let anna = token(&stamped.workspace, "anna", "approver");
    let approved = |name: &str| {
        let answer: Value = serde_json::from_str(&stamped.said(&["deploy", name, "--json"], 0)).unwrap();
        let release = answer["integrations"][0]["release"].as_str().unwrap();
        assert_eq!(answer["integrations"][0]["state"], "waits-for-approval", "{answer}");
        let told = stamped.said(&["approve", name, &release[..12], "--note", "fine", "--token", &anna], 0);
        assert!(told.contains("is active"), "{told}");
    };
    // `second` at the path of `stamped` is approved, and both are back where they were.
    edit(&stamped, |text| text.replace("path = \"/in\"", "path = \"/c\""));
    approved("stamped");
    stamped.workspace.write("integrations/second.toml", &second("/in"));
    approved("second");
    for name in ["second", "stamped"] {
        stamped.said(&["rollback", name], 0);
    }

    // Together they fit. Without `stamped`, which waits, `second` disagrees with it on what the id of /in is.
    edit(&stamped, |text| text.replace("path = \"/c\"", "path = \"/d\""));
    assert!(stamped.said(&["deploy", "--plan"], 0).contains("would wait for approval"));
    let before = active(&host);
    let told = stamped.said(&["deploy"], 1);
    assert!(told.contains("/in"), "{told}");
    assert!(listed(&host)["waits-for-approval"].is_null(), "{}", listed(&host));
    assert_eq!(active(&host), before);
}

#[test]
fn what_is_rejected_waits_no_more_and_begins_anew() {
    let stamped = stamped("count = 2\nof = \"every\"");
    let host = Host::start(&stamped.workspace);
    let before = active(&host);
    stamped.becomes(2, "");
    stamped.said(&["deploy"], 0);
    let release = listed(&host)["waits-for-approval"]["release"].as_str().unwrap()[..12].to_owned();
    let (anna, bert) = (token(&stamped.workspace, "anna", "approver"), token(&stamped.workspace, "bert", "approver"));
    let ci = token(&stamped.workspace, "ci", "deployer");
    assert!(stamped.said(&["approve", "stamped", &release, "--note", "fine", "--token", &anna], 0).contains("1 of 2 given"));
    assert!(stamped.said(&["reject", "stamped", &release, "--note", "not by me", "--token", &ci], 1).contains("LG-7013"));
    assert!(stamped.said(&["reject", "stamped", "ffffffffffff", "--note", "another", "--token", &bert], 1).contains("LG-7004"));
    let told = stamped.said(&["reject", "stamped", &release, "--note", "ticket 4712", "--token", &bert], 0);
    assert!(told.contains("waits no more: rejected"), "{told}");
    assert!(listed(&host)["waits-for-approval"].is_null());
    assert!(stamped.said(&["approve", "stamped", &release, "--note", "late", "--token", &anna], 1).contains("LG-7004"));
    assert!(stamped.said(&["deploy"], 0).contains("0 of 2 given"), "the approval it had is gone");
    assert_eq!(active(&host), before);
    let audit = host.api("/api/v1/audit?limit=20");
    let rejected = audit["entries"].as_array().unwrap().iter().find(|entry| entry["act"] == "reject").cloned().unwrap();
    assert_eq!((&rejected["who"], &rejected["after"]["note"]), (&json!("bert"), &json!("ticket 4712")));
}
