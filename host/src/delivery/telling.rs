//! What became of a delivery, told to who wants to know once it is on disk: metrics, log and events.

use tracing::span::EnteredSpan;
use tracing::{Level as LogLevel, Span, debug, enabled, error, info, info_span, warn};

use super::deliver::Delivery;
use crate::clock::Timestamp;
use crate::message::{FailureClass, Outcome};
use crate::message_store::{Append, AppendedMessage, Lane, Leased, Settle, Settlement};
use crate::telemetry::events::{Detail, Event, Kind, Level};

/// What a delivery runs in. Most have nothing to say at the usual level: a span in which no line is said need not be made.
pub(super) fn running_span(leased: &Leased) -> Span {
    if enabled!(LogLevel::DEBUG) { span_of(leased) } else { Span::none() }
}

fn span_of(leased: &Leased) -> Span {
    info_span!("delivery", integration = %leased.integration, message = %leased.message.id, replay = leased.replay)
}

/// The span of a line that is about to be said, where there is none yet.
pub(super) fn say_of(leased: &Leased) -> Option<EnteredSpan> {
    Span::current().is_none().then(|| span_of(leased).entered())
}

impl Delivery {
    /// Tells of a settlement that is on disk.
    pub(super) fn tell(&self, leased: &Leased, settle: &Settle) {
        let is_silent = matches!(settle.settlement, Settlement::Delivered { .. });
        let _span = if is_silent { None } else { say_of(leased) };
        self.tell_unkeyed(settle);
        let integration = leased.integration.as_str();
        self.metrics.attempt(integration, settle.attempt.result);
        let ended = |outcome| Event::ended(outcome).of(integration).about(leased.message.id);
        let again = |level, text: &'static str, due_at: &Timestamp| {
            let event = Event::new(Kind::Attempt, level, text).of(integration).about(leased.message.id);
            let or_none = |text: &Option<String>| text.clone().unwrap_or_default();
            let event = event.with("code", or_none(&settle.attempt.code)).with("detail", or_none(&settle.attempt.detail));
            event.with("due-at", due_at.to_string())
        };
        match &settle.settlement {
            Settlement::Delivered { .. } => {
                let at = settle.attempt.ended_at;
                let took = at.since(leased.message.accepted_at);
                self.metrics.delivered(integration, at, took);
                debug!("delivered");
                self.events.detail(Detail::Routine, || ended(Outcome::Delivered).with("took-ms", took));
            }
            Settlement::Skipped { code, detail } => {
                self.metrics.skipped(integration);
                info!(code, detail, "skipped");
                self.events.tell(ended(Outcome::Skipped).with("code", code.clone()).with("detail", detail.clone()));
            }
            Settlement::FannedOut { children } => {
                debug!(children = children.len(), "fanned out");
                let event = || ended(Outcome::FannedOut).with("children", children.len() as u64);
                self.events.detail(Detail::Routine, event);
            }
            Settlement::Waits { due_at } => {
                debug!(%due_at, why = settle.attempt.detail, "waits for its target");
                // Once it is known to wait, that it still does is a detail.
                let (detail, level) = if leased.waits == 0 { (Detail::Routine, Level::Info) } else { (Detail::Debug, Level::Debug) };
                self.events.detail(detail, || again(level, "waits for its target", due_at));
            }
            Settlement::Retries { due_at } => {
                warn!(%due_at, code = settle.attempt.code, why = settle.attempt.detail, "attempt failed; will be tried again");
                self.events.tell(again(Level::Warn, "attempt failed; will be tried again", due_at));
            }
            Settlement::DeadLettered { class, code, detail, fingerprint, .. } => {
                self.metrics.dead_lettered(integration, *class);
                error!(%class, code, detail, fingerprint, "dead-lettered; see: lockgate dead-letters list");
                let event = ended(Outcome::DeadLettered).with("class", class.as_str()).with("code", code.clone());
                self.events.tell(event.with("detail", detail.clone()).with("fingerprint", fingerprint.clone()));
            }
        }
    }

    /// Of what was appended to a channel, that which an integration cannot order. One that its token shows to be a duplicate is
    /// told all the same: better than one that nobody hears of.
    fn tell_unkeyed(&self, settle: &Settle) {
        for Append { message, deliveries, .. } in &settle.appends {
            let id = match message {
                AppendedMessage::New(message) => message.id,
                AppendedMessage::Existing(id) => *id,
            };
            for delivery in deliveries {
                if let Lane::Unkeyed(detail) = &delivery.lane {
                    self.metrics.dead_lettered(&delivery.integration, FailureClass::Unkeyed);
                    self.events.tell(Event::unkeyed(detail).of(&delivery.integration).about(id));
                }
            }
        }
    }
}
