//! [`Warnings`]: what the host warns of in its log is told as an event, too.

use std::fmt::Debug;
use std::sync::Arc;

use tracing::field::{Field, Visit};
use tracing::{Subscriber, level_filters::LevelFilter};
use tracing_subscriber::layer::{Context, Layer};

use super::{Event, Events, Kind, Level};

/// Where every line of the log stands beside an event that says it better.
const TOLD_ALREADY: [&str; 5] =
    ["plugin", "lockgate::delivery::telling", "lockgate::source::telling", "lockgate::ingress::receive", "lockgate::alias::endpoint"];

/// Tells each warning and error of the log. What the log's own filter leaves out is not told.
#[derive(Debug)]
pub struct Warnings(pub Arc<Events>);

impl<S: Subscriber> Layer<S> for Warnings {
    fn on_event(&self, line: &tracing::Event<'_>, _: Context<'_, S>) {
        let about = line.metadata();
        if *about.level() > LevelFilter::WARN || TOLD_ALREADY.contains(&about.target()) {
            return;
        }
        let level = if *about.level() == tracing::Level::ERROR { Level::Error } else { Level::Warn };
        let mut said = Said(Event::new(Kind::Host, level, ""));
        line.record(&mut said);
        self.0.tell(said.0);
    }
}

struct Said(Event);

impl Said {
    fn note(&mut self, field: &'static str, value: String) {
        match field {
            "message" => self.0.text = value.into(),
            "integration" => self.0.integration = Some(value),
            _ => self.0.fields.push((field.into(), value.into())),
        }
    }
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.note(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.note(field.name(), value.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::clock::{ManualClock, Timestamp};
    use crate::telemetry::events::{Filter, Start};

    #[test]
    fn tells_warnings_and_errors_once_each_and_nothing_less() {
        let events = Events::new(Arc::new(ManualClock::at(Timestamp(0))));
        let mut heard = events.read(Filter::default(), Start::Now);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(Warnings(events)), || {
            tracing::info!("all is well");
            tracing::warn!(integration = "orders", left = 3, why = %"it is full", "the disk is {}", "full");
            tracing::error!("it burns");
            tracing::error!(target: "plugin", "told by the plugin's log");
        });
        let told = serde_json::to_value(&heard.look().told).unwrap();
        assert_eq!((&told[0]["level"], &told[0]["kind"], &told[0]["integration"]), (&"warn".into(), &"host".into(), &"orders".into()));
        assert_eq!(told[0]["text"], "the disk is full");
        assert_eq!(told[0]["fields"], serde_json::json!({ "left": "3", "why": "it is full" }));
        assert_eq!(told[1]["text"], "it burns");
        assert_eq!(told.as_array().unwrap().len(), 2);
    }
}
