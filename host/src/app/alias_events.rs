//! Watches the aliases and tells when one changes its state. Beside them, so that the aliases need not know who listens.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::alias::{AliasStatus, Aliases};
use crate::clock::Clock;
use crate::telemetry::events::{Event, Events, Kind, Level};

/// Tells until it is aborted. Of several changes within an instant the last one is told.
pub async fn tell(aliases: Arc<Aliases>, events: Arc<Events>, clock: Arc<dyn Clock>) {
    let mut changes = aliases.changes();
    let mut known: BTreeMap<String, &'static str> = BTreeMap::new();
    loop {
        changes.borrow_and_update();
        let states = aliases.states();
        for alias in &states {
            let before = known.insert(alias.name.clone(), alias.state).unwrap_or("healthy");
            if before != alias.state {
                events.tell(event(alias));
            }
        }
        // The end of a throttled alias's wait is no change that is told.
        let throttled_until = states.iter().filter(|alias| alias.state == "throttled").filter_map(|alias| alias.until).min();
        let now = clock.now();
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = clock.sleep(throttled_until.unwrap_or(now).since(now)), if throttled_until.is_some() => {}
        }
    }
}

fn event(alias: &AliasStatus) -> Event {
    let level = match alias.state {
        "healthy" | "throttled" => Level::Info,
        "credential-refused" => Level::Error,
        _ => Level::Warn,
    };
    let mut event = Event::new(Kind::Alias, level, format!("alias {} is {}", alias.name, alias.state));
    event = event.with("alias", alias.name.clone()).with("state", alias.state);
    if let Some(detail) = &alias.detail {
        event = event.with("detail", detail.clone());
    }
    match &alias.owner {
        Some(owner) if alias.state != "healthy" => event.with("owner", owner.contact.clone()),
        _ => event,
    }
}
