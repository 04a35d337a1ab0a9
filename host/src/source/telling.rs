//! What became of a poll, told once it is on disk: metrics, log and events.

use std::sync::Arc;

use tracing::{debug, error, info, warn};

use super::trouble::Trouble;
use super::{Around, poller::Round};
use crate::clock::Timestamp;
use crate::message::{FailureClass, Message, MessageId};
use crate::message_store::{Lane, NewDelivery};
use crate::problem::Code;
use crate::telemetry::events::{Detail, Event, Kind, Level};

/// What people were told last, so that they are told once.
#[derive(Debug, Default)]
pub struct Told(Option<String>);

impl Told {
    /// A page is on disk; `fresh` are those of its messages that were new, in their order.
    pub fn page(&mut self, around: &Around, round: Round<'_>, found: &[(Arc<Message>, NewDelivery)], fresh: &[MessageId]) {
        let Round { integration, source } = round;
        let items = found.len();
        around.metrics.polled(integration, "polled");
        let mut news = fresh.iter().peekable();
        for (message, delivery) in found {
            if news.next_if_eq(&&message.id).is_none() {
                around.metrics.duplicate(integration);
                continue;
            }
            around.metrics.accepted(integration);
            let event = || Event::new(Kind::Accepted, Level::Info, "accepted").of(integration).about(message.id);
            around.events.detail(Detail::Routine, event);
            if let Lane::Unkeyed(why) = &delivery.lane {
                around.metrics.dead_lettered(integration, FailureClass::Unkeyed);
                around.events.tell(Event::unkeyed(why).of(integration).about(message.id));
            }
        }
        debug!(integration, source, items, new = fresh.len(), "a source was polled");
        around.events.detail(Detail::Debug, || {
            let event = Event::new(Kind::Source, Level::Debug, "polled").of(integration).with("source", source.to_owned());
            event.with("items", items as u64).with("new", fresh.len() as u64)
        });
    }

    /// A poll went well from end to end.
    pub fn well(&mut self, around: &Around, round: Round<'_>) {
        let Some(before) = self.0.take() else { return };
        let Round { integration, source } = round;
        info!(integration, source, before, "a source is well again");
        around.events.tell(Event::new(Kind::Source, Level::Info, "well again").of(integration).with("source", source.to_owned()));
    }

    /// It brought nothing. The same trouble again is a detail.
    pub fn trouble(&mut self, around: &Around, round: Round<'_>, trouble: &Trouble, due_at: Timestamp) {
        let Round { integration, source } = round;
        let Trouble { problem, code, detail, is_obstacle, .. } = trouble;
        around.metrics.polled(integration, if *is_obstacle { "waited" } else { "failed" });
        let level = if *is_obstacle { Level::Warn } else { Level::Error };
        let event = || {
            let event = Event::new(Kind::Source, level, "a source could not be polled").of(integration);
            let event = event.with("source", source.to_owned()).with("code", code.clone()).with("detail", detail.clone());
            event.with("problem", problem.as_str()).with("due-at", due_at.to_string())
        };
        if self.0.as_deref() == Some(code) {
            debug!(code = %problem, integration, source, why = code, detail, %due_at, "a source could not be polled, again");
            around.events.detail(Detail::Debug, event);
            return;
        }
        self.0 = Some(code.clone());
        if *is_obstacle {
            warn!(code = %problem, integration, source, why = code, detail, %due_at, "a source could not be polled");
        } else {
            error!(code = %problem, integration, source, why = code, detail, %due_at, "a source could not be polled");
        }
        around.events.tell(event());
    }

    /// It is not asked while as many deliveries wait as may. Gives whether that is news.
    pub fn held(&mut self, around: &Around, round: Round<'_>, by: &str) -> bool {
        if self.0.as_deref() == Some(super::poller::FULL) {
            return false;
        }
        self.0 = Some(super::poller::FULL.to_owned());
        let Round { integration, source } = round;
        warn!(code = %Code::TooManyWaiting, integration, source, by, "as many deliveries wait as may; the source is not polled");
        let event = Event::new(Kind::Source, Level::Warn, "not polled: as many deliveries wait as may").of(integration);
        around.events.tell(event.with("source", source.to_owned()).with("code", super::poller::FULL).with("by", by.to_owned()));
        true
    }
}
