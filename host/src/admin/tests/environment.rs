//! Another environment for what runs: what is missing or does not fit is refused, and what differs counts at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use http::StatusCode;
use semver::{Version, VersionReq};
use serde_json::{Value, json};

use crate::admin::environment::{NotApplied, pieces};
use crate::admin::{LiveEnvironment, LiveParts, ReadFacts, Who};
use crate::alias::Aliases;
use crate::alias::scripted::ScriptedUpstream;
use crate::alias::upstream::UpstreamResponse;
use crate::config::EnvironmentFile;
use crate::config::changes::Change;
use crate::delivery::{Catalog, Runnable};
use crate::ingress::IntakeLimits;
use crate::ingress::tests::support::{ScriptedStore, TableSecrets, clock, intake_over, integration, webhook};
use crate::integration::{Binding, CallLimits, Integration, PinnedPlugin, ReleaseId, Step};
use crate::message_store::sqlite::{AuditQuery, AuditTrail, Options, SqliteStore};
use crate::plugin::component::Facts;
use crate::plugin::manifest::Manifest;
use crate::problem::Problems;
use crate::random::SeededRandom;
use crate::telemetry::Metrics;
use crate::telemetry::events::Events;

const CRM: &str = "[alias.crm]\nurl = \"http://crm.example/base\"\n";
const MANIFEST: &str = r#"
name = "map"
version = "1.0.0"
description = "Maps"
licence = "Apache-2.0"
roles = ["transformer"]
config = { type = "object", properties = { stage = { enum = ["new", "old"] } } }
"#;

/// `orders`, whose one step takes a stage.
fn orders() -> Integration {
    let mut orders = integration("orders", webhook("/in", None));
    orders.steps.push(Step {
        plugin: "map".into(),
        version: VersionReq::STAR,
        config: json!({ "stage": "{values.stage}" }).as_object().unwrap().clone(),
        grants: BTreeSet::new(),
        bindings: BTreeMap::from([("target".to_owned(), Binding { alias: "crm".into(), allow: Vec::new() })]),
    });
    orders
}

fn facts(_: &PinnedPlugin) -> Result<Facts, crate::problem::Problem> {
    let manifest = Manifest::parse("plugin.toml", MANIFEST).unwrap();
    let (digest, roles) = ("d".to_owned(), manifest.roles.clone());
    Ok(Facts { digest, size: 1, manifest: Some(manifest), roles, sets_up: false, imports: Vec::new(), urls: BTreeSet::new() })
}

struct Scene {
    live: Arc<LiveEnvironment>,
    catalog: Arc<Catalog>,
    trail: AuditTrail,
    _folder: tempfile::TempDir,
}

