//! What is told of deliveries while they happen.

use std::time::Duration;

use tracing_subscriber::layer::SubscriberExt;

use super::lab::*;
use crate::plugin::scripted::ScriptedInvoker;
use crate::telemetry::events::warnings::Warnings;
use crate::telemetry::events::{Filter, Level, Reader, Start};

fn told(reader: &mut Reader) -> Vec<serde_json::Value> {
    reader.look().told.iter().map(|told| serde_json::to_value(told).unwrap()).collect()
}

#[tokio::test]
async fn a_dead_letter_and_the_attempts_before_it_are_told_with_nobody_listening() {
    let plugins = ScriptedInvoker::default().with("crm", |call| if call.attempt < 1 { transient().into() } else { permanent().into() });
    let lab = Lab::new(vec![integration("a", &[], plugin("crm"))], plugins);
    let _log = tracing::subscriber::set_default(tracing_subscriber::registry().with(Warnings(lab.events.clone())));
    let _dispatcher = lab.start();
    let id = lab.send("a", None, "order").await.to_string();
    lab.pass(Duration::from_secs(10)).await;
    let told = told(&mut lab.events.read(Filter::default(), Start::Last { count: 10, since: None }));
    let shown: Vec<_> = told.iter().map(|event| (event["kind"].as_str().unwrap(), event["level"].as_str().unwrap())).collect();
    assert_eq!(shown, [("attempt", "warn"), ("outcome", "error")], "once each, though the log warns of them, too");
    assert!(told.iter().all(|event| event["integration"] == "a" && event["message"] == *id));
    assert_eq!(told[1]["fields"]["class"], "permanent");
    assert!(told[0]["fields"]["due-at"].is_string() && told[1]["fields"]["fingerprint"].is_string());
}

#[tokio::test]
async fn deliveries_that_go_well_are_told_to_who_listens_and_to_nobody_else() {
    let plugins = ScriptedInvoker::default().with("crm", |_| receipt().into());
    let lab = Lab::new(vec![integration("a", &[], plugin("crm"))], plugins);
    let _dispatcher = lab.start();
    let mut warnings = lab.events.read(Filter { level: Some(Level::Warn), ..Filter::default() }, Start::Now);
    lab.send("a", None, "before").await;
    lab.idle().await;
    let mut all = lab.events.read(Filter::default(), Start::Last { count: 10, since: None });
    let id = lab.send("a", None, "after").await;
    lab.idle().await;
    let told = told(&mut all);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((&told[0]["text"], &told[0]["message"]), (&"delivered".into(), &id.to_string().into()));
    assert_eq!(told[0]["fields"]["took-ms"], 0);
    assert!(warnings.look().told.is_empty());
}
