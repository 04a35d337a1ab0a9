//! A plugin that is set up once for a configuration: its calls begin with the memory behind that, and where they do not, it is set up in each.

use serde_json::{Value, json};

use super::*;
use crate::plugin::compile::{Compile, SetUp};
use crate::plugin::offer::Offer;
use crate::problem::Code;

/// When everything is set up that is kept.
const QUIET_MS: u64 = 1_767_225_600_000;
/// When the calls of these tests are.
const NOW_MS: u64 = 1_700_000_000_000;

fn guest() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| std::fs::read(build("guest-setup")).unwrap())
}

fn loaded() -> Arc<Plugins> {
    let plugins = Arc::new(empty());
    plugins.load(&pinned(guest()), guest()).unwrap();
    plugins
}

fn make_ready(plugins: &Plugins, config: &Value) -> Result<(), crate::problem::Problem> {
    plugins.make_ready(&pinned(guest()), Export::Transform, Offer::ALL, &config.to_string())
}

fn fixture_of(plugins: &Arc<Plugins>) -> Fixture {
    fixture_over(plugins.clone(), Limits::default(), Arc::new(SystemClock::new()), Box::new(|_| Some(answer(200, "fine"))))
}

async fn call_with(plugins: &Arc<Plugins>, config: &Value) -> Report {
    let config = config.to_string().into();
    fixture_of(plugins).invoke(Call { plugin: pinned(guest()), config, ..call("{}") }).await
}

fn told(report: &Report) -> Value {
    serde_json::from_str(&text(report)).unwrap()
}

#[tokio::test]
async fn every_call_begins_with_the_memory_behind_a_setup_that_was_made_for_its_config() {
    let plugins = loaded();
    let (one, other) = (json!({ "name": "one" }), json!({ "name": "other" }));
    make_ready(&plugins, &one).unwrap();
    make_ready(&plugins, &other).unwrap();
    for (config, name) in [(&one, "one"), (&other, "other"), (&one, "one")] {
        let expected = json!({ "name": name, "set-up-ms": QUIET_MS, "set-up": 1, "calls": 1 });
        assert_eq!(told(&call_with(&plugins, config).await), expected, "{name}");
    }
}

#[tokio::test]
async fn a_call_with_a_config_that_nobody_set_it_up_for_sets_it_up_itself() {
    let plugins = loaded();
    make_ready(&plugins, &json!({ "name": "one" })).unwrap();
    let report = call_with(&plugins, &json!({ "name": "new" })).await;
    assert_eq!(told(&report), json!({ "name": "new", "set-up-ms": NOW_MS, "set-up": 1, "calls": 1 }));
}

#[test]
fn a_config_that_the_setup_refuses_is_refused_in_its_words() {
    let plugins = loaded();
    for (behave, said) in [
        ("refuse", "does not take its config: nobody is called x"),
        ("trap", "does not take its config: its setup ended with a trap: "),
        ("ask", "lockgate:plugin/http@0.1.0 send is called, and there is no host yet"),
    ] {
        let problem = make_ready(&plugins, &json!({ "name": "x", "behave": behave })).unwrap_err();
        assert_eq!(problem.code, Code::BadPluginConfig, "{behave}");
        assert!(problem.message.starts_with("plugin odd@1.0.0 does not take") && problem.message.contains(said), "{behave}: {problem}");
    }
}

#[tokio::test]
async fn in_a_call_a_refused_config_is_a_permanent_failure_and_a_capability_ends_it() {
    let plugins = loaded();
    let report = call_with(&plugins, &json!({ "name": "x", "behave": "refuse" })).await;
    let Err(CallFailure::Permanent { code, detail }) = report.result else { panic!("{report:?}") };
    assert_eq!((code.as_str(), detail.as_str()), ("setup-refused", "nobody is called x"));
    let fixture = fixture_of(&plugins);
    let config = json!({ "name": "x", "behave": "ask" }).to_string().into();
    let report = fixture.invoke(Call { plugin: pinned(guest()), config, ..call("{}") }).await;
    let (class, detail) = fault(report);
    assert_eq!(class, FailureClass::Trapped);
    assert!(detail.contains("http is called in setup"), "{detail}");
    assert!(fixture.egress.sent.lock().unwrap().is_empty());
}

#[test]
fn a_setup_and_a_config_give_the_same_component_every_time() {
    let set_up = || match InProcess(engine()).set_up(guest(), "{\"name\":\"one\"}").unwrap() {
        SetUp::Kept(component) => component,
        SetUp::EachCall(why) => panic!("{why}"),
    };
    assert!(set_up() == set_up(), "two runs differ");
}