/// A host that runs `orders` in the stage `new`.
fn scene() -> Scene {
    let text = format!("[values]\nstage = \"new\"\nother = 1\n{CRM}");
    let running = EnvironmentFile::parse("test", "environments/test.toml", &text).unwrap();
    let pinned = PinnedPlugin { name: "map".into(), version: Version::new(1, 0, 0), digest: "d".into() };
    let pinned = [(pinned, Arc::from(r#"{"stage":"new"}"#))];
    let runnable = Runnable::new(orders(), ReleaseId("00".repeat(32)), &pinned, &CallLimits::ceiling()).unwrap();
    let catalog = Arc::new(Catalog::new([runnable]));
    let events = Events::new(clock());
    let told = (Arc::new(Metrics::new()), events.clone());
    let intake = intake_over(ScriptedStore::new(), told, vec![orders()], &running.environment, IntakeLimits::default());
    let secrets = Arc::new(TableSecrets(BTreeMap::new()));
    let upstream = Arc::new(ScriptedUpstream::new(|_| Ok(UpstreamResponse::new(StatusCode::OK, ""))));
    let random = Arc::new(SeededRandom::new(1));
    let aliases = Arc::new(Aliases::in_memory(&running.environment, secrets.clone(), upstream, clock(), random));
    let (vault, facts) = (crate::alias::vault::tests::vault(), ReadFacts::new(facts, |_, _| Ok(())));
    let folder = tempfile::tempdir().unwrap();
    let trail = SqliteStore::open(folder.path(), Options::new(clock())).unwrap().audit();
    let audit = trail.clone();
    let parts = LiveParts { aliases, intake, catalog: catalog.clone(), facts, vault, secrets, events, clock: clock(), audit };
    Scene { live: LiveEnvironment::new(running, "environments/test.toml".into(), parts), catalog, trail, _folder: folder }
}

impl Scene {
    /// What the step's next call is given.
    fn config(&self) -> String {
        self.catalog.get("orders").unwrap().steps[0].config.now().to_string()
    }

    async fn refused(&self, text: &str) -> String {
        let NotApplied::Wrong(Problems(problems)) = self.live.apply(text, false, &Who::local()).await.unwrap_err() else {
            panic!("{text}")
        };
        assert_eq!(self.config(), r#"{"stage":"new"}"#, "nothing is changed");
        let line = |problem: &crate::problem::Problem| {
            format!("{} {} | {}", problem.code, problem.message, problem.fix.clone().unwrap_or_default())
        };
        problems.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

#[tokio::test]
async fn values_and_aliases_that_what_runs_lacks_are_told_all_at_once_and_change_nothing() {
    let scene = scene();
    assert_eq!(
        scene.refused("[values]\nother = 1\n[alias.crm]\nverify = { bearer = { token = { env = \"T\" } } }\n").await,
        "LG-1006 active release of orders, step 1: alias `crm` of environment test has no `url` | add [alias.crm] with a `url` to the environment, \
         or activate the workspace's releases: lockgate run --deploy\n\
         LG-1007 active release of orders, step 1: the environment has no value `stage` | add `stage = \"…\"` under [values] of the environment\n\
         LG-1013 alias crm: none | "
    );
    assert!(
        scene.refused("[values]\nstage = \"old\"\n").await.contains("LG-1006 active release of orders, step 1: environment test has no")
    );
}

#[tokio::test]
async fn a_value_that_does_not_fit_the_plugin_is_refused_as_a_start_would() {
    let told = scene().refused(&format!("[values]\nstage = \"odd\"\n{CRM}")).await;
    assert!(
        told.starts_with("LG-2008 active release of orders, step 1: plugin map does not take its config with these values: "),
        "{told}"
    );
}

#[tokio::test]
async fn values_count_at_once_and_are_what_the_host_runs() {
    let scene = scene();
    let next = format!("[values]\nstage = \"old\"\nother = 2\n{CRM}");
    let planned = scene.live.apply(&next, true, &Who::local()).await.unwrap();
    assert_eq!((planned.applied, scene.config().as_str()), (false, r#"{"stage":"new"}"#));
    let applied = scene.live.apply(&next, false, &Who::local()).await.unwrap();
    assert_eq!((applied.applied, applied.changes.len(), applied.notes.len()), (true, 2, 0), "{applied:?}");
    assert_eq!(scene.config(), r#"{"stage":"old"}"#);
    let again = scene.live.apply(&next, false, &Who::local()).await.unwrap();
    assert_eq!((again.applied, again.changes), (false, Vec::new()));
    let entries = scene.trail.page(AuditQuery { limit: 10, ..AuditQuery::default() }).await.unwrap().entries;
    let [entry] = entries.as_slice() else { panic!("one is applied: {entries:?}") };
    assert_eq!((entry.act.as_str(), entry.subject.as_str()), ("apply-environment", "environment test"));
    let sides = (entry.before.as_ref().unwrap(), entry.after.as_ref().unwrap());
    assert_eq!((&sides.0["values.stage"], &sides.1["values.stage"]), (&json!("\"new\""), &json!("\"old\"")), "{entry:?}");
}

#[tokio::test]
async fn a_named_token_has_nothing_of_the_machine_read_that_was_not_read_before() {
    let scene = scene();
    let deployer = Who::named("anna", crate::admin::role::Role::Deployer, None);
    let with = |secret: &str| {
        let auth = format!("auth = {{ bearer = {{ token = {{ {secret} }} }} }}");
        format!("[values]\nstage = \"new\"\nother = 1\n{CRM}[alias.mine]\nurl = \"http://127.0.0.1:9\"\n{auth}\n")
    };
    for secret in ["file = \"data/admin-token\"", "file = \"/etc/shadow\"", "env = \"AWS_SECRET_ACCESS_KEY\""] {
        for plan in [true, false] {
            let Err(NotApplied::Wrong(problems)) = scene.live.apply(&with(secret), plan, &deployer).await else { panic!("{secret}") };
            assert!(problems.to_string().contains("LG-7013 mine.token"), "{problems}");
        }
    }
    let authority =
        format!("[values]\nstage = \"new\"\nother = 1\n{CRM}[alias.mine]\nurl = \"https://a.example\"\nca-file = \"/etc/shadow\"\n");
    let Err(NotApplied::Wrong(problems)) = scene.live.apply(&authority, true, &deployer).await else { panic!() };
    assert!(problems.to_string().contains("LG-7013"), "{problems}");
    let reaching = |networks: &str| {
        format!("[values]\nstage = \"new\"\nother = 1\n{CRM}[alias.mine]\nurl = \"http://127.0.0.1:9\"\nnetwork = [{networks}]\n")
    };
    for networks in ["\"0.0.0.0/0\"", "\"127.0.0.1/32\"", "\"10.1.0.0/16\", \"10.0.0.0/8\""] {
        let Err(NotApplied::Wrong(problems)) = scene.live.apply(&reaching(networks), false, &deployer).await else { panic!("{networks}") };
        assert!(problems.to_string().contains("LG-7013 `alias.mine.network`"), "{problems}");
    }
    assert!(scene.live.apply(&reaching("\"10.1.0.0/16\""), false, &Who::local()).await.unwrap().applied);
    let narrower = reaching("\"10.1.2.0/24\"").replace("mine", "other");
    assert!(scene.live.apply(&narrower, true, &deployer).await.is_ok(), "what lies in an open one is open");
    assert!(scene.live.apply(&with("store = true"), true, &deployer).await.is_ok(), "what is set by name is no place of the machine");
}

#[tokio::test]
async fn who_waits_for_the_turn_to_change_something_does_nothing_once_the_token_is_revoked() {
    let scene = scene();
    let deployer = Who::named("anna", crate::admin::role::Role::Deployer, None);
    let next = format!("[values]\nstage = \"old\"\nother = 1\n{CRM}");
    let turn = scene.live.running().await;
    let mut waiting = Box::pin(scene.live.apply(&next, false, &deployer));
    assert!(futures_util::poll!(&mut waiting).is_pending());
    deployer.revoke();
    drop(turn);
    assert!(matches!(waiting.await, Err(NotApplied::TokenEnded)));
    assert_eq!(scene.config(), r#"{"stage":"new"}"#);
}

#[tokio::test]
async fn a_number_longer_than_any_of_the_machine_hides_no_change() {
    let scene = scene();
    let with = |url: &str| format!("[values]\nstage = \"new\"\nother = 1\nn = 99999999999999999999999\n[alias.crm]\nurl = \"{url}\"\n");
    let deployer = Who::named("anna", crate::admin::role::Role::Deployer, None);
    let first = scene.live.apply(&with("http://crm.example/base"), false, &deployer).await.unwrap();
    assert_eq!(first.changes.iter().map(|change| change.key.as_str()).collect::<Vec<_>>(), ["values.n"]);
    let second = scene.live.apply(&with("http://elsewhere.example"), false, &deployer).await.unwrap();
    assert_eq!((second.applied, second.changes.len()), (true, 1), "{second:?}");
    let entries = scene.trail.page(AuditQuery { limit: 10, ..AuditQuery::default() }).await.unwrap().entries;
    assert_eq!(entries[0].after.as_ref().unwrap()["alias.crm.url"], "\"http://elsewhere.example\"");
}

#[tokio::test]
async fn nobody_hides_a_change_among_many_or_behind_a_long_beginning() {
    let scene = scene();
    let deployer = Who::named("anna", crate::admin::role::Role::Deployer, None);
    let fillers: String = (0..400).map(|n| format!("[alias.a{n}]\nurl = \"http://127.0.0.1:9/{}\"\n", "x".repeat(500))).collect();
    let hidden = "[alias.zzz]\nurl = \"http://127.0.0.1:9/hidden\"\n";
    let many = format!("[values]\nstage = \"new\"\nother = 1\n{CRM}{fillers}{hidden}");
    scene.live.apply(&many, false, &deployer).await.unwrap();
    let page = scene.trail.page(AuditQuery { limit: 500, ..AuditQuery::default() }).await.unwrap();
    assert!(page.entries.len() > 10 && page.entries[0].subject.contains("part"), "{}", page.entries.len());
    let entered = page.entries.iter().filter_map(|entry| entry.after.as_ref()?.as_object());
    let urls: BTreeMap<&String, &Value> = entered.flatten().collect();
    assert_eq!(urls.len(), 401, "each is there, as an object that can be read");
    assert_eq!(urls[&"alias.zzz.url".to_owned()], "\"http://127.0.0.1:9/hidden\"");
    let long = |end: &str| Change { key: "alias.crm.url".into(), before: None, after: Some(format!("https://{}/{end}", "x".repeat(500))) };
    assert_ne!(pieces(&[long("a")]), pieces(&[long("b")]));
    let whole = crate::plugin::sha256_hex(long("a").after.unwrap().as_bytes());
    assert!(pieces(&[long("a")])[0].1["alias.crm.url"].as_str().unwrap().ends_with(&format!("(sha256 {whole})")));
}
