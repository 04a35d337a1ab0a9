//! Watches the aliases and tells when one changes its state. Beside them, so that the aliases need not know who listens.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::alias::{AliasStatus, Aliases};
use crate::clock::{Clock, Timestamp};
use crate::telemetry::events::{Event, Events, Kind, Level};

/// How often aliases that have a rate are looked at: nothing rings when one throttles itself.
const RATES_EVERY: Duration = Duration::from_secs(5);
/// An alias that throttled itself is told as healthy after as long without: one at its limit comes and goes, and is told about twice a
/// minute at most.
const CALM_AFTER: Duration = Duration::from_secs(60);

/// What was told last of an alias.
struct Told {
    state: &'static str,
    by_rate: bool,
    /// Since when its own rate does not throttle it any more.
    calm_since: Option<Timestamp>,
}

impl Told {
    /// Whether `alias` stands otherwise than was told, for long enough.
    fn is_news(&mut self, alias: &AliasStatus, now: Timestamp) -> bool {
        if !self.by_rate || alias.state != "healthy" {
            self.calm_since = None;
        } else if now.since(*self.calm_since.get_or_insert(now)) < CALM_AFTER {
            return false;
        }
        let news = self.state != alias.state;
        (self.state, self.by_rate) = (alias.state, alias.limited_by.is_some());
        news
    }
}

/// Tells until it is aborted. Of several changes within an instant the last one is told.
pub async fn tell(aliases: Arc<Aliases>, events: Arc<Events>, clock: Arc<dyn Clock>) {
    let mut changes = aliases.changes();
    let mut told: BTreeMap<String, Told> = BTreeMap::new();
    loop {
        changes.borrow_and_update();
        let (states, now) = (aliases.states(), clock.now());
        for alias in &states {
            let told = told.entry(alias.name.clone()).or_insert(Told { state: "healthy", by_rate: false, calm_since: None });
            if told.is_news(alias, now) {
                events.tell(event(alias));
            }
        }
        // The end of a throttled alias's wait is no change that is told, nor is what its own rate does.
        let throttled = states.iter().filter(|alias| alias.state == "throttled").filter_map(|alias| alias.until);
        let limited = states.iter().any(|alias| !alias.rate.is_empty()).then(|| now.plus(RATES_EVERY));
        let look_at = throttled.chain(limited).min();
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = clock.sleep(look_at.unwrap_or(now).since(now)), if look_at.is_some() => {}
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

#[cfg(test)]
mod tests {
    use super::*;

    fn alias(state: &'static str, limited_by: Option<&str>) -> AliasStatus {
        AliasStatus { state, limited_by: limited_by.map(str::to_owned), ..AliasStatus::healthy("crm") }
    }

    #[test]
    fn an_alias_at_its_limit_is_told_about_twice_a_minute_at_most() {
        let mut told = Told { state: "healthy", by_rate: false, calm_since: None };
        let mut news = Vec::new();
        for second in 0..300 {
            let alias = if second % 2 == 0 && second < 200 { alias("throttled", Some("20/s")) } else { alias("healthy", None) };
            if told.is_news(&alias, Timestamp(second * 1_000)) {
                news.push((second, alias.state));
            }
        }
        assert_eq!(news, [(0, "throttled"), (259, "healthy")]);
    }

    #[test]
    fn an_outage_of_an_alias_at_its_limit_is_told_at_once() {
        let mut told = Told { state: "healthy", by_rate: false, calm_since: None };
        let states = [alias("throttled", Some("20/s")), alias("healthy", None), alias("open", None), alias("healthy", None)];
        let news = states.map(|alias| told.is_news(&alias, Timestamp(0)));
        assert_eq!(news, [true, false, true, true]);
    }
}
